"""The films of an archive: which files are usable PA films, from headers alone."""

import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from pipeline.cohort.copies import reject_copies
from pipeline.cohort.readings import read_dates
from pipeline.cohort.rejection import reject, reject_repeated, usable
from pipeline.cohort.spelling import near_misses, tell_near_misses
from pipeline.cohort.tables import read_table
from pipeline.dicom.film import NO_FILM, film_format, is_radiography, read_film, read_header
from pipeline.dicom.view import decide_view
from pipeline.stage.content import content_hash
from pipeline.stage.errors import ImageError, InputError
from pipeline.stage.progress import progress
from pipeline.stage.rules import Rule

log = logging.getLogger(__name__)

FILM_COLUMNS = [
    *("path", "source", "patient", "birth", "sex", "study", "image", "derived", "date"),
    *("view_reason", "rule", "reason"),
]
OF_FILE_MANAGERS = {"Thumbs.db", "desktop.ini"}  # which looking at a folder writes
SUSPICIOUS_SHARE = 0.1  # of the films, lost as copies or by studies of several films
PNG_COLUMNS = ["path", "patient_id", "date"]


def list_films(
    folder: Path, films_table: Path | None = None, date_format: str | None = None
) -> pd.DataFrame:
    """List every file of an archive, with rule and reason where it is no usable PA film.

    Parameters
    ----------
    folder
        Folder of the films, at any depth, whatever the names of the files.
    films_table
        CSV table of the PNG and JPEG films: path relative to `folder`, patient_id, date
        and optionally view (as ViewPosition; else the file name tells).
    date_format
        See `read_dates`.

    Returns
    -------
    pandas.DataFrame
        Columns path, source (path relative to `folder`, or ``FILE.csv:line`` for a row of the table
        that has no file), patient (identifier), birth (date) and sex of the patient where the file
        tells, study, image (identifiers), derived (see `FilmHeader`), date, view_reason
        (what the projection was decided from), rule and reason (``""`` for usable films), in the
        order of the paths.

    Raises
    ------
    InputError
        If the folder is missing or has no files, or if the table is wrong.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"films: {folder} is not a folder; it should hold the chest films")
    tables = {films_table.resolve()} if films_table else set()
    # Hidden files are notes of file managers and workflow engines, not part of an archive.
    files = sorted(
        path
        for path in folder.rglob("[!.]*")
        if path.is_file() and path.name not in OF_FILE_MANAGERS and path.resolve() not in tables
    )
    if not files:
        raise InputError(f"films: there are no files below {folder}")
    listed, repeated = _read_films_table(films_table, date_format) if films_table else ({}, [])
    rows = []
    with progress(total=len(files), desc="reading headers", unit="film") as bar:
        for path in files:
            relative = path.relative_to(folder).as_posix()
            row = {"path": str(path), "source": _printable(relative)}
            row |= {"rule": "", "reason": ""}
            try:
                if row["source"] != relative:
                    raise ImageError(Rule.MISNAMED, "the name of the file is not UTF-8")
                if film_format(path) != "dicom":
                    row |= _listed_film(relative, listed.pop(relative, None))
                else:
                    row |= _dicom_film(path)
            except ImageError as error:
                row |= error.exclusion
            except OSError as error:
                reason = f"the file cannot be opened: {error.strerror}"
                row |= {"rule": Rule.UNREADABLE, "reason": reason}
            rows.append(row)
            bar.update()
    absent = {"rule": Rule.NO_FILE, "reason": "the archive has no PNG or JPEG film of this name"}
    unlisted = {row["source"]: row["source"] for row in rows if row["rule"] == Rule.NOT_LISTED}
    rows += [{"source": row["source"], **absent} for row in listed.values()] + repeated
    films = pd.DataFrame(rows, columns=FILM_COLUMNS)
    misses = near_misses({row["source"]: path for path, row in listed.items()}, unlisted)
    known = films["rule"].isin([Rule.NOT_LISTED, Rule.NO_FILE]).all()
    tell_near_misses(misses, "rows of the films table find no film", found=not known)
    near = films["source"].map(lambda source: f": {misses[source]}" if source in misses else "")
    films["reason"] = films["reason"] + near
    for day in ("date", "birth"):
        films[day] = pd.to_datetime(films[day], errors="coerce")
    texts = ["path", "patient", "sex", "study", "image", "view_reason"]
    films[texts] = films[texts].fillna("")
    reject(films, films["date"].isna(), Rule.NO_DATE, "the date is missing or not a date")
    early = films["date"] < films["birth"]
    reject(films, early, Rule.BEFORE_BIRTH, "the film is dated before the patient's birth")
    return _one_per_study(films)


def _dicom_film(path: Path) -> dict:
    header = read_header(path)
    row = {
        "patient": header.patient_id,
        "birth": header.birth_date,
        "sex": header.sex,
        "study": header.study_uid,
        "image": header.sop_uid,
        "derived": header.derived,
        "date": header.study_date,
        "view_reason": header.view_reason,
    }
    if not is_radiography(header.modality):
        row |= {"rule": Rule.OTHER_MODALITY, "reason": NO_FILM}
    elif header.view != "PA":
        row |= _not_pa(header.view, header.view_reason)
    elif not header.patient_id:
        row |= {"rule": Rule.NO_SUBJECT, "reason": "PatientID is missing"}
    elif not header.study_uid or not header.sop_uid:
        missing = "StudyInstanceUID or SOPInstanceUID is missing"
        row |= {"rule": Rule.NO_VISIT, "reason": missing}
    return row


def _listed_film(relative: str, listed: dict | None) -> dict:
    if listed is None:
        raise ImageError(Rule.NOT_LISTED, "a PNG or JPEG film that is not in the films table")
    if listed["rule"]:
        raise ImageError(listed["rule"], listed["reason"])
    view, reason = decide_view(listed["view"], "", "", Path(relative).stem)
    row = {
        "patient": listed["patient_id"],
        # A PNG or JPEG has no study: films of one patient on one day count as one.
        "study": f"{listed['patient_id']} {listed['date']}",
        "image": relative,
        "derived": 0,
        "date": listed["date"],
        "view_reason": reason,
    }
    if view != "PA":
        row |= _not_pa(view, reason)
    elif not listed["patient_id"]:
        row |= {"rule": Rule.NO_SUBJECT, "reason": "the patient's id is missing"}
    return row


def _not_pa(view: str, reason: str) -> dict[str, str]:
    if view:
        told = f"not a PA film: {view}, by its {reason}"
        return {"rule": Rule.OTHER_VIEW, "reason": told}
    if reason == "ViewPosition":
        return {"rule": Rule.OTHER_VIEW, "reason": "not a PA film: another ViewPosition"}
    return {"rule": Rule.UNKNOWN_VIEW, "reason": f"not known to be a PA film: {reason}"}


def _read_films_table(path: Path, date_format: str | None) -> tuple[dict[str, dict], list[dict]]:
    """Rows by the paths of their films, and rows that repeat others."""
    table = read_table(path, PNG_COLUMNS, ["view"]).assign(rule="", reason="")
    reject_repeated(table, ["path"], ["patient_id", "date", "view"], "film")
    table["date"] = read_dates(table["date"], table["source"], "date", date_format)
    repeated = table["rule"] == Rule.REPEATED
    again = table.loc[repeated, ["source", "rule", "reason"]].to_dict("records")
    return {row["path"]: row for row in table[~repeated].to_dict("records")}, again


def _one_per_study(films: pd.DataFrame) -> pd.DataFrame:
    """Exclude copies of an image, then studies with several PA films, as the published code does.

    Anonymisers write one UID into many files. So an image of the same SOPInstanceUID is a copy only
    if its pixels are the same, and a study is of one patient and one day. What was made from an
    original beside it is no further film.
    """
    candidates = usable(films)
    named_alike = candidates[candidates["image"].duplicated(keep=False)]
    content = pd.Series("", films.index)
    for index, path in named_alike["path"].items():
        try:
            content[index] = content_hash(read_film(path))
        except ImageError as error:
            reject(films, films.index == index, **error.exclusion)
        except OSError:
            pass  # the preparation tells
    compared = films.assign(subject=films["patient"])
    reject_copies(compared, content, films["source"])
    films[["rule", "reason"]] = compared[["rule", "reason"]]
    study = ["patient", "date", "study"]
    candidates = usable(films)
    made = candidates["derived"] > candidates.groupby(study)["derived"].transform("min")
    made = films.index.isin(candidates.index[made])
    reject(films, made, Rule.NOT_CHOSEN, "the study has the original of this film")
    candidates = usable(films)
    several = films.index.isin(candidates.index[candidates.duplicated(study, keep=False)])
    reject(films, several, Rule.SEVERAL_FILMS, "the study has several PA films")
    return films


def many_lost(rules: Iterable[str]) -> list[str]:
    """Sentences on rules by which suspiciously many films go, as they do by wrong UIDs.

    Parameters
    ----------
    rules
        Rule of each film of an archive, ``""`` for those that are used.
    """
    counts = Counter(rules)
    return [
        f"films that go because of this: {counts[rule]} of {counts.total()}: {rule.title}. "
        "Look whether an anonymiser gave studies or images one UID"
        for rule in (Rule.COPY, Rule.SEVERAL_FILMS)
        if counts[rule] > SUSPICIOUS_SHARE * counts.total()
    ]


def _printable(name: str) -> str:
    """Name that can be written as UTF-8; file names may be any bytes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
