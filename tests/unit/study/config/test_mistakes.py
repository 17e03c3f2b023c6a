"""Every mistake in a configuration is told with its key, what was expected, and the nearest key."""

import re
from pathlib import Path

import pytest
import yaml
from helpers.configurations import changed, effective
from helpers.paper_archives import write_paper_paths

from pipeline.stage.errors import InputError
from pipeline.study.config import read_config

EARLIER = yaml.safe_load((Path(__file__).parent / "mistakes.yaml").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def archives(tmp_path, monkeypatch):
    """The paths that config/paper.yaml names."""
    monkeypatch.chdir(tmp_path)
    write_paper_paths(tmp_path)


def said_of(config):
    with pytest.raises(InputError) as refusal:
        read_config(config)
    return [line.strip() for line in str(refusal.value).splitlines()[1:]]


def place(line):
    """The dotted key that a line begins with."""
    return re.match(r"(?:[\w .-]+(?=: ))?", line)[0]


def words(line):
    return set(re.findall(r"[\w.-]+", line))


@pytest.mark.parametrize("case", EARLIER, ids=lambda case: str(case["change"]))
def test_mistakes_are_told_as_well_as_before(case):
    """The same places, and every word of the remedy."""
    lines = said_of(changed(effective(case["wrong"]), case["change"]))
    assert sorted(map(place, lines)) == sorted(map(place, case["said"]))
    for earlier in case["said"]:
        assert any(
            place(line) == place(earlier) and words(earlier) <= words(line) for line in lines
        )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"datasets.adni.source": None, "datasets.adni.sorce": "adni"},
            "datasets.adni: unknown key 'sorce'; did you mean 'source'?",
        ),
        (
            {"datasets.adni.archive.table": "x"},
            "datasets.adni.archive.table: has no place here; it belongs to another source or "
            "modality of data; did you mean 'tables'?",
        ),
        (
            {"datasets.copd.splits.lists": {"train": "x", "validation": "y", "test": "z"}},
            "datasets.copd.splits: expected either seed and fractions, or lists, found both",
        ),
        (
            {"datasets.adni.disease": {"name": "AD"}},
            "datasets.adni.disease: missing key 'healthy': expected string",
        ),
        ({"datasets.adni.brain.voxel_mm": float("nan")}, "datasets.adni.brain.voxel_mm: expected"),
        ({"datasets.copd.archive.films_table": 3}, "expected string or null, found 3"),
        *(
            ({"datasets.copd.date_format": wrong}, "datasets.copd.date_format: expected a day (%d)")
            for wrong in ("%d/%H/%Y", "%d/%d/%Y", "YYYY-MM-DD", "%d.%m.")
        ),
    ],
)
def test_mistake_that_was_not_told_before(change, said):
    assert any(
        line.startswith(said) or said in line
        for line in said_of(changed(effective("config.yaml"), change))
    )


def test_every_mistake_is_told_at_once():
    wrong = {"device": "gpu", "seeds": [], "datasets.copd.source": "oasis"}
    wrong |= {"datasets.adni.training.methods.defi-gan.lambda": "ten"}
    assert len(said_of(changed(effective("config.yaml"), wrong))) == 4


def test_what_is_no_configuration_is_told():
    assert said_of([1]) == ["expected object, found [1]"]


@pytest.mark.parametrize("name", [1, False, 1.5])
def test_name_that_is_no_text_is_told(name):
    config = effective("config.yaml")
    config["datasets"] = {name: {**config["datasets"]["adni"], "disease": 5}}
    assert said_of(config) == [f"datasets: {name} is no text; write the name in quotation marks"]
