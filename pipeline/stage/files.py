"""Atomic files: a result is there whole or not at all."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:  # most stages have no table: they start without pandas
    import pandas as pd


# Columns that name something, whatever the name looks like.
NAMES = ("dataset", "method", "subject", "session", "baseline", "followup")


def _temporary(destination: Path) -> Path:
    # A fixed name, in front, so that suffixes stay (".nii.gz" decides the format), the rename stays
    # on one file system, and a rerun after a kill overwrites what the killed job left.
    return destination.with_name(f".partial-{destination.name}")


def files_state(files: Iterable[str | os.PathLike[str]]) -> str:
    """Changes whenever one of some files does, be it to an older one, which Snakemake passes over.

    Parameters
    ----------
    files
        Their paths; one that is not there has a state, too.

    Returns
    -------
    str
        A hash, since names may tell of the patient.
    """
    digest = hashlib.sha256()
    for file in files:
        digest.update(os.fsencode(file))
        with suppress(OSError, ValueError):
            stat = Path(file).stat()
            digest.update(f" {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


@contextmanager
def atomic_path(destination: Path) -> Iterator[Path]:
    """Yield a path to write to; it becomes `destination` when the block ends without error."""
    destination = Path(destination)
    destination.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(destination)
    temporary.unlink(missing_ok=True)
    try:
        yield temporary
        temporary.replace(destination)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_private_file(destination: Path) -> Iterator[TextIO]:
    """Yield a text file that becomes `destination`, readable by its owner only."""
    with atomic_path(destination) as temporary:
        # Never readable by others, not even for a moment.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file


@contextmanager
def atomic_directory(destination: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; it replaces `destination` when the block ends well."""
    destination = Path(destination)
    destination.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(destination)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        shutil.rmtree(destination, ignore_errors=True)
        temporary.replace(destination)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sha256(path: Path) -> str:
    """Hash of a file's contents."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(data: Any, path: Path) -> None:
    """Write `data` as indented JSON."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_parquet(frame: "pd.DataFrame", path: Path) -> None:
    """Write a table as Parquet, without its index."""
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, index=False)


def write_csv(frame: "pd.DataFrame", path: Path) -> None:
    """Write a table as CSV, without its index."""
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False)


def read_csv(path: Path) -> "pd.DataFrame":
    """Read a table that `write_csv` wrote; `NAMES` are text, also ``NA`` and ``007``."""
    import pandas as pd

    names = dict.fromkeys(NAMES, str)
    return pd.read_csv(path, dtype=names, keep_default_na=False, na_values=[""])
