"""A BIDS dataset: T1w images, participants.tsv and the sessions.tsv of the subjects."""

import logging
import re
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.cohort.copies import reject_copies, same_files
from pipeline.cohort.derivatives import by_preference
from pipeline.cohort.manifest import (
    FIELD_STRENGTHS,
    Cohort,
    nominal_tesla,
    told_ages,
    told_sexes,
)
from pipeline.cohort.names import add_labels
from pipeline.cohort.readings import read_dates
from pipeline.cohort.rejection import reject, reject_repeated, usable
from pipeline.cohort.spelling import near_misses, tell_near_misses
from pipeline.cohort.tables import read_table, table_columns
from pipeline.cohort.visits import add_days, label_visits, plain_cohort
from pipeline.stage.content import NOT_HERE
from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json
from pipeline.stage.rules import Rule

log = logging.getLogger(__name__)

_FOLDERS = re.compile(r"sub-(?P<subject>[^/]+)/(ses-(?P<session>[^/]+)/)?(anat|t1_linear)/")
_NAME = re.compile(r"sub-[^/]+_T1w")
_ENTITIES = re.compile(r"(_[a-z]+-[A-Za-z0-9]+)*_T1w")  # behind those of the folders
ONLY_SESSION = "1"  # name of the one visit of a subject without session folders
MISSING = "n/a"


def ingest_bids(
    dataset: Path,
    derivatives: Path | None = None,
    *,
    splits: dict,
    labels: dict,
    columns: dict[str, str] | None = None,
    date_format: str | None = None,
    prepared: str = "raw",
) -> Cohort:
    """Read a BIDS dataset.

    Parameters
    ----------
    dataset
        Folder with ``sub-*/[ses-*/]anat/*_T1w.nii[.gz]``; the visits of a subject are described in
        ``sub-*/sub-*_sessions.tsv``, subjects in ``participants.tsv``; one of the two tells the
        diagnosis. Of several T1w images of a visit the first by name is used.
    derivatives
        Folder of the images, laid out alike, where those of `dataset` were prepared elsewhere.
    splits, labels
        See `pipeline.cohort.visits`: `plain_cohort` and `label_visits`. The column of `labels` is
        looked for among the subject's sessions, then among the participants.
    columns
        Names of columns in the tables where they differ from the standard's: participant_id,
        session_id, acq_time, site, age, sex. A participant's age is that of the first visit, if
        no row of the visit tells one.
    date_format
        See `read_dates`.
    prepared
        What was done to the images; of several of a visit see `by_preference`, unless ``raw``.

    Returns
    -------
    Cohort
        Each image and row of the tables is used or among the exclusions. The field strength is
        MagneticFieldStrength, as of `nominal_tesla`, of the JSON file beside the image, or of
        T1w.json in the folder of the dataset. Dates are not kept.

    Raises
    ------
    InputError
        If a table cannot be read, there are no images, or nothing is left to train on or to
        evaluate.
    """
    dataset = Path(dataset)
    images = _list_images(Path(derivatives or dataset))
    if prepared != "raw":
        images = by_preference(images, prepared)
    files = pd.Series(same_files(images["path"]))
    reject(images, files == "", Rule.NO_FILE, f"a link: {NOT_HERE}")
    reject_copies(images, files, images["source"])
    column = labels["column"]
    # The diagnosis may be told by one of the other columns.
    of_people = list(dict.fromkeys(["site", "age", "sex", column]))
    of_visits = list(dict.fromkeys(["acq_time", "age", column]))
    people = _read_participants(dataset, of_people, columns)
    visits = _read_sessions(dataset, of_visits, columns)
    add_labels(images, people, visits)
    if (people[column] == "").all() and (visits[column] == "").all():
        raise InputError(
            f"{dataset}: no participants.tsv or sessions.tsv has a column {column!r}, in which "
            "labels.column looks for the diagnosis"
        )
    reject_repeated(people, ["subject"], of_people, "participant")
    reject_repeated(visits, ["subject", "session"], of_visits, "visit")
    by_subject = people[people["rule"] != Rule.REPEATED].drop_duplicates("subject")
    by_visit = visits[visits["rule"] != Rule.REPEATED].drop_duplicates(["subject", "session"])
    keys = pd.MultiIndex.from_frame(images[["subject", "session"]])
    at_visit = by_visit.set_index(["subject", "session"]).reindex(keys).set_axis(images.index)
    of_subject = by_subject.set_index("subject").reindex(images["subject"]).set_axis(images.index)
    images["diagnosis"] = at_visit[column]
    unknown = images["diagnosis"].isna() | (images["diagnosis"] == "")
    images["diagnosis"] = images["diagnosis"].mask(unknown, of_subject[column])
    for rows, concerned in ((at_visit, True), (of_subject, unknown)):
        contradictory = concerned & (rows["rule"] == Rule.CONTRADICTION)
        reject(images, contradictory, Rule.CONTRADICTION, rows["reason"])
    images["diagnosis"] = images["diagnosis"].fillna("")
    images["site"] = of_subject["site"].fillna("")
    agreed = of_subject["rule"] != Rule.CONTRADICTION
    images["sex"] = told_sexes(of_subject["sex"].where(agreed).fillna(""))
    _exclude_misspelt(images, people, visits, column)
    label_visits(images, labels)
    twice = usable(images).duplicated(["subject", "session"])
    twice = twice.reindex(images.index, fill_value=False)
    reject(images, twice, Rule.NOT_CHOSEN, "another T1w of the visit is used")

    visited = usable(images).copy()
    times, lines = (at_visit[name].fillna("") for name in ("acq_time", "source"))
    moments = read_dates(times, lines, "acq_time", date_format)
    add_days(visited, moments[visited.index])
    images["day"] = visited["day"].reindex(images.index, fill_value=0)
    of_all = images[["subject", "session"]].copy()  # a visit may be the first and not be used
    add_days(of_all, moments)
    is_first = agreed & (of_all["day"] == 0)
    at_first = told_ages(of_subject["age"].where(is_first).fillna(""))
    images["age"] = told_ages(at_visit["age"].fillna("")).fillna(at_first)
    tesla = [
        _field_strength(dataset, Path(source), Path(path)) if not rule else np.nan
        for source, path, rule in zip(images["source"], images["path"], images["rule"], strict=True)
    ]
    images["field_strength"] = nominal_tesla(pd.Series(tesla, images.index, dtype=float))
    images = images.assign(date="", score=np.nan)
    unseen = ~people["subject"].isin(images["subject"])
    reject(people, unseen, Rule.NO_IMAGE, "the participant has no T1w image")
    pictured = pd.MultiIndex.from_frame(images[["subject", "session"]])
    seen = pd.MultiIndex.from_frame(visits[["subject", "session"]]).isin(pictured)
    reject(visits, ~seen, Rule.NO_IMAGE, "the visit has no T1w image")
    cohort = plain_cohort(
        images, {"participant": people, "visit": visits}, splits, f"BIDS dataset {dataset.name}"
    )
    log.info("BIDS: %d of %d T1w images are in the cohort", len(cohort.manifest), len(images))
    return cohort


