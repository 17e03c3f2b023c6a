"""Ingest of chest films and lung function tests: who has COPD on which film (section 4.1)."""

import logging
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.cohort.copies import reject_copies, same_files
from pipeline.cohort.films import list_films, many_lost
from pipeline.cohort.manifest import Cohort, ages, as_manifest
from pipeline.cohort.orthanc import read_fetched
from pipeline.cohort.pairs import copd_pairs
from pipeline.cohort.pseudonyms import DIGITS, film_session, pseudonym, read_key
from pipeline.cohort.rejection import excluded_rows, reject, usable
from pipeline.cohort.spelling import near_misses, tell_near_misses
from pipeline.cohort.spirometry import (
    SpirometryColumns,
    match_tests,
    read_spirometry,
    reject_contradictions,
)
from pipeline.cohort.splits import assign_splits
from pipeline.stage.rules import Rule
from pipeline.stage.wording import number_of

log = logging.getLogger(__name__)

NO_PAIR = "the subject has several films but no COPD and normal one to compare"


def ingest_copd(
    films: Path,
    spirometry: Path,
    *,
    splits: dict,
    pseudonym_key: Path,
    ratio_threshold: float = 0.7,
    max_days: int = 29,
    columns: SpirometryColumns | None = None,
    films_table: Path | None = None,
    fetched: Path | None = None,
    date_format: str | None = None,
) -> Cohort:
    """Find the usable films of an archive and label them by spirometry.

    A film counts if it is the only PA film of its study, its subject never had a lung transplant,
    and a test lies at most `max_days` away that is no other film's (see `match_tests`). Tests
    of one day that disagree about COPD are not used (`reject_contradictions`). Pre-bronchodilator
    FEV1/FVC below `ratio_threshold` is COPD. Subjects with one such film are for training; those
    with a COPD and a normal one are shared by validation and test.

    Neither ids nor dates leave: a subject is a keyed hash of its PatientID, a session the days
    since its first film (``d0123``).

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
    date_format
        Of the tables, see `read_dates`.

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
    tests = read_spirometry(spirometry, columns or SpirometryColumns(), date_format)
    archive = list_films(films, films_table, date_format)
    for sentence in many_lost(archive["rule"]):
        log.warning(sentence)
    tests["subject"] = _subjects(tests, key)
    if fetched:
        archive["subject"] = archive["patient"]
        found = read_fetched(fetched)
        strange = ~archive["source"].isin(usable(found)["source"])
        reject(archive, strange, Rule.NOT_LISTED, "not found by the query of the server")
        archive = pd.concat([archive, found[found["rule"] != ""]], ignore_index=True)
        texts = ("path", "patient", "sex", "study", "image", "view_reason")
        archive = archive.fillna(dict.fromkeys(texts, ""))
    else:
        archive["subject"] = _subjects(archive, key)
        _exclude_misspelt(archive, tests)

    reject_copies(archive, pd.Series(same_files(archive["path"])), archive["source"])
    births = archive.loc[archive["subject"] != ""].groupby("subject")["birth"].min()
    early = tests["date"] < tests["subject"].map(births)
    reject(tests, early, Rule.BEFORE_BIRTH, "the test is dated before the patient's birth")
    _exclude_transplants(archive, tests)
    reject_contradictions(tests, ratio_threshold)
    matches = match_tests(usable(archive), usable(tests), max_days)
    _exclude_unmatched(archive, tests, matches, max_days)

    labelled = usable(archive).copy()
    labelled["score"] = tests["ratio"].reindex(labelled.index.map(matches)).to_numpy()
    labelled["label"] = (labelled["score"] < ratio_threshold).astype("int8")
    grades = tests["grade"].reindex(labelled.index.map(matches)).to_numpy()
    labelled["grade"] = np.where(labelled["label"] == 1, grades, "")
    labelled["age"] = ages(labelled["date"], labelled["birth"])
    first = labelled.groupby("subject")["date"].transform("min")
    labelled["day"] = (labelled["date"] - first).dt.days
    # Tests keep one film of a day, so at most one of them comes so far.
    labelled["session"] = labelled["day"].map(film_session)
    archive["session"] = labelled["session"].reindex(archive.index, fill_value="")
    _split(labelled, splits, key)
    archive.loc[labelled.index, ["rule", "reason"]] = labelled[["rule", "reason"]]
    unused = labelled[labelled["rule"] != ""]
    why = "its film is not used: " + unused["reason"].rename(index=matches)
    reject(tests, tests.index.isin(why.index), Rule.NOT_USED, why)

    used = usable(labelled)
    manifest = as_manifest(
        used.assign(
            diagnosis=np.where(used["label"] == 1, "COPD", "normal"),
            field_strength=np.nan,
            site="",
            date="",
        )
    )
    exclusions = excluded_rows({"film": archive, "test": tests})
    cohort = Cohort(manifest, exclusions, copd_pairs(manifest))
    log.info(
        "COPD: %s of %s, %s; files and tests excluded: %d",
        number_of(len(manifest), "film"),
        number_of(manifest["subject"].nunique(), "subject"),
        number_of(len(cohort.pairs), "evaluation pair"),
        len(cohort.exclusions),
    )
    return cohort


def _subjects(table: pd.DataFrame, key: bytes) -> list[str]:
    return [pseudonym(key, patient) if patient else "" for patient in table["patient"]]


def _exclude_misspelt(archive: pd.DataFrame, tests: pd.DataFrame) -> None:
    """Leave out films and tests whose patient is found only if ids are written alike, in place."""
    of_films, of_tests = (
        dict(zip(table["source"], table["patient"], strict=True))
        for table in (usable(archive), tests)
    )
    found = bool({*of_films.values()} & {*of_tests.values()} - {""})
    for table, names, others, rule, what in (
        (archive, of_films, of_tests, Rule.NO_TEST, "films find no lung function test"),
        (tests, of_tests, of_films, Rule.NO_IMAGE, "lung function tests find no film"),
    ):
        misses = near_misses(names, others)
        tell_near_misses(misses, what, found=found)
        why = "the patient's id is written otherwise: " + table["source"].map(misses).fillna("")
        reject(table, table["source"].isin(misses), rule, why)


def _exclude_transplants(archive: pd.DataFrame, tests: pd.DataFrame) -> None:
    # Any row tells, also one whose test cannot be used.
    subjects = set(tests.loc[tests["transplant"], "subject"]) - {""}
    for table in (archive, tests):
        ill = table["subject"].isin(subjects)
        reject(table, ill, Rule.TRANSPLANT, "the subject has a lung transplant")


def _exclude_unmatched(
    archive: pd.DataFrame, tests: pd.DataFrame, matches: dict[int, int], max_days: int
) -> None:
    films, usable_tests = usable(archive), usable(tests)
    why_film = "every spirometry within the day limit has a nearer film"
    why_test = "the nearest film has a nearer spirometry"
    for table, matched, other, wanted, rule, why in (
        (archive, set(matches), usable_tests, "spirometry", Rule.NO_TEST, why_film),
        (tests, set(matches.values()), films, "PA film", Rule.NO_IMAGE, why_test),
    ):
        unmatched = ~table.index.isin(matched)
        alone = unmatched & ~table["subject"].isin(other["subject"])
        reject(table, alone, rule, f"the subject has no usable {wanted}")
        near = _has_near(table, other, max_days)
        reject(table, unmatched & ~near, rule, f"no usable {wanted} within the day limit")
        reject(table, unmatched, Rule.MATCHED_OTHERWISE, why)


def _has_near(table: pd.DataFrame, other: pd.DataFrame, max_days: int) -> pd.Series:
    both = table[["subject", "date"]].reset_index().merge(other[["subject", "date"]], on="subject")
    days = (both["date_x"] - both["date_y"]).dt.days.abs()
    return pd.Series(table.index.isin(both.loc[days <= max_days, "index"]), index=table.index)


def _split(films: pd.DataFrame, splits: dict, key: bytes) -> None:
    """Add the split, and leave out films that no split can use, in place."""
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
        why = "the subject is in none of the lists of the splits"
        reject(films, films["split"] == "", Rule.NO_SPLIT, why)
    evaluated = films["split"] != "train"
    unpaired = ~films["subject"].map(paired).astype(bool)
    alone = films["subject"].map(single).astype(bool)
    why = "the subject has one film, and its split needs pairs"
    reject(films, evaluated & alone, Rule.NO_PAIR, why)
    reject(films, evaluated & unpaired, Rule.NO_PAIR, NO_PAIR)


def _identity(key: bytes, subjects: set[str]) -> Callable[[str], str]:
    """Subject name from a line of a list: a PatientID, or such a name already."""

    def identity(text: str) -> str:
        named = text in subjects and re.fullmatch(rf"[0-9a-f]{{{DIGITS}}}", text)
        return text if named else pseudonym(key, text)

    return identity
