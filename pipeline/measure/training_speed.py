"""Speed and memory of training updates: one measurement, in the process that it is made in."""

import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch.autograd import DeviceType

from pipeline.dataset.packed import Geometry, PackedDataset
from pipeline.measure.graphed_updates import GraphedUpdates
from pipeline.measure.plain_updates import PlainUpdates
from pipeline.method.training.batches import ClassBatches
from pipeline.method.training.device import choose_device, set_precision
from pipeline.method.training.settings import TrainSettings
from pipeline.method.training.train import build_trainer
from pipeline.method.training.trainer import Trainer
from pipeline.stage.memory import use_huge_pages

IMPLEMENTATIONS: dict[str, Callable[[Trainer], Any]] = {
    "pipeline": lambda trainer: trainer,
    "plain": PlainUpdates,
    "graphs": GraphedUpdates,
}
WARM_UP = {"cpu": 1, "cuda": 3}  # runs before those that are timed
MOST_SECONDS = 10  # after which an update is not timed once more


@dataclass(frozen=True)
class Measurement:
    """What is measured.

    Attributes
    ----------
    case : str
        Name of the settings and the shape.
    settings : TrainSettings
    shape : tuple of int
        Of the images, which are random.
    updates : {"pipeline", "plain", "graphs"}
        See `pipeline.measure.plain_updates` and `pipeline.measure.graphed_updates`.
    threads : int
        Of the processor, for each training.
    trainings : int
        At the same time on one device, each in a process of its own.
    images : {"device", "host"}
        Whether the images lie where the networks do, or are read one batch ahead from the
        processor's memory.
    """

    case: str
    settings: TrainSettings
    shape: tuple[int, ...]
    updates: Literal["pipeline", "plain", "graphs"] = "pipeline"
    threads: int = 1
    trainings: int = 1
    images: Literal["device", "host"] = "device"

    def __str__(self) -> str:
        told = [self.case, self.updates, self.settings.precision]
        if self.threads > 1:
            told.append(f"{self.threads} threads")
        if self.trainings > 1:
            told.append(f"{self.trainings} trainings")
        if self.images == "host":
            told.append("read ahead")
        return ", ".join(told)


def measure_updates(
    what: Measurement, device: str, repeats: int, together: Barrier, folder: Path
) -> dict[str, float | None]:
    """Measure in this process, which has done nothing else and does nothing afterwards.

    Parameters
    ----------
    what : Measurement
    device : {"auto", "cpu", "cuda"}
    repeats : int
        Updates of each network that are timed, at most; the median counts.
    together : multiprocessing.Barrier
        Where the processes of one measurement wait for each other.
    folder : Path
        For the images.

    Returns
    -------
    dict
        ``critic_s`` and ``generator_s``: seconds of an update. ``images_per_s``: images of one
        class that critic updates consume. ``waiting``: share of a critic update that getting its
        batches takes. ``peak_mib``: largest memory, PyTorch's on a GPU, and on a processor that of
        the process less what it held before the first update. ``critic_on_gpu`` and
        ``generator_on_gpu``: share of an update in which the GPU computes; None on a processor and
        where PyTorch's profiler sees no GPU. The seconds of a single training with one thread on a
        processor are those that it computed, which other programs do not change.
    """
    if what.updates != "plain":
        use_huge_pages()
    torch.set_num_threads(what.threads)
    place = choose_device(device)
    settings = what.settings
    set_precision(settings.precision)
    alone = place.type == "cpu" and what.threads == what.trainings == 1
    clock = time.process_time if alone else time.perf_counter
    with tempfile.TemporaryDirectory(dir=folder) as own:
        data = _random_images(Path(own), what.shape, 2 * settings.batch_size)
        trainer = build_trainer(data, what.shape, settings, place)
        if what.images == "host":
            _read_ahead(trainer, data, place)
        updates = IMPLEMENTATIONS[what.updates](trainer)
        before = _memory(place) if place.type == "cpu" else 0
        seconds, on_gpu = {}, {}
        for name in ("critic", "generator"):
            update = getattr(updates, f"update_{name}")
            seconds[name] = _seconds(update, repeats, place, clock, together)
            busy = kernel_seconds(update, DeviceType.CUDA) if place.type == "cuda" else 0
            on_gpu[name] = busy / seconds[name] or None
        peak = _memory(place) - before
        draws = [trainer.x1.draw, trainer.x0.draw]
        waiting = sum(_seconds(draw, repeats, place, clock, together) for draw in draws)
    return {
        "critic_s": seconds["critic"],
        "generator_s": seconds["generator"],
        "images_per_s": settings.batch_size * settings.accumulated_batches / seconds["critic"],
        "waiting": settings.accumulated_batches * waiting / seconds["critic"],
        "peak_mib": peak / 2**20,
        "critic_on_gpu": on_gpu["critic"],
        "generator_on_gpu": on_gpu["generator"],
    }


def _random_images(folder: Path, shape: tuple[int, ...], images: int) -> PackedDataset:
    """A data set of noise with so many images of each class."""
    rng = np.random.default_rng(0)
    path = folder / "train.npy"
    train = np.lib.format.open_memmap(path, "w+", np.float32, (2 * images, *shape))
    for row in range(2 * images):
        train[row] = rng.uniform(-1, 1, shape)
    index = pd.DataFrame({"row": range(2 * images), "label": [0, 1] * images})
    empty = np.empty((0, *shape), dtype=np.float32)
    geometry = Geometry.of_made_images(0, shape)
    return PackedDataset(train, index, empty, empty, empty, pd.DataFrame(), geometry)


def _read_ahead(trainer: Trainer, data: PackedDataset, place: torch.device) -> None:
    """Let a trainer have its batches from the processor's memory."""

    def batches(label: int) -> ClassBatches:
        rows = data.train_index.query("label == @label")["row"].to_numpy()
        rng = np.random.default_rng(label)
        shape = data.train.shape[1:]
        return ClassBatches(data.train, rows, trainer.settings.batch_size, shape, rng, place)

    trainer.x1, trainer.x0 = batches(1), batches(0)


def _seconds(
    work: Callable[[], Any],
    repeats: int,
    place: torch.device,
    clock: Callable[[], float],
    together: Barrier,
) -> float:
    """Median time of some runs, after those that do not count."""
    times: list[float] = []
    for _ in range(WARM_UP[place.type]):
        work()
    together.wait()
    while len(times) < repeats and sum(times) < MOST_SECONDS:
        started = clock()
        work()
        if place.type == "cuda":
            torch.cuda.synchronize(place)
        times.append(clock() - started)
    return float(np.median(times))


def kernel_seconds(work: Callable[[], Any], device: DeviceType) -> float:
    """Seconds that a device computes for some work; 0 where PyTorch's profiler does not see it."""
    with torch.profiler.profile() as profile:
        work()
    totals = {DeviceType.CPU: "self_cpu_time_total", DeviceType.CUDA: "self_device_time_total"}
    # A GPU's row of a named part of the work holds again what its kernels have.
    events = (e for e in profile.key_averages() if e.device_type == device)
    microseconds = (getattr(e, totals[device]) for e in events if not e.is_user_annotation)
    return sum(microseconds) / 1e6


def _memory(place: torch.device) -> float:
    """Peak of memory so far, bytes."""
    if place.type == "cuda":
        return torch.cuda.max_memory_allocated(place)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
