"""Ingest of chest films and lung function tests: who has COPD on which film (section 4.1)."""

import logging
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.cohort.films import list_films
from pipeline.cohort.manifest import Cohort, ages, as_manifest
from pipeline.cohort.orthanc import read_fetched
from pipeline.cohort.pairs import copd_pairs
from pipeline.cohort.pseudonyms import DIGITS, film_session, pseudonym, read_key
from pipeline.cohort.spirometry import SpirometryColumns, match_tests, read_spirometry
from pipeline.cohort.splits import assign_splits
from pipeline.stage.exclusions import exclusion_table

log = logging.getLogger(__name__)

NO_PAIR = "the subject has several films but no COPD and normal one to compare"


def ingest_copd(
    films: Path,
    spirometry: Path,
    *,
    splits: dict,
    pseudonym_key: Path,
    ratio_threshold: float = 0.7,
    max_days: int = 30,
    columns: SpirometryColumns | None = None,
    films_table: Path | None = None,
    fetched: Path | None = None,
) -> Cohort:
    """Find the usable films of an archive and label them by spirometry.

    A film counts if it is the PA film of its study (the first, if there are several), its subject
    never had a lung transplant, and a test lies at most `max_days` away (see `match_tests`).
    Pre-bronchodilator FEV1/FVC below `ratio_threshold` is COPD. Subjects with one such film are for
    training; those with a COPD and a normal one are shared by validation and test.

    Neither ids nor dates leave: a subject is a keyed hash of its PatientID, a session the days
    since its first film (``d0123``; ``d0123b`` for a second film on that day).

    Parameters
    ----------
    films
        Folder of DICOM or PNG films.
    spirometry
        CSV table of the tests.
    splits
        Settings for `assign_splits`. Lists take PatientIDs or subject names; a subject that is in
        none of them is excluded.
    pseudonym_key
        File of the secret key of the subject names; made if it does not exist.
    ratio_threshold
        FEV1/FVC, as a fraction, below which a film is labelled COPD.
    max_days
        Largest distance of film and test.
    columns
        Names of the columns of `spirometry`.
    films_table
        Table of PNG films, see `list_films`.
    fetched
        Table of `pipeline.cohort.orthanc.fetch_films`, if that made `films`: their PatientID is the
        subject already.

    Returns
    -------
    Cohort
        Every file below `films`, every film of `fetched` and every row of `spirometry` is used or
        among the exclusions.

    Raises
    ------
    InputError
        If a folder, table or key is missing or wrong.
    """
    key = read_key(pseudonym_key)
    tests = read_spirometry(spirometry, columns or SpirometryColumns())
    archive = list_films(films, films_table)
    tests["subject"] = _subjects(tests, key)
    if fetched:
        archive["subject"] = archive["patient"]
        found = read_fetched(fetched)
        there = found.loc[found["reason"] == "", "source"]
        _exclude(archive, ~archive["source"].isin(there), "not found by the query of the server")
        archive = pd.concat([archive, found[found["reason"] != ""]], ignore_index=True)
        texts = ("path", "patient", "sex", "study", "image", "view_reason")
        archive = archive.fillna(dict.fromkeys(texts, ""))
    else:
        archive["subject"] = _subjects(archive, key)

    births = archive.loc[archive["subject"] != ""].groupby("subject")["birth"].min()
    _exclude(
        tests,
        tests["date"] < tests["subject"].map(births),
        "the test is dated before the patient's birth",
    )
    _exclude_transplants(archive, tests)
    matches = match_tests(_usable(archive), _usable(tests), max_days)
    _exclude_unmatched(archive, tests, matches, max_days)

    labelled = _usable(archive).copy()
    labelled["score"] = tests["ratio"].reindex(labelled.index.map(matches)).to_numpy()
    labelled["label"] = (labelled["score"] < ratio_threshold).astype("int8")
    grades = tests["grade"].reindex(labelled.index.map(matches)).to_numpy()
    labelled["grade"] = np.where(labelled["label"] == 1, grades, "")
    labelled["age"] = ages(labelled["date"], labelled["birth"])
    _name_sessions(labelled)
    archive["session"] = labelled["session"].reindex(archive.index, fill_value="")
    _split(labelled, splits, key)
    for film, reason in labelled.loc[labelled["reason"] != "", "reason"].items():
        archive.loc[film, "reason"] = reason
        tests.loc[matches[film], "reason"] = f"its film is not used: {reason}"

    used = labelled[labelled["reason"] == ""]
    manifest = as_manifest(
        used.assign(
            diagnosis=np.where(used["label"] == 1, "COPD", "normal"),
            field_strength=np.nan,
            site="",
            date="",
        )
    )
    cohort = Cohort(manifest, _exclusions(archive, tests), copd_pairs(manifest))
    log.info(
        "COPD: %d films of %d subjects, %d evaluation pairs, %d files and tests excluded",
        len(manifest),
        manifest["subject"].nunique(),
        len(cohort.pairs),
        len(cohort.exclusions),
    )
    return cohort


