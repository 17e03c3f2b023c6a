"""Counts of exclusions and the check that enough is left."""

import pandas as pd
import pytest

from pipeline.cohort.manifest import PAIR_COLUMNS, Cohort
from pipeline.cohort.sufficiency import check_cohort
from pipeline.stage.errors import InputError
from pipeline.stage.exclusions import count_reasons, exclusion_table


def rows(*reasons: str, item: str = "exam") -> list[dict]:
    return [{"stage": "ingest", "item": item, "reason": reason} for reason in reasons]


def cohort(train_labels: list[int], pair_splits: list[str]) -> Cohort:
    manifest = pd.DataFrame({"split": "train", "label": train_labels})
    pairs = pd.DataFrame({"split": pair_splits}, columns=PAIR_COLUMNS)
    exclusions = exclusion_table(rows("no date", "protocol: ADNI3", "protocol: ADNI4"))
    return Cohort(manifest, exclusions, pairs)


def test_counts_ignore_what_follows_a_colon():
    table = exclusion_table(
        rows("no date", "protocol: ADNI3", "protocol: ADNI4") + rows("no date", item="film")
    )
    assert count_reasons(table).to_dict("split")["data"] == [
        ["ingest", "exam", "protocol", 2],
        ["ingest", "exam", "no date", 1],
        ["ingest", "film", "no date", 1],
    ]


def test_no_exclusions():
    assert list(count_reasons(exclusion_table([])).columns) == ["stage", "item", "reason", "count"]


def test_enough_is_left():
    check_cohort(cohort([0, 1], ["validation", "test"]), "ADNI")


@pytest.mark.parametrize(
    ("labels", "splits", "message"),
    [
        ([0, 0], ["validation", "test"], "no training image of class 1 (diseased) is left"),
        ([1], ["validation", "test"], "no training image of class 0 (healthy) is left"),
        ([0, 1], ["test"], "no validation pair is left"),
        ([0, 1], [], "no validation pair, no test pair is left"),
    ],
)
def test_message_counts_the_reasons(labels, splits, message):
    unpaired = pd.Series(["never ill", "never ill", "ill at once"])
    with pytest.raises(InputError) as error:
        check_cohort(cohort(labels, splits), "ADNI", unpaired)
    text = str(error.value)
    assert text.startswith(f"ADNI: {message}")
    assert "2  exam: protocol\n" in text
    assert "2  never ill\n" in text
