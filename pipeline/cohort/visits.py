"""From labelled visits to a cohort: splits, pairs, and why a visit is in none."""

import json
import math
import re
from collections.abc import Callable, Hashable

import numpy as np
import pandas as pd

from pipeline.cohort.manifest import Cohort, as_manifest
from pipeline.cohort.names import name_label
from pipeline.cohort.pairs import adni_pairs, unpaired_subjects, unpaired_visits
from pipeline.cohort.readings import is_given
from pipeline.cohort.rejection import excluded_rows, reject, usable
from pipeline.cohort.splits import assign_splits
from pipeline.cohort.sufficiency import check_cohort
from pipeline.stage.errors import InputError
from pipeline.stage.rules import Rule

# What YAML takes for a boolean.
BOOLEANS = {True: ("yes", "true", "on", "y"), False: ("no", "false", "off", "n")}
VALUES_SHOWN = 10


def split_visits(
    visits: pd.DataFrame,
    splits: dict,
    *,
    key: Callable[[str], Hashable] = str,
    baseline: str | None,
) -> pd.Series:
    """Give each visit its split, and leave out those that no split can use, in place.

    Subjects without an evaluation pair are trained on whole; of the others, validation and test
    use the visits of pairs only.

    Parameters
    ----------
    visits
        Columns subject, session, day, label, field_strength, rule and reason.
    splits, key
        For `assign_splits`.
    baseline
        For `pipeline.cohort.pairs.adni_pairs`.

    Returns
    -------
    pandas.Series
        Why a subject has no pair, by subject; ``""`` if it has one.
    """
    unpaired = unpaired_subjects(visits, baseline)
    diseased = visits.groupby("subject")["label"].max().reindex(unpaired.index) == 1
    # Strata keep these names: the shuffle is seeded by them.
    strata = pd.Series("MCI only", index=unpaired.index).mask(diseased, "AD without pair")
    strata = strata.mask(unpaired == "", "pair")
    subjects = strata.rename("stratum").reset_index()
    training = ("MCI only", "AD without pair")
    assigned = assign_splits(subjects, splits, training_only=training, key=key)
    visits["split"] = visits["subject"].map(assigned).astype(object)  # also when there are none
    unlisted = visits["split"] == ""
    reject(visits, unlisted, Rule.NO_SPLIT, "the subject is in no list of the splits")
    evaluated = visits["split"].isin(["validation", "test"])
    unused = unpaired_visits(visits, baseline)
    why = "visit of a " + visits["split"] + " subject in no pair, " + unused
    reject(visits, evaluated & (unused != ""), Rule.NO_PAIR, why)
    return unpaired


def label_visits(rows: pd.DataFrame, labels: dict) -> None:
    """Add `label`, and leave out rows of neither class, in place.

    Parameters
    ----------
    rows
        Columns diagnosis (text), rule and reason.
    labels
        ``healthy`` and ``diseased``: lists of the values that are class 0 and 1, in any case.
        Numbers are compared as such, and what YAML took for a boolean as its words for it.

    Raises
    ------
    InputError
        If a value is of both classes, or the table has none of a class.
    """
    classes: dict[str | float, int] = {}
    meanings = rows["diagnosis"].map(_meaning)
    for label, group in enumerate(("healthy", "diseased")):
        for value in labels[group]:
            spellings = BOOLEANS[value] if isinstance(value, bool) else [str(value)]
            for meaning in map(_meaning, spellings):
                if classes.setdefault(meaning, label) != label:
                    raise InputError(f"labels: {value!r} cannot be healthy and diseased")
        if not meanings.isin([known for known in classes if classes[known] == label]).any():
            raise InputError(_not_found(labels, group, rows["diagnosis"]))
    rows["label"] = meanings.map(classes)
    missing = f"no value in the column {labels['column']}"
    unknown = rows["label"].isna() & ~is_given(rows["diagnosis"])
    reject(rows, unknown, Rule.NO_DIAGNOSIS, missing)
    other = f"{labels['column']} is neither healthy nor diseased: " + rows["diagnosis"]
    reject(rows, rows["label"].isna(), Rule.OTHER_CLASS, other)


def _meaning(text: str) -> str | float:
    """What values of a table are compared by: numbers as such, all else in lower case."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    return number if math.isfinite(number) else text.strip().lower()


def _not_found(labels: dict, group: str, found: pd.Series) -> str:
    wanted = ", ".join(json.dumps(value).strip('"') for value in labels[group])
    values = sorted(set(found) - {""})
    held = ", ".join(values[:VALUES_SHOWN]) + (", ..." if len(values) > VALUES_SHOWN else "")
    return (
        f"labels.{group}: {wanted} is nowhere in the column {labels['column']}, which holds "
        f"{held or 'nothing'}; write a value as the table has it and in quotation marks, since "
        "YAML takes 010 for 8, and yes or on for true"
    )


def add_days(rows: pd.DataFrame, moments: pd.Series) -> None:
    """Add `day` in place: days since the subject's first visit, by the dates of the visits.

    Where a subject has a visit without a date, its visits are numbered by the names of their
    sessions instead, in natural order (m6 before m12).

    Parameters
    ----------
    rows
        Columns subject and session.
    moments
        Dates with the index of `rows`, ``NaT`` where unknown; or days, NaN where unknown.
    """
    if moments.dtype.kind == "M":
        moments = (moments - pd.Timestamp(0)) / pd.Timedelta(days=1)
    subjects = rows["subject"]
    days = np.floor(moments) - np.floor(moments.groupby(subjects).transform("min"))
    dated = moments.notna().groupby(subjects).transform("all")
    order = pd.Series(pd.Categorical(rows["session"].map(_natural)).codes, rows.index)
    numbered = order.groupby(subjects).rank(method="dense") - 1
    rows["day"] = days.where(dated, numbered).astype(int)


def _natural(session: str) -> str:
    """Session with numbers filled up, so that names sort by them."""
    return re.sub(r"\d+", lambda number: number[0].zfill(12), session.lower())


def plain_cohort(
    rows: pd.DataFrame, others: dict[str, pd.DataFrame], splits: dict, name: str
) -> Cohort:
    """Cohort of an archive whose visits say what they are.

    The baseline of a subject is its first visit, and its pairs are those of
    `pipeline.cohort.pairs.adni_pairs`.

    Parameters
    ----------
    rows
        A row an image: the columns of the manifest but for the split, source, rule and reason.
    others
        Further rows of tables that are left out, by their kind: columns subject, source, rule
        and reason.
    splits
        For `assign_splits`; lists take subjects as the archive or the manifest has them, with or
        without ``sub-``.
    name
        Of the archive, for messages.
    """
    visits = usable(rows).copy()
    unpaired = split_visits(
        visits, splits, key=lambda text: name_label(text, "subject"), baseline=None
    )
    rows.loc[visits.index, ["rule", "reason"]] = visits[["rule", "reason"]]
    manifest = as_manifest(usable(visits))
    cohort = Cohort(
        manifest=manifest,
        exclusions=excluded_rows({"image": rows, **others}),
        pairs=adni_pairs(manifest, baseline=None),
    )
    check_cohort(cohort, name, unpaired[unpaired != ""])
    return cohort
