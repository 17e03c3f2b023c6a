"""Adversarial training of one generator (paper, sections 2 and 3)."""

import logging
import math
import platform
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
import torchvision
from torch import nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from pipeline.dataset import PackedDataset
from pipeline.errors import InputError
from pipeline.files import write_json, write_parquet
from pipeline.method.batches import ClassBatches, training_images
from pipeline.method.critic import build_critic
from pipeline.method.device import choose_device
from pipeline.method.explain import save_generator, score_pairs
from pipeline.method.generator import Generator
from pipeline.method.losses import critic_loss, generator_loss
from pipeline.method.schedule import update_sequence
from pipeline.method.settings import TrainSettings
from pipeline.progress import progress
from pipeline.score.ncc import subject_average

log = logging.getLogger(__name__)

BETAS = (0.0, 0.9)  # of Adam
CRITIC_TERMS = ("critic_loss", "critic_real", "critic_fake", "gradient_penalty")
GENERATOR_TERMS = ("generator_loss", "generator_adversarial", "generator_penalty")


class Streams(NamedTuple):
    """The random draws of a run: each of its own, all from one seed."""

    weights: int
    diseased: np.random.Generator
    healthy: np.random.Generator
    alpha: np.random.Generator


def train_model(
    packed: Path, output_dir: Path, settings: TrainSettings, *, device: str = "auto", threads: int
) -> None:
    """Train a generator and keep the one of the best epoch.

    An epoch ends with the mean normalised cross-correlation of the validation pairs; the epoch
    where it is highest wins, the later one of a tie. On a processor the same data, settings and
    threads give the same weights to the last bit.

    Parameters
    ----------
    packed : Path
        Packed data set (see `pipeline.dataset`).
    output_dir : Path
        Receives ``generator.safetensors``, ``history.parquet`` (a row an epoch),
        ``training.json`` (settings, best epoch, versions) and ``tensorboard/``, which can be
        watched meanwhile.
    settings : TrainSettings
    device : {"auto", "cpu", "cuda"}
        ``auto`` takes a GPU where there is one.
    threads : int
        Processor threads.

    Raises
    ------
    InputError
        If the data cannot train a model.
    RuntimeError
        If a loss is not finite.
    """
    torch.set_num_threads(threads)
    place = choose_device(device)
    data = PackedDataset.open(packed)
    shape = _check(data)
    streams = _streams(settings.seed)
    x1, x0 = _batches(data, shape, settings, streams, place)
    architecture = {
        "dimensions": len(shape),
        "method": settings.method,
        "base_filters": settings.base_filters,
        "poolings": settings.poolings,
        "flow_scale": settings.flow_scale,
    }
    # Weights come from the run's own seed and leave the global random state as it is.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(streams.weights)
        generator = Generator(**architecture)
        critic = build_critic(len(shape), settings.critic_weights, settings.critic_base_filters)
    if place.type == "cpu":  # saves a quarter of the time there
        layout = {2: torch.channels_last, 3: torch.channels_last_3d}[len(shape)]
        generator, critic = (network.to(memory_format=layout) for network in (generator, critic))
    trainer = _Trainer(generator.to(place), critic.to(place), x1, x0, settings, streams.alpha)

    shutil.rmtree(output_dir / "tensorboard", ignore_errors=True)
    total = settings.epochs * settings.updates_per_epoch
    history, best_score, best_epoch, best_weights = [], -math.inf, 0, {}
    with (
        SummaryWriter(output_dir / "tensorboard") as board,
        progress(total=total, desc=f"{settings.method} seed {settings.seed}", unit="update") as bar,
    ):
        for epoch in range(1, settings.epochs + 1):
            started = time.monotonic()
            means = trainer.train_epoch(bar)
            score = subject_average(score_pairs(generator, data, "validation"))
            if not math.isfinite(score):
                raise RuntimeError(f"the validation score is {score} after epoch {epoch}")
            if score >= best_score:
                best_score, best_epoch = score, epoch
                best_weights = {
                    name: weight.detach().cpu().clone()
                    for name, weight in generator.state_dict().items()
                }
            trainer.shown["NCC"] = f"{score:.3f} (best {best_score:.3f})"
            log.info("epoch %d of %d: validation NCC %.4f", epoch, settings.epochs, score)
            for name, value in (means | {"validation_ncc": score}).items():
                if not math.isnan(value):
                    board.add_scalar(name, value, global_step=epoch)
            history.append(
                {
                    "epoch": epoch,
                    "updates": trainer.updates,
                    "generator_updates": trainer.generator_updates,
                    **means,
                    "validation_ncc": score,
                    "seconds": time.monotonic() - started,
                }
            )

    write_parquet(pd.DataFrame(history), output_dir / "history.parquet")
    summary = {
        "settings": settings.to_dict(),
        "best_epoch": best_epoch,
        "validation_ncc": best_score,
        "device": torch.cuda.get_device_name(place) if place.type == "cuda" else place.type,
        "threads": threads,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
        },
    }
    write_json(summary, output_dir / "training.json")
    save_generator(architecture, best_weights, output_dir / "generator.safetensors")


