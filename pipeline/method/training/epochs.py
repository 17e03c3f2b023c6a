"""The epochs of a training, whatever is trained: validation, the best weights, and its state."""

import logging
import math
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypedDict

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from pipeline.dataset.packed import PackedDataset
from pipeline.method.explain import score_pairs
from pipeline.method.interface import Explainer, Fitted, Place
from pipeline.method.ncc import subject_average
from pipeline.method.training.device import set_precision
from pipeline.method.training.examples import draw_examples
from pipeline.method.training.settings import RunSettings
from pipeline.method.training.state import (
    Progress,
    StateFile,
    Termination,
    run_definition,
    state_folder,
    write_progress,
)
from pipeline.stage.errors import InputError
from pipeline.stage.progress import progress

log = logging.getLogger(__name__)

EXAMPLES, EXAMPLE_EPOCHS = 3, 5  # validation pairs shown, and after how many epochs each time
PROGRESS_SECONDS = 15  # between two notes of the progress
DIVERGED = 1e6  # size of a loss term from which on nothing is learned any more


class Diverged(RuntimeError):
    """A loss is not a number, or beyond all measure."""


def refuse_divergence(losses: Mapping[str, float], update: int) -> None:
    """Raise `Diverged` where a term of the loss is not finite or larger than `DIVERGED`."""
    for name, value in losses.items():
        if not abs(value) < DIVERGED:
            raise Diverged(f"{name} is {value:g} at update {update}")


class Trainee(Protocol):
    """What is trained: networks with their optimisers and data, and their updates.

    Attributes
    ----------
    updates : int
        Done so far.
    """

    updates: int

    @property
    def model(self) -> Explainer:
        """What explains the validation pairs, and whose weights are kept."""

    def begin_epoch(self) -> None:
        """Forget the losses of the last epoch."""

    def epoch_is_over(self) -> bool:
        """Whether the epoch has all of its updates."""

    def epoch_means(self) -> dict[str, float]:
        """Mean of each term of the losses in this epoch; NaN where there was none."""

    def counts(self) -> dict[str, int]:
        """Updates so far, as the history tells them."""

    def update(self) -> tuple[str, float]:
        """The next update: which network was trained, and its loss; `Diverged` where it failed."""

    def state(self) -> Mapping[str, Any]:
        """Everything that the following updates depend on."""

    def restore(self, state: Any) -> None:
        """Go on from a `state`."""

    def is_finite(self) -> bool:
        """Whether every weight is a number."""


class Best(TypedDict):
    """The epoch of the highest validation score so far; 0 before the first one ends."""

    score: float
    epoch: int
    weights: dict[str, Tensor]


class RunState(TypedDict):
    """All that a killed run goes on from; ``spent`` are seconds of the epoch and of the run."""

    trainer: Mapping[str, Any]
    history: list[dict[str, float]]
    best: Best
    spent: dict[str, float]


def fit_by_epochs(
    packed: Path,
    settings: RunSettings,
    place: Place,
    build: Callable[[PackedDataset, tuple[int, ...]], Trainee],
) -> Fitted:
    """Train, and keep the weights of the best epoch.

    An epoch ends with the mean normalised cross-correlation of the validation pairs; the epoch
    where it is highest wins, the later one of a tie. On a processor the same data, settings and
    threads give the same weights to the last bit, also where the job was killed in between: it
    goes on from its last state (see `pipeline.method.training.state`).

    Parameters
    ----------
    packed
        Folder of the packed data set (see `pipeline.dataset.packed`).
    settings
        Of the training.
    place
        Where it runs; the losses go to ``tensorboard`` in its folder, to be watched meanwhile.
    build
        Makes what is trained, at its start, of the data set and the shape of its images.

    Raises
    ------
    InputError
        If the data cannot train a model.
    RuntimeError
        If a loss is not finite or beyond all measure, or the validation score is not finite.
    SystemExit
        After SIGTERM, when the state is written.
    """
    data = PackedDataset.open(packed)
    shape = image_shape(data)
    trainee = build(data, shape)
    set_precision(settings.precision)
    with Termination() as termination, SummaryWriter(place.folder / "tensorboard") as board:
        file = StateFile(state_folder(place.folder), run_definition(settings, packed))
        run = _Run(trainee, data, settings, file, termination, board, place.state_minutes)
        try:
            run.finish()
        except Exception as error:
            run.note(failed=str(error))
            raise
    return Fitted(settings.architecture(len(shape)), run.best["weights"], run.history)


def image_shape(data: PackedDataset) -> tuple[int, ...]:
    """Shape of the images that networks see: that of the evaluation pairs.

    Raises
    ------
    InputError
        If the data cannot train a model.
    """
    if not (data.pairs_index["split"] == "validation").any():
        raise InputError("the packed data have no validation pair to choose the best epoch with")
    shape, available = data.pairs_image.shape[1:], data.train.shape[1:]
    if len(shape) != len(available) or any(a < s for a, s in zip(available, shape, strict=True)):
        raise InputError(f"training images of {available} are smaller than the pairs' {shape}")
    return shape


class _Run:
    """The epochs of a training, from its last state on."""

    def __init__(
        self,
        trainer: Trainee,
        data: PackedDataset,
        settings: RunSettings,
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
        pairs = score_pairs(trainer.model, self.data, "validation", after_each=self.pause)
        score = subject_average(pairs)
        if not math.isfinite(score):
            raise Diverged(
                f"the validation score is {score} after epoch {epoch}; {self._last_state()}"
            )
        if score >= self.best["score"]:
            weights = {
                name: weight.detach().cpu().clone()
                for name, weight in trainer.model.state_dict().items()
            }
            self.best = {"score": score, "epoch": epoch, "weights": weights}
        log.info("epoch %d of %d: validation NCC %.4f", epoch, self.settings.epochs, score)
        self.history.append(
            {
                "epoch": epoch,
                **trainer.counts(),
                **trainer.epoch_means(),
                "validation_ncc": score,
                "seconds": self._spent()["epoch"],
            }
        )
        self._show(self.history[-1])
        if epoch % EXAMPLE_EPOCHS == 0 or epoch == self.settings.epochs:
            index = self.data.pairs_index
            rows = index.loc[index["split"] == "validation", "row"].iloc[:EXAMPLES]
            figure = draw_examples(trainer.model, self.data.pairs_image[rows.to_numpy()])
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
