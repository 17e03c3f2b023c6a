"""The speed of training, measured in one run: ``python -m pipeline benchmark``.

Every measurement has processes of its own and is written down when it ends: one that fails, or
that the time runs out on, costs no other.
"""

import logging
import multiprocessing
import os
import platform
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.measure.processor import has_bf16_instructions, processor_name
from pipeline.measure.training_speed import Measurement, measure_updates
from pipeline.method.adversarial import Adversarial
from pipeline.method.registry import find_method
from pipeline.method.training.cost import update_operations
from pipeline.method.training.device import choose_device
from pipeline.method.training.settings import TrainSettings
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_json
from pipeline.study.config import Config

log = logging.getLogger(__name__)

Cases = Sequence[Measurement]
SUMMED = ("images_per_s", "peak_mib")  # over trainings at the same time; the mean of all others
PATIENCE = 120  # seconds that trainings at the same time wait for each other


def configured_case(
    config: Config, dataset: str, method: str, threads: int, batch_size: int | None = None
) -> Measurement:
    """The pipeline's updates as a configuration has them for one of its data sets.

    Parameters
    ----------
    config : Config
    dataset, method : str
        Of the configuration; the method has a generator that a critic trains.
    threads : int
        Of the processor.
    batch_size : int, optional
        In place of the configuration's.

    Raises
    ------
    InputError
        If the method has no such generator.
    """
    if not isinstance(find_method(method), Adversarial):
        raise InputError(f"{method} has no generator whose updates could be measured")
    settings = config.training_settings(dataset, method, seed=0)
    settings |= {"critic_weights": "random"}  # the start makes no difference to the speed
    if batch_size:
        settings |= {"batch_size": batch_size}
    shape = config.datasets[dataset].image_shape()
    size = "x".join(map(str, shape))
    case = f"{dataset} {size}, {settings['batch_size']} images"
    return Measurement(case, TrainSettings.read(settings), shape, threads=threads)


def benchmark(
    what: str,
    small: Cases,
    large: Cases,
    destination: Path,
    *,
    device: str = "auto",
    repeats: int = 20,
    minutes: float = 60,
) -> dict[str, Any]:
    """Measure the updates of some configurations, the most important things first.

    Parameters
    ----------
    what : {"train", "gpu"}
        The updates where trainings would run, or all that is to be known of a GPU.
    small, large : sequence of Measurement
        The pipeline's updates at the size of a demonstration, where a GPU waits for its processor,
        and of a study. On a processor ``gpu`` is a rehearsal, of the small ones if there are any.
    destination : Path
        JSON file, written after each measurement.
    device : {"auto", "cpu", "cuda"}
    repeats : int
        Updates of each network that are timed, at most.
    minutes : float
        After which no measurement goes on.

    Returns
    -------
    dict
        What the file holds: ``machine``; ``measurements``, a row each of what was measured and of
        what `pipeline.measure.training_speed.measure_updates` returns, or ``failed``; and
        ``left_out`` for want of time.

    Raises
    ------
    InputError
        If a GPU is to be measured and there is none.
    """
    if what == "gpu" and device == "auto" and not torch.cuda.is_available():
        raise InputError(
            "PyTorch finds no GPU here, so there is nothing to measure; `--device cpu` rehearses "
            "the measurements on the processor"
        )
    place = choose_device(device)
    if what == "gpu" and place.type == "cpu" and small:
        large = []
    listed = list(dict.fromkeys(LISTS[what](small, large, place)))
    rows: list[dict[str, Any]] = []
    record = {"what": what, "machine": _machine(place), "measurements": rows}
    end = time.monotonic() + 60 * minutes
    for number, one in enumerate(listed):
        record["left_out"] = list(map(str, listed[number:]))
        write_json(record, destination)
        started = time.monotonic()
        try:
            measured = _apart(one, place.type, repeats, end)
        except TimeoutError:
            left_out = "; ".join(record["left_out"])
            log.warning("%g minutes are over; not measured: %s", minutes, left_out)
            return record
        rows.append(_row(one) | measured | {"took_s": time.monotonic() - started})
        log.info("%d of %d: %s: %s", number + 1, len(listed), one, _told(measured))
    record["left_out"] = []
    write_json(record, destination)
    return record


