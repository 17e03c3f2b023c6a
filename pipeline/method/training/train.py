"""Adversarial training of one generator (paper, sections 2 and 3)."""

import logging
import math
import signal
import sys
import time
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from pipeline.dataset.packed import PackedDataset
from pipeline.method.critic import build_critic
from pipeline.method.explain import score_pairs
from pipeline.method.generator import Generator
from pipeline.method.interface import Fitted, Place
from pipeline.method.ncc import subject_average
from pipeline.method.training.batches import ClassBatches, training_images
from pipeline.method.training.device import set_precision
from pipeline.method.training.examples import draw_examples
from pipeline.method.training.piecewise import without_curvature
from pipeline.method.training.settings import TrainSettings
from pipeline.method.training.state import (
    Progress,
    StateFile,
    Termination,
    run_definition,
    state_folder,
    write_progress,
)
from pipeline.method.training.trainer import Diverged, Trainer, TrainerState
from pipeline.stage.errors import InputError
from pipeline.stage.progress import progress

log = logging.getLogger(__name__)

EXAMPLES, EXAMPLE_EPOCHS = 3, 5  # validation pairs shown, and after how many epochs each time
PROGRESS_SECONDS = 15  # between two notes of the progress


class Streams(NamedTuple):
    """The random draws of a run: each of its own, all from one seed."""

    weights: int
    diseased: np.random.Generator
    healthy: np.random.Generator
    alpha: np.random.Generator


class Best(TypedDict):
    """The epoch of the highest validation score so far; 0 before the first one ends."""

    score: float
    epoch: int
    weights: dict[str, Tensor]


class RunState(TypedDict):
    """All that a killed run goes on from; ``spent`` are seconds of the epoch and of the run."""

    trainer: TrainerState
    history: list[dict[str, float]]
    best: Best
    spent: dict[str, float]


def train_generator(packed: Path, settings: TrainSettings, place: Place) -> Fitted:
    """Train a generator and keep the one of the best epoch.

    An epoch ends with the mean normalised cross-correlation of the validation pairs; the epoch
    where it is highest wins, the later one of a tie. On a processor the same data, settings and
    threads give the same weights to the last bit, also where the job was killed in between: it
    goes on from its last state (see `pipeline.method.training.state`).

    Parameters
    ----------
    packed
        Packed data set (see `pipeline.dataset.packed`).
    settings
        Of the training.
    place
        Where it runs; the losses go to ``tensorboard`` in its folder, to be watched meanwhile.

    Raises
    ------
    InputError
        If the data cannot train a model.
    RuntimeError
        If a loss is not finite or beyond all measure, or the validation score is not finite.
    SystemExit
        After SIGTERM, when the state is written.
    """
    set_precision(settings.precision)
    data = PackedDataset.open(packed)
    shape = _check(data)
    with Termination() as termination, SummaryWriter(place.folder / "tensorboard") as board:
        trainer = build_trainer(data, shape, settings, place.device)
        file = StateFile(state_folder(place.folder), run_definition(settings, packed))
        run = _Run(trainer, data, settings, file, termination, board, place.state_minutes)
        try:
            run.finish()
        except Exception as error:
            run.note(failed=str(error))
            raise
    return Fitted(settings.architecture(len(shape)), run.best["weights"], run.history)


