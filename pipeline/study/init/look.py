"""What an archive shows of itself: the part of a configuration that follows from its files."""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from pipeline.cohort.bids import read_visits
from pipeline.cohort.films import PNG_COLUMNS
from pipeline.cohort.loni import list_images
from pipeline.cohort.names import add_labels, as_label
from pipeline.cohort.plain import OPTIONAL, REQUIRED
from pipeline.cohort.readings import is_given, read_dates, read_numbers
from pipeline.cohort.rejection import usable
from pipeline.cohort.scans import SUFFIXES
from pipeline.cohort.spirometry import SpirometryColumns
from pipeline.cohort.tables import find_table, read_table, table_columns
from pipeline.cohort.visits import add_days
from pipeline.dicom.series import check_series
from pipeline.stage.errors import ImageError, InputError
from pipeline.stage.wording import number_of
from pipeline.study.init.groups import Groups, find_groups

LOOKED_AT = 10  # images of a table, to tell scans from films: some may be damaged
# Other names of columns, as letters and digits in lower case.
OTHER_NAMES = {
    "subject": ("subjectid", "participant", "participantid", "patient", "patientid", "ptid", "id"),
    "session": ("sessionid", "visit", "visitid", "viscode", "timepoint"),
    "path": ("file", "filename", "filepath", "image", "imagepath", "scan"),
    "date": ("scandate", "imagedate", "studydate", "examdate", "visitdate", "acqtime"),
    "day": ("days",),
    "field_strength": ("tesla", "magneticfieldstrength"),
    "site": ("center", "centre", "siteid"),
    "age": ("ageyears", "ageatscan", "ageatvisit"),
    "sex": ("gender",),
}
OTHER_TEST_NAMES = {
    "patient": ("patientid", "patient", "subject", "subjectid", "id"),
    "date": ("testdate", "date", "examdate"),
    "ratio": ("fev1fvc", "fev1fvcratio", "ratio"),
    "transplant": ("transplant", "lungtransplant", "transplanted"),
    "percent_predicted": ("fev1pctpred", "fev1percentpredicted", "fev1pp"),
}


class Look(NamedTuple):
    """Name of a study, its part of the configuration, and remarks on keys of it."""

    name: str
    section: dict[str, Any]
    remarks: dict[str, list[str]]
    missing: list[str]


def look_at_bids(dataset: Path) -> Look:
    """A BIDS dataset; `InputError` as of `read_visits` and `find_groups`."""
    visits = read_visits(dataset)
    columns = [n for n in visits if n not in {"subject", "session", "source", "acq_time", "site"}]
    _add_order(visits, None, visits["acq_time"])
    place = f"{dataset}/sub-*/sub-*_sessions.tsv"
    section = {"source": "bids", "archive": {"dataset": str(dataset)}}
    missing = []
    if not is_given(visits["acq_time"]).all():
        missing.append("visits without acq_time in sessions.tsv are in the order of their names")
    return _with_groups(
        dataset.resolve().name, section, find_groups(visits, columns, place), missing
    )


def look_at_table(table: Path, images: Path | None = None) -> Look:
    """A table of images, a row an image; `images` is the folder that its paths begin in.

    Raises
    ------
    InputError
        As of `read_table` and `find_groups`, and if none of the images is there.
    """
    header = table_columns(table)
    columns = _renamed(header, OTHER_NAMES)
    known = {columns.get(name, name) for name in (*REQUIRED, *OPTIONAL)}
    others = [name for name in header if name and name not in known]
    rows = read_table(table, REQUIRED, [*OPTIONAL, *others], columns)
    folder = images or table.parent
    there = [path for path in rows["path"] if path and os.path.exists(folder / path)]  # noqa: PTH110
    if rows.empty:
        raise InputError(f"{table} has a header and no rows; give a row to each image")
    if not there:
        raise InputError(
            f"{table}: none of its {len(rows)} paths, such as {rows['path'][0]}, leads to a file "
            f"below {folder}; give the folder that they begin in with --images"
        )
    visits = rows.copy()
    add_labels(visits)
    _add_order(visits, visits["day"], visits["date"])
    archive = {"table": str(table)} | ({"images": str(images)} if images else {})
    modality = "brain" if any(_is_scan(folder / path) for path in there[:LOOKED_AT]) else "chest"
    section: dict[str, Any] = {"source": "manifest", "modality": modality, "archive": archive}
    section |= {"columns": columns} if columns else {}
    missing = []
    if not (is_given(rows["day"]) | is_given(rows["date"])).all():
        missing.append("visits without day or date are in the order of their sessions' names")
    groups = find_groups(visits, [name for name in others if name != "source"], str(table))
    return _with_groups(table.stem, section, groups, missing)