def _subjects(table: pd.DataFrame, key: bytes) -> list[str]:
    return [pseudonym(key, patient) if patient else "" for patient in table["patient"]]


def _usable(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["reason"] == ""]


def _exclude(table: pd.DataFrame, mask: pd.Series, reason: str) -> None:
    """Give a reason to rows that have none yet."""
    table.loc[mask & (table["reason"] == ""), "reason"] = reason


def _exclude_transplants(archive: pd.DataFrame, tests: pd.DataFrame) -> None:
    # Any row tells, also one whose test cannot be used.
    subjects = set(tests.loc[tests["transplant"], "subject"]) - {""}
    for table in (archive, tests):
        _exclude(table, table["subject"].isin(subjects), "the subject has a lung transplant")


def _exclude_unmatched(
    archive: pd.DataFrame, tests: pd.DataFrame, matches: dict[int, int], max_days: int
) -> None:
    films, usable_tests = _usable(archive), _usable(tests)
    for table, matched, other, wanted in (
        (archive, set(matches), usable_tests, "spirometry"),
        (tests, set(matches.values()), films, "PA film"),
    ):
        unmatched = ~table.index.isin(matched)
        _exclude(
            table,
            unmatched & ~table["subject"].isin(other["subject"]),
            f"the subject has no usable {wanted}",
        )
        near = _has_near(table, other, max_days)
        _exclude(table, unmatched & ~near, f"no usable {wanted} within the day limit")
        _exclude(table, unmatched, f"every {wanted} within the day limit is matched otherwise")


def _has_near(table: pd.DataFrame, other: pd.DataFrame, max_days: int) -> pd.Series:
    both = table[["subject", "date"]].reset_index().merge(other[["subject", "date"]], on="subject")
    days = (both["date_x"] - both["date_y"]).dt.days.abs()
    return pd.Series(table.index.isin(both.loc[days <= max_days, "index"]), index=table.index)


def _name_sessions(films: pd.DataFrame) -> None:
    """Add day and session, in place."""
    first = films.groupby("subject")["date"].transform("min")
    films["day"] = (films["date"] - first).dt.days
    ordered = films.sort_values(["subject", "day", "acquired", "image"])
    same_day = ordered.groupby(["subject", "day"]).cumcount()
    films["session"] = [
        film_session(day, number)
        for day, number in zip(films["day"], same_day.reindex(films.index), strict=True)
    ]


def _split(films: pd.DataFrame, splits: dict, key: bytes) -> None:
    """Add the split, and the reason of films that no split can use, in place."""
    by_subject = films.groupby("subject")["label"]
    paired = by_subject.nunique() == 2
    single = by_subject.size() == 1
    strata = pd.Series("unpaired", index=paired.index).mask(paired, "paired").mask(single, "single")
    if "lists" not in splits:
        strata = strata[strata != "unpaired"]
    assigned = assign_splits(
        strata.rename_axis("subject").reset_index(name="stratum"),
        splits,
        training_only=("single",),
        evaluation_only=("paired",),
        key=_identity(key, set(films["subject"])),
    )
    films["split"] = films["subject"].map(assigned).fillna("")
    if "lists" in splits:
        _exclude(films, films["split"] == "", "the subject is in none of the lists of the splits")
    evaluated = films["split"] != "train"
    unpaired = ~films["subject"].map(paired).astype(bool)
    alone = films["subject"].map(single).astype(bool)
    _exclude(films, evaluated & alone, "the subject has one film, and its split needs pairs")
    _exclude(films, evaluated & unpaired, NO_PAIR)


def _identity(key: bytes, subjects: set[str]) -> Callable[[str], str]:
    """Subject name from a line of a list: a PatientID, or such a name already."""

    def identity(text: str) -> str:
        named = text in subjects and re.fullmatch(rf"[0-9a-f]{{{DIGITS}}}", text)
        return text if named else pseudonym(key, text)

    return identity


def _exclusions(archive: pd.DataFrame, tests: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for item, table in (("film", archive), ("test", tests.assign(session=""))):
        excluded = table[table["reason"] != ""].assign(stage="ingest", item=item)
        columns = ["stage", "item", "subject", "session", "source", "reason"]
        rows += excluded[columns].to_dict("records")
    return exclusion_table(rows)
