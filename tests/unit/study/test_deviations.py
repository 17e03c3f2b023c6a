"""docs/deviations.md says what the configurations say."""

import re
from functools import reduce

import pytest
import yaml
from helpers.configurations import ROOT, effective

PAGE = ROOT / "docs/deviations.md"
COLUMNS = ["Element", "Paper", "Published code", "Here", "Reason", "Key"]
SETTING = re.compile(r"`([\w. -]+): ([^`]+)`")


def rows_of_the_page() -> list[list[str]]:
    """Cells of each row of its tables, headers among them."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if set("".join(row)) != {"-"}]


ROWS = [row for row in rows_of_the_page() if row != COLUMNS]
SETTINGS = [(key, value) for row in ROWS for key, value in SETTING.findall(row[-1])]


@pytest.fixture(scope="module")
def configuration():
    paper, toy = effective("config/paper.yaml"), effective("config/toy.yaml")
    return {**paper, "datasets": paper["datasets"] | toy["datasets"]}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_row_says_what_is_done_and_what_switches_it(row):
    assert len(row) == len(COLUMNS)
    element, _, _, here, reason, key = row
    assert element
    assert here
    assert reason or here.startswith(("as published", "as in the paper"))
    other = SETTING.sub("", key).replace(",", "").strip()
    assert other == ("-" if key == "-" else "")


def test_settings_are_found():
    assert len(SETTINGS) > 20


@pytest.mark.parametrize(("key", "value"), SETTINGS)
def test_the_key_is_there_and_has_the_value(configuration, key, value):
    found = reduce(lambda node, part: node[part], key.split("."), configuration)
    assert found == yaml.safe_load(value)