def read_visits(dataset: Path) -> pd.DataFrame:
    """All that the tables of a dataset tell of the visits with an image, before any choice.

    Returns
    -------
    pandas.DataFrame
        A row a visit: subject, session, source and, as text (``""`` where missing), acq_time and
        every other column of the sessions tables and of participants.tsv; what the sessions tables
        do not tell is the participant's.

    Raises
    ------
    InputError
        If a table cannot be read, or there are no images.
    """
    dataset = Path(dataset)
    tables = [dataset / "participants.tsv", *sorted(dataset.glob("sub-*/sub-*_sessions.tsv"))]
    named = [name for path in tables if path.is_file() for name in table_columns(path)]
    own = {"participant_id", "session_id", "subject", "session", "source", "rule", "reason", ""}
    names = [name for name in dict.fromkeys(["acq_time", *named]) if name not in own]
    images = _list_images(dataset)
    people, visits = (read(dataset, names, None) for read in (_read_participants, _read_sessions))
    add_labels(images, people, visits)
    keys = ["subject", "session"]
    rows = images[[*keys, "source"]].drop_duplicates(keys, ignore_index=True)
    at_visit = rows[keys].merge(visits.drop_duplicates(keys), how="left", on=keys)[names]
    people = people.drop_duplicates("subject")
    of_subject = rows[["subject"]].merge(people, how="left", on="subject")[names]
    told = at_visit.where(at_visit.notna() & (at_visit != ""), of_subject)
    return rows.join(told.fillna("").astype(object))