def _for_training(small: Cases, large: Cases, place: torch.device) -> list[Measurement]:
    """The pipeline beside the plain updates, in 16 bits, and with twice as much of a processor."""
    cases = [*small, *large]
    listed = [replace(case, updates=u) for case in cases for u in ("plain", "pipeline")]
    if place.type == "cuda" or has_bf16_instructions():
        listed += [_with_precision(case, "bf16") for case in cases]
    for case in small:
        listed += [replace(case, trainings=2), replace(case, threads=2 * case.threads)]
    return listed


def _for_gpu(small: Cases, large: Cases, place: torch.device) -> list[Measurement]:
    """What the plan needs and what the paper's sizes cost; then all that may be better."""
    cases, study = [*small, *large], large or small
    rounded = [_with_precision(case, name) for name in ("tf32", "bf16") for case in study]
    return [
        *cases,
        *(replace(case, updates="plain") for case in study),
        *rounded,
        *(replace(case, updates="graphs") for case in cases),
        *(replace(case, trainings=2) for case in cases),
        *(replace(case, images="host") for case in study),
        *(replace(case, updates="plain") for case in rounded),
    ]


LISTS: Mapping[str, Callable[[Cases, Cases, torch.device], list[Measurement]]] = {
    "train": _for_training,
    "gpu": _for_gpu,
}


def _with_precision(case: Measurement, precision: str) -> Measurement:
    return replace(case, settings=case.settings.model_copy(update={"precision": precision}))


def _machine(place: torch.device) -> dict[str, Any]:
    """What is measured on; no name that the machine has."""
    gpu = torch.cuda.get_device_properties(place) if place.type == "cuda" else None
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "gpu": gpu and gpu.name,
        "gpu_mib": gpu and gpu.total_memory / 2**20,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
    }


def _row(one: Measurement) -> dict[str, Any]:
    """What is measured; ``critic_operations`` and ``generator_operations`` are the pipeline's."""
    operations = update_operations(one.settings, one.shape)
    return {
        "case": one.case,
        "method": one.settings.method,
        "shape": one.shape,
        "batch_size": one.settings.batch_size,
        "precision": one.settings.precision,
        "updates": one.updates,
        "threads": one.threads,
        "trainings": one.trainings,
        "images": one.images,
        "critic_operations": operations["critic"],
        "generator_operations": operations["generator"],
    }


def _told(measured: Mapping[str, Any]) -> str:
    if "failed" in measured:
        return f"failed: {measured['failed']}"
    return "critic {critic_s:.4g} s, generator {generator_s:.4g} s, {peak_mib:.0f} MiB".format(
        **measured
    )


def _apart(one: Measurement, device: str, repeats: int, end: float) -> dict[str, Any]:
    """Measure in fresh processes, a training in each; ``failed`` says why there are no numbers.

    Raises
    ------
    TimeoutError
        If they have not ended when `time.monotonic` is `end`.
    """
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(one.trainings, timeout=PATIENCE)
    children, answers = [], []
    with tempfile.TemporaryDirectory() as folder:
        arguments = (one, device, repeats, together, Path(folder))
        try:
            for _ in range(one.trainings):
                receiving, sending = context.Pipe(duplex=False)
                child = context.Process(target=_measure, args=(sending, *arguments), daemon=True)
                child.start()
                sending.close()  # so that the end of the child ends the wait for its answer
                children.append(child)
                answers.append(receiving)
            measured = [_answer(receiving, end) for receiving in answers]
        finally:
            for child in children:
                child.kill()
                child.join()
    failures = [each for each in measured if "failed" in each]
    return failures[0] if failures else _together(measured)


def _measure(
    sending: Connection,
    one: Measurement,
    device: str,
    repeats: int,
    together: Barrier,
    folder: Path,
) -> None:
    try:
        answer: dict[str, Any] = measure_updates(one, device, repeats, together, folder)
    except Exception as error:  # whatever it is, the other measurements can be made
        together.abort()
        answer = {"failed": f"{type(error).__name__}: {error}"}
    sending.send(answer)


def _answer(receiving: Connection, end: float) -> dict[str, Any]:
    if not receiving.poll(max(0, end - time.monotonic())):
        raise TimeoutError
    try:
        return receiving.recv()
    except EOFError:
        return {"failed": "the process ended by itself"}


def _together(measured: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """The numbers of trainings at the same time as those of one."""

    def of_all(name: str) -> float | None:
        values = [each[name] for each in measured]
        if None in values:
            return None
        return float(np.sum(values) if name in SUMMED else np.mean(values))

    return {name: of_all(name) for name in measured[0]}
