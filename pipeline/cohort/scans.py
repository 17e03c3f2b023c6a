"""Scans of the brain as an archive holds them: a file a volume, or a series of DICOM slices."""

import os
from contextlib import suppress
from pathlib import Path

import pandas as pd

from pipeline.cohort.rejection import reject, usable
from pipeline.dicom import series
from pipeline.dicom.film import film_format
from pipeline.stage.errors import ImageError
from pipeline.stage.files import files_state
from pipeline.stage.rules import Rule

SUFFIXES = (".nii", ".nii.gz", ".mgh", ".mgz")  # how files of volumes are usually named


def is_series(path: str | Path) -> bool:
    """Whether a path that is there names a series: by a folder, or by one of its DICOM files."""
    if str(path).lower().endswith(SUFFIXES):
        return False  # a study of thousands need not open them
    if os.path.isdir(path):  # noqa: PTH112 - of any text, as in `same_files`
        return True
    try:
        return film_format(Path(path)) == "dicom"
    except FileNotFoundError:
        return False
    except (ImageError, OSError):  # a damaged slice is one
        return str(path).lower().endswith(series.SUFFIXES)


def reject_series(rows: pd.DataFrame, paths: pd.Series, *, originals: bool = False) -> None:
    """Leave out series that are no scan by their headers, in place; see `check_series`.

    Parameters
    ----------
    rows
        Columns rule and reason; rows that are left out already are not looked at.
    paths
        Of the scans, with the index of `rows`.
    originals
        Leave out those that are derived from other images, too.
    """
    for row, path in paths[usable(rows).index].items():
        if not is_series(path):
            continue
        try:
            series.check_series(Path(path), originals=originals)
        except ImageError as error:
            reject(rows, rows.index == row, **error.exclusion)
        except OSError as error:
            why = f"a file of the series cannot be read ({error.strerror})"
            reject(rows, rows.index == row, Rule.UNREADABLE, why)


def series_files(path: str | Path) -> list[os.DirEntry[str]]:
    """Files of the folder of a series, by name."""
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    with os.scandir(folder) as entries:
        return sorted((e for e in entries if e.is_file()), key=lambda entry: entry.name)


def scan_state(path: str | Path) -> str:
    """State of a scan's files; see `files_state`."""
    files: list[os.DirEntry[str]] = []
    with suppress(OSError):  # of a folder that cannot be read
        files = series_files(path) if is_series(path) else []
    return files_state(files or [path])
