"""The smallest configuration of each source, and what follows from it."""

import re

import pytest
import yaml
from helpers.configurations import ROOT

from pipeline.stage.errors import InputError
from pipeline.study.config import parse_config, read_config

SMALLEST = {
    "bids": """
datasets:
  lund:
    source: bids
    archive: {dataset: data/lund}
    labels: {column: group, healthy: [control], diseased: [FTD]}
""",
    "table": """
datasets:
  ward:
    source: manifest
    modality: brain
    archive: {table: data/ward.csv}
    labels: {column: converted, healthy: [0], diseased: [1]}
""",
    "adni": """
datasets:
  adni:
    source: adni
    archive: {images: data/ADNI, tables: data/tables}
""",
    "films": """
datasets:
  copd:
    source: copd
    archive: {films: data/films, spirometry: data/lungs/spirometry.csv}
""",
}


@pytest.fixture(params=SMALLEST)
def smallest(request, tmp_path, monkeypatch):
    """A smallest configuration whose archive is there."""
    monkeypatch.chdir(tmp_path)
    for folder in ("lund", "ADNI", "tables", "films", "lungs"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    for table in ("ward.csv", "lungs/spirometry.csv"):
        (tmp_path / "data" / table).touch()
    return SMALLEST[request.param]


def test_fifteen_lines_are_enough_for_a_study(smallest):
    assert len(smallest.strip().splitlines()) <= 15
    config = read_config(yaml.safe_load(smallest))
    assert parse_config(config.effective()) == config


def test_the_example_of_the_documentation_is_one():
    text = (ROOT / "docs/own-data.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```yaml\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert examples
    for example in examples:
        parse_config(yaml.safe_load(example))


def of_source(source, **changes):
    (given,) = yaml.safe_load(SMALLEST[source])["datasets"].values()
    return parse_config({"datasets": {"mine": {**given, **changes}}}).datasets["mine"]


def test_the_folder_and_the_labels_name_a_study():
    found = of_source("bids")
    assert found.title == "lund"
    assert found.disease.model_dump() == {"name": "FTD", "healthy": "control", "diseased": "FTD"}


def test_numbers_and_answers_are_named_with_their_column():
    found = of_source("table")
    assert found.title == "ward"
    assert found.archive.images == "data"
    assert (found.disease.name, found.disease.healthy) == ("converted 1", "converted 0")
    labels = {"column": "copd", "healthy": ["no"], "diseased": [True]}
    disease = of_source("table", labels=labels).disease
    assert (disease.diseased, disease.healthy) == ("copd True", "copd no")


def test_several_values_of_a_group_are_all_named():
    labels = {"column": "dx", "healthy": ["EMCI", "LMCI"], "diseased": ["AD"]}
    assert of_source("bids", labels=labels).disease.healthy == "EMCI, LMCI"


def test_what_is_said_stands_and_what_is_missing_of_it_follows():
    found = of_source("bids", title="Lund", disease={"name": "frontotemporal dementia"})
    assert found.title == "Lund"
    assert found.disease.name == "frontotemporal dementia"
    assert found.disease.diseased == "FTD"


def test_the_secret_of_the_films_lies_beside_the_tests():
    assert of_source("films").labels.pseudonym_key == "data/lungs/pseudonym.key"
    labels = of_source("films", labels={"max_days": 3}).labels
    assert (labels.max_days, labels.pseudonym_key) == (3, "data/lungs/pseudonym.key")
    assert of_source("films", labels={"pseudonym_key": "k"}).labels.pseudonym_key == "k"


@pytest.mark.parametrize(
    ("source", "changes", "said"),
    [
        ("bids", {"archive": {}}, "datasets.mine.archive: missing key 'dataset'"),
        ("bids", {"archive": {"dataset": 3}}, "mine.archive.dataset: expected string, found 3"),
        ("bids", {"labels": {}}, "datasets.mine.labels: missing key"),
        ("bids", {"labels": "group"}, "datasets.mine.labels: expected"),
        ("table", {"archive": {"table": ""}}, "datasets.mine.archive.table: expected string"),
        ("films", {"labels": []}, "datasets.mine.labels: expected"),
        ("bids", {"title": None}, "datasets.mine.title: expected string"),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(source, changes, said):
    with pytest.raises(InputError) as refusal:
        of_source(source, **changes)
    _, *lines = str(refusal.value).splitlines()
    assert all(said in line for line in lines), lines
