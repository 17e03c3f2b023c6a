"""Counts of exclusions and the check that enough is left."""

import pandas as pd
import pytest

from pipeline.cohort.manifest import PAIR_COLUMNS, Cohort
from pipeline.cohort.sufficiency import check_cohort
from pipeline.stage.errors import InputError
from pipeline.stage.exclusions import count_rules, exclusion_table
from pipeline.stage.rules import Rule


def rows(*rules: Rule, item: str = "exam") -> list[dict]:
    return [
        {"stage": "ingest", "item": item, "rule": rule, "reason": f"of {number}"}
        for number, rule in enumerate(rules)
    ]


def cohort(train_labels: list[int], pair_splits: list[str]) -> Cohort:
    manifest = pd.DataFrame({"split": "train", "label": train_labels})
    pairs = pd.DataFrame({"split": pair_splits}, columns=PAIR_COLUMNS)
    exclusions = exclusion_table(rows(Rule.NO_DATE, Rule.OTHER_PROTOCOL, Rule.OTHER_PROTOCOL))
    return Cohort(manifest, exclusions, pairs)


def test_counts_are_of_rules_whatever_the_sentences():
    table = exclusion_table(
        rows(Rule.NO_DATE, Rule.OTHER_PROTOCOL, Rule.OTHER_PROTOCOL)
        + rows(Rule.NO_DATE, item="film")
    )
    assert count_rules(table).to_dict("split")["data"] == [
        ["ingest", "exam", "other_protocol", "Of another protocol", 2],
        ["ingest", "exam", "no_date", "The date is missing or none", 1],
        ["ingest", "film", "no_date", "The date is missing or none", 1],
    ]


def test_a_row_without_a_rule_is_refused():
    row = {"stage": "ingest", "item": "exam", "reason": "no date"}
    for wrong in (row, row | {"rule": ""}, row | {"rule": "no date"}):
        with pytest.raises(ValueError, match="is not a valid Rule"):
            exclusion_table([wrong])


def test_every_rule_has_a_title_of_its_own():
    assert len({rule.title for rule in Rule}) == len(Rule)
    assert all(rule.title[0].isupper() for rule in Rule)


def test_no_exclusions():
    columns = ["stage", "item", "rule", "title", "count"]
    assert list(count_rules(exclusion_table([])).columns) == columns


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
def test_message_counts_the_rules(labels, splits, message):
    unpaired = pd.Series(["never ill", "never ill", "ill at once"])
    with pytest.raises(InputError) as error:
        check_cohort(cohort(labels, splits), "ADNI", unpaired)
    text = str(error.value)
    assert text.startswith(f"ADNI: {message}")
    assert "2  exam: Of another protocol\n" in text
    assert "2  never ill\n" in text
    assert ("train: 0.34" in text) == ("training image" in message)
