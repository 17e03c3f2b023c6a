"""Films are prepared in shards: groups of subjects, so that a job has more than one film to do."""

import zlib
from pathlib import Path

import numpy as np
import pandas as pd


def shard_of(subject: str, shards: int) -> int:
    """Shard of a subject, from 0 to `shards` - 1.

    It depends on the subject alone: a new film changes no shard but its own.
    """
    return zlib.crc32(subject.encode()) % shards


def rows_of_shard(frame: pd.DataFrame, shard: int, shards: int) -> pd.DataFrame:
    """Rows whose subject is in a shard."""
    return frame[[shard_of(subject, shards) == shard for subject in frame["subject"]]]


def film_key(subject: str, session: str) -> str:
    """Name of a film within a shard."""
    return f"sub-{subject}_ses-{session}"


def read_film_shard(path: Path) -> dict[str, np.ndarray]:
    """Read the prepared films of a shard.

    Returns
    -------
    dict
        Films (rows, columns), float32 in [-1, 1], by `film_key`. Films that failed are missing.
    """
    with np.load(path, allow_pickle=False) as films:
        return dict(films)
