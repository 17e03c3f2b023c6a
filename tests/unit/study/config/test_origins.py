"""Where each value of a configuration comes from."""

import re

import pytest
import yaml
from helpers.configurations import ROOT, effective, shipped

from pipeline import cli
from pipeline.study.config import parse_config
from pipeline.study.config.origins import annotated

GIVEN = {
    "seeds": [7],
    "datasets": {
        "lund": {
            "source": "bids",
            "archive": {"dataset": "data/lund"},
            "labels": {"column": "group", "healthy": ["no: 1"], "diseased": ["010"]},
            "training": {"epochs": 3},
        }
    },
}


def origins(text):
    """Origin of each value by the words of its line."""
    lines = (re.fullmatch(r"\s*([^#]*?): *(\S.*?) +# (\w+)", line) for line in text.splitlines())
    return {(line[1], line[2]): line[3] for line in lines if line}


def test_each_value_has_its_origin():
    found = origins(annotated(parse_config(GIVEN), GIVEN))
    assert found["seeds", "[7]"] == "file"
    assert found["epochs", "3"] == "file"
    assert found["updates_per_epoch", "200"] == "default"
    assert found["title", "lund"] == "derived"
    assert found["dataset", "data/lund"] == "file"


@pytest.mark.parametrize("name", ["config.yaml", "config/paper.yaml", "config/toy.yaml"])
def test_a_run_can_begin_with_it(name):
    text = annotated(parse_config(shipped(name)), shipped(name))
    assert parse_config(yaml.safe_load(text)).effective() == effective(name)
    words = {line.rpartition("# ")[2] for line in text.splitlines() if "  # " in line}
    assert ("demo" in words) == (name == "config.yaml")


def test_values_that_yaml_reads_otherwise_are_quoted():
    text = annotated(parse_config(GIVEN), GIVEN)
    assert parse_config(yaml.safe_load(text)) == parse_config(GIVEN)


def test_command_prints_it(capsys):
    cli.main(["config", "--configfile", str(ROOT / "config/paper.yaml")])
    said = capsys.readouterr().out
    assert said.startswith("# file: the configuration says so\n")
    assert origins(said)["device", "auto"] == "file"