def _exclude_misspelt(
    images: pd.DataFrame, people: pd.DataFrame, visits: pd.DataFrame, column: str
) -> None:
    """Leave out images whose row of a table is found only if names are written alike, in place."""
    lost = usable(images)
    lost = lost[lost["diagnosis"] == ""]
    for table, keys in ((visits, ["subject", "session"]), (people, ["subject"])):
        told = table[table[column] != ""]
        names, others = (
            {row[0]: " ".join(row[1:]) for row in rows[["source", *keys]].itertuples(index=False)}
            for rows in (lost, told)
        )
        misses = near_misses(names, others)
        found = bool((images["diagnosis"] != "").any())
        tell_near_misses(misses, "images find no row with a diagnosis", found=found)
        why = "the name in the table is written otherwise: " + images["source"].map(misses).fillna(
            ""
        )
        reject(images, images["source"].isin(misses), Rule.NO_DIAGNOSIS, why)


def _list_images(dataset: Path) -> pd.DataFrame:
    folders = ("sub-*/anat", "sub-*/ses-*/anat", "sub-*/ses-*/t1_linear")  # the last: Clinica
    patterns = [f"{folder}/*_T1w.nii*" for folder in folders]
    rows = []
    for path in sorted(path for pattern in patterns for path in dataset.glob(pattern)):
        if not path.name.endswith((".nii", ".nii.gz")):
            continue
        source = path.relative_to(dataset).as_posix()
        row = {"path": str(path), "source": source, "subject": "", "session": ""}
        row |= {"rule": "", "reason": ""}
        folders = _FOLDERS.match(source)
        row |= {"subject": folders["subject"], "session": folders["session"] or ONLY_SESSION}
        stem = path.name.removesuffix(".gz").removesuffix(".nii")
        own = "_".join(source.split("/")[:-2])
        if not _NAME.fullmatch(stem):
            reason = "the file name is not sub-<label>[_ses-<label>]..._T1w"
            row |= {"rule": Rule.MISNAMED, "reason": reason}
        elif not stem.startswith(own) or not _ENTITIES.fullmatch(stem.removeprefix(own)):
            reason = "the file name and the folders belong to different visits"
            row |= {"rule": Rule.MISNAMED, "reason": reason}
        rows.append(row)
    if not rows:
        raise InputError(
            f"{dataset} holds no T1w image; expected sub-<label>/[ses-<label>/]anat/..._T1w.nii.gz"
        )
    return pd.DataFrame(rows)


def _read(
    path: Path, identity: str, names: list[str], columns: dict[str, str] | None
) -> pd.DataFrame:
    table = read_table(path, [identity], names, columns).replace(MISSING, "")
    return table.assign(rule="", reason="")


def _read_participants(
    dataset: Path, names: list[str], columns: dict[str, str] | None
) -> pd.DataFrame:
    path = dataset / "participants.tsv"
    if not path.exists():  # the standard recommends it, no more
        return pd.DataFrame(columns=["subject", "source", "rule", "reason", *names], dtype=object)
    table = _read(path, "participant_id", names, columns)
    return table.assign(subject=table["participant_id"])


def _read_sessions(dataset: Path, names: list[str], columns: dict[str, str] | None) -> pd.DataFrame:
    columns_kept = ["subject", "session", "source", "rule", "reason", *names]
    tables = [pd.DataFrame(columns=columns_kept, dtype=object)]
    for path in sorted(dataset.glob("sub-*/sub-*_sessions.tsv")):
        table = _read(path, "session_id", names, columns)
        table["subject"] = path.parent.name
        table["session"] = table["session_id"]
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _field_strength(dataset: Path, source: Path, image: Path) -> float:
    """Tesla, by the JSON file nearest to the image; NaN if none tells.

    An image of the derivatives, at `source` below their folder, is of the visit's first scan.
    """
    name = image.name.removesuffix(".gz").removesuffix(".nii") + ".json"
    derived = image != dataset / source
    scans = sorted((dataset / source.parents[1] / "anat").glob("*_T1w.json")) if derived else []
    for path in (image.with_name(name), *scans[:1], dataset / "T1w.json"):
        if path.is_file():
            try:
                tesla = float(read_json(path)["MagneticFieldStrength"])
            except (KeyError, TypeError, ValueError):
                continue
            if FIELD_STRENGTHS[0] <= tesla <= FIELD_STRENGTHS[1]:
                return tesla
    return float("nan")
