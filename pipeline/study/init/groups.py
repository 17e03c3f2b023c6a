"""Which column of a table tells the two groups, and which of the two is the diseased one."""

import re
from collections.abc import Iterable, Mapping
from itertools import permutations
from typing import NamedTuple

import pandas as pd

from pipeline.cohort.names import as_label
from pipeline.cohort.pairs import unpaired_subjects
from pipeline.cohort.readings import is_given
from pipeline.stage.errors import InputError

MOST_GROUPS = 8  # of a column; one with more values is a measurement or a name
USUAL = re.compile(r"diagnos|^dx|group|label|class|status|disease|condition|conver|^cdr", re.I)
HEALTHY = {"0", "no", "false", "control", "controls", "cn", "hc", "nc", "normal", "healthy"}


class Groups(NamedTuple):
    """A column, its two groups, how many subjects go from one to the other, and other values."""

    column: str
    healthy: str
    diseased: str
    subjects: int
    others: tuple[str, ...]


def find_groups(visits: pd.DataFrame, columns: Iterable[str], place: str) -> list[Groups]:
    """Columns in which a subject goes from one group to another, the likeliest first.

    A column is likelier by its name, then if it tells more than the name of the visit does, then by
    the number of such subjects. Of its values those two are taken between which most subjects go; a
    later one is the diseased, unless its name says that it is healthy.

    Parameters
    ----------
    visits
        A row a visit: subject, session, day, and the columns as text.
    columns
        Those that may tell the groups.
    place
        Of the table, for messages.

    Raises
    ------
    InputError
        If no column has two groups, or no subject visits of both.
    """
    values = {column: _spellings(visits[column]) for column in columns}
    several = {column: found for column, found in values.items() if _may_be_groups(column, found)}
    if not several:
        raise InputError(_no_groups(values, place))
    candidates = [_likeliest(visits, column, found) for column, found in several.items()]
    found = [groups for groups in candidates if groups.subjects]
    if not found:
        held = "; ".join(f"{name}: {', '.join(v.values())}" for name, v in several.items())
        raise InputError(
            f"{place}: no subject has a visit of one group and a later one of another ({held}), "
            "but explanations are measured on such pairs; give the group of each visit, not one "
            "of each subject"
        )

    def likelihood(groups: Groups) -> tuple[bool, bool, int]:
        of_visit = visits.drop_duplicates(["session", groups.column])
        differs = bool(of_visit["session"].duplicated().any())
        return _is_usual(groups.column), differs, groups.subjects

    return sorted(found, key=likelihood, reverse=True)


def _spellings(text: pd.Series) -> dict[str, str]:
    """The values of a column, by what they are in lower case, each as it is first written."""
    spellings: dict[str, str] = {}
    for value in text[is_given(text)]:
        spellings.setdefault(value.lower(), value)
    return spellings


def _is_usual(column: str) -> bool:
    return bool(USUAL.search(as_label(column)))


def _may_be_groups(column: str, values: Mapping[str, str]) -> bool:
    """Two values, or a few words; a few numbers only where the name of the column says so."""
    if len(values) == 2:
        return True
    words = pd.to_numeric(pd.Series(list(values), dtype=object), errors="coerce").isna().any()
    return 2 < len(values) <= MOST_GROUPS and bool(words or _is_usual(column))


def _likeliest(visits: pd.DataFrame, column: str, values: Mapping[str, str]) -> Groups:
    told = visits.assign(value=visits[column].str.lower())
    told = told[told["value"].isin(values)]
    counts = {
        (healthy, diseased): _changing(told, healthy, diseased)
        for healthy, diseased in permutations(values, 2)
    }

    def likelihood(two: tuple[str, str]) -> tuple[bool, int, bool]:
        return two[1] not in HEALTHY, counts[two], two[0] in HEALTHY

    healthy, diseased = max(counts, key=likelihood)
    others = tuple(sorted(values[value] for value in values.keys() - {healthy, diseased}))
    subjects = counts[healthy, diseased]
    return Groups(column, values[healthy], values[diseased], subjects, others)


def _changing(visits: pd.DataFrame, healthy: str, diseased: str) -> int:
    """Subjects whose first visit is healthy and a later one diseased, whatever the scanner."""
    rows = visits[visits["value"].isin([healthy, diseased])]
    labelled = rows.assign(label=(rows["value"] == diseased).astype(int), field_strength=0.0)
    return int((unpaired_subjects(labelled, baseline=None) == "").sum())


def _no_groups(values: Mapping[str, Mapping[str, str]], place: str) -> str:
    only = [
        f"{column} holds {', '.join(found.values()) or 'nothing'}"
        for column, found in values.items()
        if _is_usual(column) and len(found) < 2
    ]
    told = "; ".join(only) or f"columns found: {', '.join(values) or 'none'}"
    return (
        f"{place}: no column tells two groups ({told}); add one with the group of each visit, "
        "such as diagnosis with MCI and AD"
    )
