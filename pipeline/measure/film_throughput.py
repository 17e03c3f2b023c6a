"""Speed and memory of the preparation of films, beside decoding them alone."""

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pandas as pd
from pydicom import dcmread

from pipeline.chest.prepare import prepare_film
from pipeline.chest.prepare_shard import prepare_film_shard
from pipeline.dicom.film import film_format, read_film
from pipeline.stage.errors import ImageError, InputError

SHARD = 64  # films


def benchmark_films(folder: Path, *, resize: int, processes: int) -> pd.DataFrame:
    """Measure how fast the films of a folder are decoded, and how fast prepared.

    Every file is read once beforehand, so that the disk does not count. Each measurement has fresh
    processes, which share the films evenly. Decoding is what any reader has to do: reading the file
    and pydicom's `pixel_array`. Preparing is the stage, into shards that are written, too.

    Parameters
    ----------
    folder
        DICOM films at any depth; files that are none, or cannot be prepared, do not count.
    resize
        Side of the prepared films, pixels.
    processes
        How many work at the same time.

    Returns
    -------
    pandas.DataFrame
        A row each for ``decode`` and ``prepare``: columns work, films, films_per_s (by the clock),
        cpu_ms (of the processor, a film) and peak_mib (largest memory of a process).

    Raises
    ------
    InputError
        If the folder has no film.
    """
    paths = [path for path in sorted(Path(folder).rglob("*")) if _can_be_prepared(path, resize)]
    if not paths:
        raise InputError(f"{folder} holds no DICOM film that can be prepared")
    rows = []
    for name, work in (("decode", _decode), ("prepare", partial(_prepare, resize=resize))):
        shares = [paths[first::processes] for first in range(processes)]
        fresh = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes, mp_context=fresh) as pool:
            list(pool.map(partial(_measure, work), [share[:1] for share in shares]))
            started = time.perf_counter()
            measured = list(pool.map(partial(_measure, work), shares))
            seconds = time.perf_counter() - started
        rows.append(
            {
                "work": name,
                "films": len(paths),
                "films_per_s": len(paths) / seconds,
                "cpu_ms": 1000 * sum(cpu for cpu, _ in measured) / len(paths),
                "peak_mib": max(peak for _, peak in measured),
            }
        )
    return pd.DataFrame(rows)


def _can_be_prepared(path: Path, resize: int) -> bool:
    try:
        if not path.is_file() or film_format(path) != "dicom":
            return False
        prepare_film(read_film(path), resize)
    except ImageError:
        return False
    return True


def _decode(paths: Sequence[Path]) -> None:
    for path in paths:
        _ = dcmread(path).pixel_array


def _prepare(paths: Sequence[Path], *, resize: int) -> None:
    films = pd.DataFrame({"subject": [f"{n}" for n in range(len(paths))], "path": paths})
    with tempfile.TemporaryDirectory() as folder:
        for first in range(0, len(films), SHARD):
            shard = films[first : first + SHARD].assign(session="film")
            destination = Path(folder) / f"{first}.npz"
            prepare_film_shard(shard, destination, destination.with_suffix(".csv"), resize=resize)


def _measure(work: Callable[[Sequence[Path]], None], paths: Sequence[Path]) -> tuple[float, float]:
    """Seconds of the processor for all of `paths`, and peak memory of a process in MiB.

    Compressed films are decoded in children of this process, which count.
    """

    def used() -> list[resource.struct_rusage]:
        return [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]

    def seconds() -> float:
        return sum(user.ru_utime + user.ru_stime for user in used())

    started = seconds()
    work(paths)
    return seconds() - started, max(user.ru_maxrss for user in used()) / 1024