class _Trainer:
    """Both networks with their optimisers and data, and the updates of either."""

    def __init__(
        self,
        generator: Generator,
        critic: nn.Module,
        x1: ClassBatches,
        x0: ClassBatches,
        settings: TrainSettings,
        alpha: np.random.Generator,
    ) -> None:
        self.generator, self.critic, self.x1, self.x0 = generator, critic, x1, x0
        self.settings, self.alpha = settings, alpha
        self.generator_adam = torch.optim.Adam(
            generator.parameters(), lr=settings.learning_rate, betas=BETAS
        )
        self.critic_adam = torch.optim.Adam(
            critic.parameters(), lr=settings.learning_rate, betas=BETAS
        )
        self.sequence = update_sequence(
            settings.critic_updates,
            settings.initial_critic_updates,
            settings.initial_generator_updates,
        )
        self.updates = self.generator_updates = 0
        self.shown: dict[str, str] = {}  # at the end of the progress line

    def train_epoch(self, bar: tqdm) -> dict[str, float]:
        """One epoch of updates; the mean of each term of the losses (NaN where there was none)."""
        terms: dict[str, list[float]] = {name: [] for name in CRITIC_TERMS + GENERATOR_TERMS}
        self.generator.train()
        for _ in range(self.settings.updates_per_epoch):
            self.updates += 1
            update = next(self.sequence)
            losses = self.update_critic() if update == "critic" else self.update_generator()
            for name, value in losses.items():
                if not math.isfinite(value):
                    raise RuntimeError(f"{name} is {value} at update {self.updates}")
                terms[name].append(value)
            self.shown[update] = f"{losses[f'{update}_loss']:.3g}"
            bar.set_postfix(self.shown, refresh=False)
            bar.update()
        return {name: float(np.mean(v)) if v else math.nan for name, v in terms.items()}

    def update_critic(self) -> dict[str, float]:
        x1, x0 = self.x1.draw(), self.x0.draw()
        # The generator is not trained here, but in training mode its running statistics move.
        with torch.no_grad():
            xhat0 = self.generator(x1).xhat0
        alpha = torch.from_numpy(self.alpha.random(len(x0), dtype=np.float32)).to(x0.device)
        loss = critic_loss(self.critic, x0, xhat0, alpha, self.settings.gradient_penalty)
        self.critic_adam.zero_grad()
        loss.total.backward()
        self.critic_adam.step()
        return dict(zip(CRITIC_TERMS, torch.stack(loss).tolist(), strict=True))

    def update_generator(self) -> dict[str, float]:
        explanation = self.generator(self.x1.draw())
        self.critic.requires_grad_(False)  # its gradients are not needed: saves their computation
        settings = self.settings
        loss = generator_loss(self.critic, explanation, settings.method, settings.lambda_)
        self.generator_adam.zero_grad()
        loss.total.backward()
        self.generator_adam.step()
        self.critic.requires_grad_(True)
        self.generator_updates += 1
        return dict(zip(GENERATOR_TERMS, torch.stack(loss).tolist(), strict=True))


def _check(data: PackedDataset) -> tuple[int, ...]:
    """Shape of the images that the networks see: that of the evaluation pairs."""
    if not (data.pairs_index["split"] == "validation").any():
        raise InputError("the packed data have no validation pair to choose the best epoch with")
    shape, available = data.pairs_image.shape[1:], data.train.shape[1:]
    if len(shape) != len(available) or any(a < s for a, s in zip(available, shape, strict=True)):
        raise InputError(f"training images of {available} are smaller than the pairs' {shape}")
    return shape


def _streams(seed: int) -> Streams:
    weights, *others = np.random.SeedSequence(seed).spawn(4)
    generators = (np.random.default_rng(sequence) for sequence in others)
    return Streams(int(weights.generate_state(1)[0]), *generators)


def _batches(
    data: PackedDataset,
    shape: tuple[int, ...],
    settings: TrainSettings,
    streams: Streams,
    device: torch.device,
) -> tuple[ClassBatches, ClassBatches]:
    """Batches of the diseased (x1) and of the healthy (x0) training images."""
    images = training_images(data.train, device)
    batches = []
    for label, rng in ((1, streams.diseased), (0, streams.healthy)):
        index = data.train_index
        rows = index.loc[index["label"] == label, "row"].to_numpy()
        if not len(rows):
            raise InputError(f"the packed data have no training image of label {label}")
        batches.append(ClassBatches(images, rows, settings.batch_size, shape, rng, device))
    return tuple(batches)
