"""A plain manifest: one CSV table that anybody can write, a row an image."""

import logging
import os
import sys
from contextlib import suppress
from pathlib import Path

import pandas as pd

from pipeline.cohort.copies import reject_copies, same_files
from pipeline.cohort.manifest import (
    FIELD_STRENGTHS,
    Cohort,
    nominal_tesla,
    told_ages,
    told_sexes,
)
from pipeline.cohort.names import add_labels
from pipeline.cohort.readings import is_given, read_dates, read_numbers
from pipeline.cohort.rejection import reject, reject_repeated, usable
from pipeline.cohort.scans import reject_series
from pipeline.cohort.spelling import near_misses, tell_near_misses
from pipeline.cohort.tables import read_table
from pipeline.cohort.visits import add_days, label_visits, plain_cohort
from pipeline.stage.rules import Rule

log = logging.getLogger(__name__)

REQUIRED = ["subject", "session", "path"]
OPTIONAL = ["day", "date", "field_strength", "site", "score", "age", "sex"]
NO_FILE = "there is no file of this path"
LARGEST_DAY = 1e7  # Julian days are below it
# What a number may be, and how that is called.
NUMBERS = {
    "day": (-LARGEST_DAY, LARGEST_DAY, "a number of days"),
    "field_strength": (*FIELD_STRENGTHS, "a field strength in tesla"),
    "score": (-sys.float_info.max, sys.float_info.max, "a number"),
}


def ingest_manifest(
    table: Path,
    images: Path,
    *,
    splits: dict,
    labels: dict,
    columns: dict[str, str] | None = None,
    date_format: str | None = None,
    modality: str = "",
) -> Cohort:
    """Read a manifest of volumes or films.

    Parameters
    ----------
    table
        CSV with the columns subject and session (see `add_labels`), path (relative to `images`),
        the column of `labels`, and optionally day (since any day) or date,
        field_strength in tesla, site, score, and age (in years, at the image) and sex. Dates are
        not kept.
    images
        Folder of the images.
    splits, labels
        See `pipeline.cohort.visits`: `plain_cohort` and `label_visits`.
    columns
        Names of columns in the table where they differ, by the names above.
    date_format
        See `read_dates`.
    modality
        Of ``brain`` a path may also name a series of DICOM slices: the folder that holds it, or one
        of its files.

    Raises
    ------
    InputError
        If the table cannot be read, two names fall together, or nothing is left to train on or to
        evaluate. A row with an impossible number or date is excluded.
    """
    optional = [name for name in OPTIONAL if name != labels["column"]]
    rows = read_table(table, [*REQUIRED, labels["column"]], optional, columns)
    rows = rows.assign(rule="", reason="")
    add_labels(rows)
    for name, rule in (("subject", Rule.NO_SUBJECT), ("session", Rule.NO_VISIT)):
        reject(rows, rows[name] == "", rule, f"{name} has no letter or digit")
    told = [*REQUIRED, *optional, labels["column"]]
    rows["diagnosis"] = rows[labels["column"]]
    reject_repeated(rows, ["subject", "session"], told, "image")
    reject(rows, rows["path"] == "", Rule.NO_FILE, "the row has no path")
    rows["path"] = [str(Path(images) / path) for path in rows["path"]]
    volumes = modality == "brain"
    files = pd.Series(same_files(rows["path"], folders=volumes), rows.index, dtype=object)
    reject_copies(rows, files, rows["source"])
    _tell_missing(rows, files == "")
    if volumes:
        reject_series(rows, rows["path"])
    for name, (least, largest, expected) in NUMBERS.items():
        given = is_given(rows[name])
        rows[name] = read_numbers(rows[name], rows["source"], name)
        impossible = given & ~rows[name].between(least, largest)
        reject(rows, impossible, Rule.BAD_VALUE, f"{name} is not {expected}")
    rows["field_strength"] = nominal_tesla(rows["field_strength"])
    moments = read_dates(rows["date"], rows["source"], "date", date_format)
    undated = is_given(rows["date"]) & moments.isna()
    reject(rows, undated, Rule.BAD_VALUE, "date is not a date as the others are")
    rows["age"], rows["sex"] = told_ages(rows["age"]), told_sexes(rows["sex"])
    label_visits(rows, labels)
    visits = usable(rows).copy()
    add_days(visits, visits["day"] if visits["day"].notna().any() else moments[visits.index])
    rows["day"] = visits["day"].reindex(rows.index, fill_value=0)
    cohort = plain_cohort(rows.assign(date=""), {}, splits, Path(table).name)
    log.info(
        "%s: %d of %d images are in the cohort", Path(table).name, len(cohort.manifest), len(rows)
    )
    return cohort


def images_elsewhere(table: Path, images: Path, columns: dict[str, str] | None = None) -> list[str]:
    """Images that a manifest names outside the folder `images`; arguments of `ingest_manifest`."""
    folder = os.path.normpath(Path(images).absolute())
    paths = read_table(table, ["path"], columns=columns)["path"]
    named = {os.path.normpath(Path(folder, path)) for path in paths if path}
    return sorted(path for path in named if not Path(path).is_relative_to(folder))


def _tell_missing(rows: pd.DataFrame, missing: pd.Series) -> None:
    """Leave out rows whose file is missing, in place; another of nearly its name is told."""
    paths = dict(zip(rows["source"][missing], rows["path"][missing], strict=True))
    there = {}
    for folder in {os.path.dirname(path) for path in paths.values()}:  # noqa: PTH120 - of any text
        with suppress(OSError):
            there |= {file: file for file in map(str, Path(folder).iterdir())}
    misses = near_misses(paths, there)
    tell_near_misses(misses, "rows find no file", found=not missing.all())
    told = [f"{NO_FILE}: {misses[row]}" if row in misses else NO_FILE for row in rows["source"]]
    reject(rows, missing, Rule.NO_FILE, pd.Series(told, rows.index, dtype=object))
