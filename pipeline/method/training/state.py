"""The state of a training run on disk: a killed job resumes from it.

The folder ``state`` beside a model lives as long as its training does: Snakemake does not know of
it, so that a failed job leaves it. It holds

- ``{key}.pt``, the last state; the key is a hash of all that defines the run, so that a state is
  never mistaken for one of other settings or data. A new state is written beside and replaces the
  old one when it is whole and on the disk;
- ``progress.json``, how far the training is (see `pipeline.study.status`);
- ``lock``, locked by the operating system while a job trains.
"""

import fcntl
import hashlib
import json
import logging
import os
import pickle
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TypedDict

import torch

from pipeline.method.training.settings import RunSettings
from pipeline.stage.errors import InputError
from pipeline.stage.files import atomic_path, write_json

log = logging.getLogger(__name__)

VERSION = 1  # of the state's contents; another one is another run
PROGRESS = "progress.json"
LOCK = "lock"


class Progress(TypedDict):
    """How far a training is: the contents of ``progress.json``."""

    settings: dict[str, Any]
    epoch: int
    updates: int
    total_updates: int
    best_epoch: int | None
    validation_ncc: float | None
    seconds: float
    seconds_left: float | None
    failed: str | None


def state_folder(model: Path) -> Path:
    """Where the state of the training of `model` (its folder) lies."""
    return Path(model) / "state"


def run_definition(settings: RunSettings, packed: Path) -> dict[str, object]:
    """All that the weights depend on, besides device and threads: settings and contents of files.

    The data are read once from end to end; a training reads them many times.
    """
    data = [path for path in sorted(Path(packed).iterdir()) if path.suffix in (".npy", ".parquet")]
    files = {f"data {path.name}": path for path in data}
    weights = settings.weight_files()
    files |= {f"contents of {name}": path for name, path in weights.items()}
    digests = {}
    for name, path in files.items():
        with path.open("rb") as file:
            digests[name] = hashlib.file_digest(file, "blake2b").hexdigest()[:32]
    definition = {"state version": VERSION} | settings.to_dict()
    # The contents of a file count, wherever it lies.
    return definition | dict.fromkeys(weights, "a file") | digests


class StateFile:
    """The state of one run in its folder.

    Parameters
    ----------
    folder : Path
        See `state_folder`.
    definition : dict
        See `run_definition`.
    """

    def __init__(self, folder: Path, definition: Mapping[str, object]) -> None:
        text = json.dumps(definition, sort_keys=True)
        self.folder, self.definition = Path(folder), definition
        self.path = self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.pt"

    def save(self, state: Mapping[str, object]) -> bool:
        """Write a state; whether that was possible.

        Where it was not (the disk is full), the previous state stays and the training goes on.
        """
        try:
            with atomic_path(self.path) as temporary, temporary.open("wb") as file:
                torch.save({"definition": self.definition, "state": state}, file)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, RuntimeError) as error:
            kept = "the previous state stays" if self.path.exists() else "there is none yet"
            log.warning("the state could not be written (%s); %s", error, kept)
            return False
        return True

    def load(self) -> dict[str, Any] | None:
        """The last state of this run, or None; states of other runs are refused and named."""
        for other in sorted(self.folder.glob("[!.]*.pt")):
            if other != self.path:
                content = _read(other)
                differences = _differences(content["definition"], self.definition)
                log.warning("%s is not resumed, it is of another run: %s", other, differences)
        if not self.path.exists():
            return None
        return _read(self.path)["state"]


def _read(path: Path) -> dict[str, Any]:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise InputError(
            f"{path} is not a readable state ({error}); delete it to train from the start"
        ) from error


def _differences(of_state: Mapping[str, object], of_run: Mapping[str, object]) -> str:
    """What differs: ``lambda 3 -> 5``."""
    names = [name for name in {**of_state, **of_run} if of_state.get(name) != of_run.get(name)]
    return ", ".join(f"{name} {of_state.get(name)} -> {of_run.get(name)}" for name in names)


def write_progress(folder: Path, progress: Progress) -> None:
    """Tell how far a training is; a full disk is no reason to end it."""
    try:
        write_json(progress, folder / PROGRESS)
    except OSError as error:
        log.warning("the progress could not be written (%s)", error)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the operating system frees however the job ends.

    It guards against a second job started by mistake; shared storage that knows no locks goes
    without.

    Raises
    ------
    InputError
        If another job trains this model.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{folder}: another job is training this model") from None
        except OSError as error:
            log.info("no lock of %s (%s)", folder, error.strerror)
        yield


def is_locked(folder: Path) -> bool:
    """Whether a job is training in this folder."""
    try:
        with (folder / LOCK).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no such file, or storage that knows no locks
        pass
    return False


def remove_state(folder: Path) -> None:
    """Remove the folder of a finished training, states of other settings included."""
    shutil.rmtree(folder, ignore_errors=True)


class Termination:
    """Whether SIGTERM came, as a cluster sends it before the time limit.

    A context: the signal only leaves a note, so that an update is never cut in two; the training
    looks at `requested` between updates. Python delivers signals to the main thread alone.
    """

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> "Termination":
        self._previous = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        signal.signal(signal.SIGTERM, self._previous)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
