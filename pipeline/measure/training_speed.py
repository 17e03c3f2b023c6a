"""Speed and memory of training updates, beside the same mathematics written out plainly.

The plain updates keep every graph, as the authors' code does: a critic update also goes back
through the generator, a generator update also computes the critic's gradients. They exist for this
comparison alone.
"""

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from pipeline.dataset.packed import Geometry, PackedDataset
from pipeline.method.critic import build_critic
from pipeline.method.training.device import choose_device, set_precision, use_huge_pages
from pipeline.method.training.settings import TrainSettings
from pipeline.method.training.train import build_trainer
from pipeline.method.training.trainer import BETAS, Trainer

COLUMNS = ["updates", "critic_s", "generator_s", "images_per_s", "waiting", "peak_mib"]


def benchmark_training(
    settings: TrainSettings,
    shape: tuple[int, ...],
    *,
    repeats: int,
    device: str = "auto",
    threads: int = 1,
) -> pd.DataFrame:
    """Measure the updates of one configuration, each implementation in a process of its own.

    Parameters
    ----------
    settings : TrainSettings
    shape : tuple of int
        Of the images, which are random.
    repeats : int
        Updates of each network that are timed, after one that is not; the median counts.
    device : {"auto", "cpu", "cuda"}
    threads : int

    Returns
    -------
    DataFrame
        A row each for ``plain`` and ``pipeline``: columns `COLUMNS`. Images a second are those that
        critic updates consume, of one class; ``waiting`` is the share of a critic update that
        getting its batches takes; the peak of memory is PyTorch's on a GPU, and on a processor
        that of the process less what it held before the first update. The seconds of a single
        thread are those that it computed, which other programs do not change.
    """
    context = multiprocessing.get_context("spawn")
    rows = []
    for name in ("plain", "pipeline"):
        with context.Pool(1) as pool:
            arguments = (name, settings, shape, repeats, device, threads)
            rows.append({"updates": name} | pool.apply(_measure, arguments))
    return pd.DataFrame(rows, columns=COLUMNS)


def _measure(
    name: str,
    settings: TrainSettings,
    shape: tuple[int, ...],
    repeats: int,
    device: str,
    threads: int,
) -> dict[str, float]:
    if name == "pipeline":
        use_huge_pages()
    torch.set_num_threads(threads)
    place = choose_device(device)
    set_precision(settings.precision)
    with tempfile.TemporaryDirectory() as folder:
        data = _random_images(Path(folder), shape, 2 * settings.batch_size)
        trainer = build_trainer(data, shape, settings, place)
        updates = PlainUpdates(trainer) if name == "plain" else trainer
        before = _memory(place)
        alone = place.type == "cpu" and threads == 1
        clock = time.process_time if alone else time.perf_counter
        critic = _seconds(updates.update_critic, repeats, place, clock)
        generator = _seconds(updates.update_generator, repeats, place, clock)
        peak = _memory(place) - before
        images = settings.batch_size * settings.accumulated_batches
        batches = [trainer.x1.draw, trainer.x0.draw]
        waiting = sum(_seconds(draw, repeats, place, clock) for draw in batches)
        return {
            "critic_s": critic,
            "generator_s": generator,
            "images_per_s": images / critic,
            "waiting": settings.accumulated_batches * waiting / critic,
            "peak_mib": peak / 2**20,
        }


def _random_images(folder: Path, shape: tuple[int, ...], images: int) -> PackedDataset:
    """A data set of noise: as many images of each class as two batches need."""
    rng = np.random.default_rng(0)
    path = folder / "train.npy"
    train = np.lib.format.open_memmap(path, "w+", np.float32, (2 * images, *shape))
    for row in range(2 * images):
        train[row] = rng.uniform(-1, 1, shape)
    index = pd.DataFrame({"row": range(2 * images), "label": [0, 1] * images})
    empty = np.empty((0, *shape), dtype=np.float32)
    geometry = Geometry.of_made_images(0, shape)
    return PackedDataset(train, index, empty, empty, empty, pd.DataFrame(), geometry)


def _seconds(
    work: Callable[[], Any], repeats: int, place: torch.device, clock: Callable[[], float]
) -> float:
    """Median time of some runs, after a first one."""
    times = []
    for _ in range(1 + repeats):
        started = clock()
        work()
        if place.type == "cuda":
            torch.cuda.synchronize(place)
        times.append(clock() - started)
    return float(np.median(times[1:]))


def _memory(place: torch.device) -> float:
    """Peak of memory so far, bytes."""
    if place.type == "cuda":
        return torch.cuda.max_memory_allocated(place)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class PlainUpdates:
    """Both updates as the equations say, with nothing saved: Eq. 2 to 6 as one graph each.

    Parameters
    ----------
    trainer : Trainer
        Its generator, optimiser and batches are used, in PyTorch's ordinary memory layout, and a
        critic of PyTorch's own modules with the same weights.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.settings, self.alpha = trainer.settings, trainer.alpha
        self.x1, self.x0 = trainer.x1, trainer.x0
        self.generator = trainer.generator.to(memory_format=torch.contiguous_format).train()
        self.critic = build_critic(
            trainer.generator.dimensions,
            "random",
            trainer.settings.critic_base_filters,
            trainer.settings.variant,
        )
        self.critic.load_state_dict(trainer.critic.state_dict())
        self.critic.to(next(self.generator.parameters()).device)
        self.generator_adam = trainer.generator_adam
        self.critic_adam = torch.optim.Adam(
            self.critic.parameters(), lr=trainer.settings.learning_rate, betas=BETAS
        )

    def update_critic(self) -> list[float]:
        """One step of the critic: loss, real, fake, penalty."""
        self.generator_adam.zero_grad()
        self.critic_adam.zero_grad()
        losses = []
        for _ in range(self.settings.accumulated_batches):
            x1, x0 = self.x1.draw(), self.x0.draw()
            fake = self.generator(x1).modified
            mean_real, mean_fake = self.critic(x0).mean(), self.critic(fake).mean()
            alpha = torch.from_numpy(self.alpha.random(len(x0), dtype=np.float32)).to(x0.device)
            alpha = alpha.view(-1, *[1] * (x0.dim() - 1))
            mixed = alpha * x0 + (1 - alpha) * fake
            scores = self.critic(mixed)
            (gradient,) = torch.autograd.grad(scores.sum(), mixed, create_graph=True)
            penalty = (gradient.flatten(1).norm(dim=1) - 1).square().mean()
            total = mean_real - mean_fake + self.settings.gradient_penalty * penalty
            (total / self.settings.accumulated_batches).backward()
            losses.append(torch.stack([total, mean_real, mean_fake, penalty]).detach())
        self.critic_adam.step()
        return torch.stack(losses).mean(0).tolist()

    def update_generator(self) -> list[float]:
        """One step of the generator: loss, adversarial part, penalty."""
        self.generator_adam.zero_grad()
        self.critic_adam.zero_grad()
        losses = []
        for _ in range(self.settings.accumulated_batches):
            explanation, penalty = self.generator.penalised(self.x1.draw())
            adversarial = self.critic(explanation.modified).mean()
            total = adversarial + self.settings.lambda_ * penalty
            (total / self.settings.accumulated_batches).backward()
            losses.append(torch.stack([total, adversarial, penalty]).detach())
        self.generator_adam.step()
        return torch.stack(losses).mean(0).tolist()
