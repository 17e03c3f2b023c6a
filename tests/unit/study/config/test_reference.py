"""The page of the configuration says what the models say."""

import os
import re
import subprocess
import sys

import yaml
from helpers.workflow import ROOT

from pipeline.study.config import reference
from pipeline.study.config.reading import Config

PAGE = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")


def rows_of(anchor):
    """Cells of a table by its keys."""
    table = PAGE.split(f'<a id="{anchor}">')[1].split("\n## ")[0]
    rows = [row[2:-2].split(" | ") for row in re.findall(r"^\| `.*$", table, re.MULTILINE)]
    return {key.strip("`"): cells for key, *cells in rows}


def test_page_is_up_to_date():
    """If not: ``python -m pipeline.study.config.reference docs/configuration.md``."""
    assert reference.reference_page() == PAGE


def test_every_key_says_what_it_does():
    assert reference.keys_without_meaning() == []


def test_keys_kinds_and_defaults_are_those_of_the_models():
    assert list(rows_of("config")) == list(Config.model_fields)
    fields = reference._models()["VolumeTraining"].model_fields
    for key in ("batch_size", "epochs", "precision"):
        kind, default, _ = rows_of("volumetraining")[key]
        assert yaml.safe_load(default.strip("`")) == fields[key].default
    assert kind == "`float32`, `tf32`, `bf16`"
    assert rows_of("classes")["column"][1] == "needed"
    assert rows_of("defiganoptions")["lambda"][1].strip() == ""


def test_every_section_has_its_place():
    anchors = set(re.findall(r'<a id="(\w+)">', PAGE))
    assert set(re.findall(r"\]\(#(\w+)\)", PAGE)) | {"config"} == anchors


def test_key_without_words_is_found(monkeypatch):
    monkeypatch.setattr(reference, "ATTRIBUTES", re.compile("no such (.)"))
    missing = reference.keys_without_meaning()
    assert "Chest.resize" in missing
    assert "Config.seeds" not in missing  # its field has a description


def test_help_is_no_page(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.study.config.reference", "--help"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "usage:" in done.stdout
    assert not list(tmp_path.iterdir())
