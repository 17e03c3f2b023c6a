"""Films are prepared in shards: groups of subjects, so that a job has more than one film to do."""

import zlib

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
