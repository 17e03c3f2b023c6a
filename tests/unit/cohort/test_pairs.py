"""Selection of evaluation pairs."""

import pandas as pd
import pytest

from pipeline.cohort.manifest import PAIR_COLUMNS
from pipeline.cohort.pairs import adni_pairs, copd_pairs, unpaired_subjects, unpaired_visits

NEITHER = "it is neither the baseline nor a diseased visit"
OTHER_STRENGTH = "its field strength is not that of the baseline"


def visits(*rows: tuple[str, str, int, float], split: str = "test") -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["subject", "session", "label", "field_strength"])
    return frame.assign(split=split)


def listed(pairs: pd.DataFrame) -> list[tuple]:
    return list(pairs[["subject", "baseline", "followup"]].itertuples(index=False, name=None))


CONVERTER = (("a", "bl", 0, 1.5), ("a", "m06", 0, 1.5), ("a", "m12", 1, 1.5), ("a", "m24", 1, 1.5))


def test_every_ad_visit_with_the_baseline():
    pairs = adni_pairs(visits(*CONVERTER))
    assert list(pairs.columns) == PAIR_COLUMNS
    assert listed(pairs) == [("a", "bl", "m12"), ("a", "bl", "m24")]
    assert unpaired_visits(visits(*CONVERTER)).tolist() == ["", NEITHER, "", ""]


def test_only_evaluated_subjects_yield_pairs():
    both = pd.concat(
        [
            visits(*CONVERTER, split="train"),
            visits(*CONVERTER, split="validation").assign(subject="b"),
            visits(*CONVERTER).assign(subject="c"),
        ]
    )
    pairs = adni_pairs(both)
    assert pairs.groupby("subject")["split"].first().to_dict() == {"b": "validation", "c": "test"}
    assert unpaired_subjects(both).to_dict() == {"a": "", "b": "", "c": ""}


def test_field_strength_must_agree():
    rows = (("a", "bl", 0, 1.5), ("a", "m12", 1, 1.5), ("a", "m24", 1, 3.0))
    assert listed(adni_pairs(visits(*rows))) == [("a", "bl", "m12")]
    assert unpaired_visits(visits(*rows)).tolist() == ["", "", OTHER_STRENGTH]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([("a", "m06", 0, 3.0), ("a", "m12", 1, 3.0)], "no usable baseline"),
        (
            [("a", "bl", 0, 1.5), ("a", "bl", 0, 3.0), ("a", "m12", 1, 3.0)],
            "more than one baseline",
        ),
        ([("a", "bl", 1, 3.0), ("a", "m12", 1, 3.0)], "diseased at the baseline"),
        ([("a", "bl", 0, 3.0), ("a", "m12", 0, 3.0)], "no diseased visit"),
        ([("a", "bl", 0, 1.5), ("a", "m12", 1, 3.0)], "field strength of the baseline"),
    ],
)
def test_subjects_that_do_not_qualify(rows, reason):
    table = visits(*rows)
    assert adni_pairs(table).empty
    assert reason in unpaired_subjects(table)["a"]
    assert unpaired_visits(table).str.contains(reason).all()


def test_films_pair_every_diseased_with_every_normal_one():
    nan = float("nan")
    films = visits(
        ("a", "1", 0, nan), ("a", "2", 1, nan), ("a", "3", 0, nan), ("a", "4", 1, nan),
        ("b", "1", 0, nan), ("b", "2", 0, nan), ("c", "1", 1, nan),
    )  # fmt: skip
    pairs = copd_pairs(films)
    assert list(pairs.columns) == PAIR_COLUMNS
    # A normal film after a diseased one counts too: the rule does not ask for an order.
    assert listed(pairs) == [("a", "1", "2"), ("a", "1", "4"), ("a", "3", "2"), ("a", "3", "4")]
    assert copd_pairs(films.assign(split="train")).empty