def look_at_adni(folder: Path, tables: Path | None = None) -> Look:
    """Folders of LONI, in ``ADNI`` or at once, and ADNI's tables, beside or below them."""
    images = folder / "ADNI" if (folder / "ADNI").is_dir() else folder
    places = [tables] if tables else [folder / "tables", folder, folder.parent / "tables"]
    for place in places:
        with suppress(InputError):
            find_table(place, "ADNIMERGE")
            break
    else:
        looked = ", ".join(map(str, places))
        raise InputError(
            f"there is no table ADNIMERGE.csv in {looked}; give the folder of ADNI's tables with "
            "--tables"
        )
    section = {"source": "adni", "archive": {"images": str(images), "tables": str(place)}}
    if not _has_scans(images, "preprocessed") and _has_scans(images, "original"):
        remark = "as the scanner made them, since no preprocessed T1 image is there"
        return Look("ADNI", section | {"series": "original"}, {"series": [remark]}, [])
    return Look("ADNI", section, {}, [])


def _has_scans(images: Path, series: str) -> bool:
    with suppress(InputError):
        return not usable(list_images(images, series)).empty
    return False


def _is_scan(path: Path) -> bool:
    """Whether a path of a table is of a volume or of slices of MRI; else it is of a film."""
    if path.is_dir() or path.name.lower().endswith(SUFFIXES):
        return True
    with suppress(ImageError):
        check_series(path)
        return True
    return False


def look_at_films(films: Path, spirometry: Path) -> Look:
    """A folder of films and a table of lung function tests; PNG films have a table beside them."""
    renamed = _renamed(table_columns(spirometry), OTHER_TEST_NAMES, vars(SpirometryColumns()))
    section: dict[str, Any] = {"source": "copd"}
    section["archive"] = {"films": str(films)}
    for table in sorted([*films.glob("*.csv"), *films.parent.glob("*.csv")]):
        with suppress(InputError):
            if {*PNG_COLUMNS} <= {*table_columns(table)}:
                section["archive"]["films_table"] = str(table)
                break
    section["archive"]["spirometry"] = str(spirometry)
    section |= {"labels": {"columns": renamed}} if renamed else {}
    secret = "names of subjects are made with pseudonym.key beside the spirometry: never share it"
    return Look("COPD", section, {"archive": [secret]}, [])


def _renamed(
    header: Iterable[str],
    others: Mapping[str, Iterable[str]],
    usual: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Names of columns that differ from the usual ones; what is not found is left out."""
    folded = {as_label(name).lower(): name for name in reversed([*header])}
    renamed = {}
    for name, candidates in others.items():
        expected = (usual or {}).get(name, name)
        there = [folded[candidate] for candidate in candidates if candidate in folded]
        if there and expected.lower() not in folded.values():
            renamed[name] = there[0]
    return renamed


def _add_order(visits: pd.DataFrame, days: pd.Series | None, dates: pd.Series) -> None:
    """Add `day` in place, as far as days and dates can be read; the ingest tells what is wrong."""
    moments = pd.Series(pd.NaT, visits.index, dtype="datetime64[ns]")
    with suppress(InputError):
        moments = read_dates(dates, visits["source"], "date")
    if days is not None:
        with suppress(InputError):
            numbers = read_numbers(days, visits["source"], "day")
            moments = numbers if numbers.notna().any() else moments
    add_days(visits, moments)


def _with_groups(
    name: str, section: dict[str, Any], found: list[Groups], missing: list[str]
) -> Look:
    best, *further = found
    labels = {"column": best.column, "healthy": [best.healthy], "diseased": [best.diseased]}
    remarks = [f"from {best.healthy} to {best.diseased}: {number_of(best.subjects, 'subject')}"]
    if best.others:
        remarks.append(f"neither, so left out: {', '.join(best.others)}")
    remarks += [
        f"or: {{column: {other.column}, healthy: [{other.healthy}], diseased: [{other.diseased}]}}"
        for other in further
    ]
    return Look(name, {**section, "labels": labels}, {"labels": remarks}, missing)