class _Run:
    """The epochs of a training, from its last state on."""

    def __init__(
        self,
        trainer: Trainer,
        data: PackedDataset,
        settings: TrainSettings,
        file: StateFile,
        termination: Termination,
        board: SummaryWriter,
        state_minutes: float,
    ) -> None:
        self.trainer, self.data, self.settings, self.board = trainer, data, settings, board
        self.file, self.termination = file, termination
        self.history: list[dict[str, float]] = []
        self.best: Best = {"score": -math.inf, "epoch": 0, "weights": {}}
        self.state_seconds, self.state_update = 60 * state_minutes, 0
        self.spent = {"epoch": 0.0, "run": 0.0}  # seconds, by jobs before this one
        self.resume()
        self.started = self.epoch_started = self.written = self.noted = time.monotonic()
        self.first_update = trainer.updates
        self.total = settings.total_updates()

    def resume(self) -> None:
        """Go on from the last state, where there is one."""
        state = self.file.load()
        if state is None:
            return
        self.trainer.restore(state["trainer"])
        self.history, self.best, self.spent = state["history"], state["best"], state["spent"]
        self.state_update = self.trainer.updates
        log.info("going on after update %d (%s)", self.trainer.updates, self.file.path)
        for row in self.history:
            self._show(row)

    def finish(self) -> None:
        """Train the epochs that are left."""
        settings = self.settings
        text = f"{settings.method} seed {settings.seed}"
        with progress(
            total=self.total, initial=self.trainer.updates, desc=text, unit="update"
        ) as bar:
            self.note()
            while len(self.history) < settings.epochs:
                self._train_epoch(bar)
                self._end_epoch()
                bar.set_postfix_str(f"NCC {self.best['score']:.3f} at best", refresh=False)

    def _train_epoch(self, bar: tqdm) -> None:
        trainer = self.trainer
        shown: dict[str, str] = {}
        while not trainer.epoch_is_over():
            try:
                network, loss = trainer.update()
            except Diverged as error:
                raise Diverged(f"{error}; {self._last_state()}") from None
            shown[network] = f"{loss:.3g}"
            bar.set_postfix(shown, refresh=False)
            bar.update()
            self.pause()

    def _end_epoch(self) -> None:
        trainer, epoch = self.trainer, len(self.history) + 1
        pairs = score_pairs(trainer.generator, self.data, "validation", after_each=self.pause)
        score = subject_average(pairs)
        if not math.isfinite(score):
            raise Diverged(
                f"the validation score is {score} after epoch {epoch}; {self._last_state()}"
            )
        if score >= self.best["score"]:
            weights = {
                name: weight.detach().cpu().clone()
                for name, weight in trainer.generator.state_dict().items()
            }
            self.best = {"score": score, "epoch": epoch, "weights": weights}
        log.info("epoch %d of %d: validation NCC %.4f", epoch, self.settings.epochs, score)
        self.history.append(
            {
                "epoch": epoch,
                "updates": trainer.updates,
                "generator_updates": trainer.generator_updates,
                **trainer.epoch_means(),
                "validation_ncc": score,
                "seconds": self._spent()["epoch"],
            }
        )
        self._show(self.history[-1])
        if epoch % EXAMPLE_EPOCHS == 0 or epoch == self.settings.epochs:
            index = self.data.pairs_index
            rows = index.loc[index["split"] == "validation", "row"].iloc[:EXAMPLES]
            figure = draw_examples(trainer.generator, self.data.pairs_image[rows.to_numpy()])
            self.board.add_figure("examples", figure, global_step=epoch)
        trainer.begin_epoch()
        self.spent["epoch"], self.epoch_started = 0.0, time.monotonic()
        self.note()

    def _show(self, row: dict[str, float]) -> None:
        for name, value in row.items():
            counted = name in ("epoch", "updates", "generator_updates", "seconds")
            if not counted and not math.isnan(value):
                self.board.add_scalar(name, value, global_step=row["epoch"])

    def _spent(self) -> dict[str, float]:
        """Seconds of training, of the epoch and of the whole run, by all of its jobs."""
        now = time.monotonic()
        return {
            "epoch": self.spent["epoch"] + now - self.epoch_started,
            "run": self.spent["run"] + now - self.started,
        }

    def pause(self) -> None:
        """Between two updates, or two pairs: write the state when it is time to, or to go."""
        now = time.monotonic()
        if self.termination.requested or now - self.written >= self.state_seconds:
            self._write_state()
        if self.termination.requested:
            self.note()
            log.warning("ended by SIGTERM; %s", self._last_state())
            sys.exit(128 + signal.SIGTERM)
        if now - self.noted >= PROGRESS_SECONDS:
            self.note()

    def _write_state(self) -> None:
        if not self.trainer.is_finite():
            raise Diverged(
                f"a weight is not finite at update {self.trainer.updates}; {self._last_state()}"
            )
        state: RunState = {
            "trainer": self.trainer.state(),
            "history": self.history,
            "best": self.best,
            "spent": self._spent(),
        }
        if self.file.save(state):
            self.state_update = self.trainer.updates
        self.written = time.monotonic()

    def _last_state(self) -> str:
        if self.file.path.exists():
            return f"the last good state is of update {self.state_update} ({self.file.path})"
        return "no state had been written yet"

    def note(self, failed: str | None = None) -> None:
        """Tell how far the training is."""
        self.noted = time.monotonic()
        updates = self.trainer.updates
        speed = (updates - self.first_update) / max(self.noted - self.started, 1e-9)
        progress: Progress = {
            "settings": self.settings.to_dict(),
            "epoch": len(self.history),
            "updates": updates,
            "total_updates": self.total,
            "best_epoch": self.best["epoch"] or None,
            "validation_ncc": self.best["score"] if self.best["epoch"] else None,
            "seconds": self._spent()["run"],
            "seconds_left": (self.total - updates) / speed if speed else None,
            "failed": failed,
        }
        write_progress(self.file.folder, progress)


def build_trainer(
    data: PackedDataset,
    shape: tuple[int, ...],
    settings: TrainSettings,
    place: torch.device,
) -> Trainer:
    """Networks, optimisers and batches of a new run, on their device."""
    streams = _streams(settings.seed)
    x1, x0 = _batches(data, shape, settings, streams, place)
    # Weights come from the run's own seed and leave the global random state as it is.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(streams.weights)
        generator = Generator(**settings.architecture(len(shape)))
        critic = build_critic(
            len(shape), settings.critic_weights, settings.critic_base_filters, settings.variant
        )
    critic = without_curvature(critic)
    if place.type == "cpu":  # saves a quarter of the time there
        layout = {2: torch.channels_last, 3: torch.channels_last_3d}[len(shape)]
        generator = generator.to(memory_format=layout)
        critic = critic.to(memory_format=layout)
    return Trainer(generator.to(place), critic.to(place), x1, x0, settings, streams.alpha)


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
    index = data.train_index

    def of_class(label: int, rng: np.random.Generator) -> ClassBatches:
        rows = index.loc[index["label"] == label, "row"].to_numpy()
        if not len(rows):
            raise InputError(f"the packed data have no training image of label {label}")
        return ClassBatches(images, rows, settings.batch_size, shape, rng, device)

    return of_class(1, streams.diseased), of_class(0, streams.healthy)
