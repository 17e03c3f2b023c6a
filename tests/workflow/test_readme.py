"""README: short, true, and enough to begin with."""

import os
import re
import subprocess

import pandas as pd
import pytest
import yaml
from helpers.documentation import README, blocks, tables
from helpers.made_up_adni import write_adni_archive
from helpers.made_up_bids import write_bids_dataset
from helpers.workflow import ROOT

from pipeline.study.config import read_config
from pipeline.study.plan import plan_study

TEXT = README.read_text(encoding="utf-8")
EXAMPLES = blocks(README, "yaml")


def write_bids(archive):
    write_bids_dataset(archive["dataset"])


def write_adni(archive):
    write_adni_archive(archive["images"], archive["tables"], subjects=60, seed=1)


def write_films(archive):
    """A table of films that a plan does not open."""
    archive["images"].mkdir(parents=True)
    visits = (("a", 0, "normal"), ("b", 90, "copd"))
    rows = [
        {"subject": f"P{n}", "session": s, "day": day, "path": f"{n}{s}.dcm", "diagnosis": found}
        for n in range(12)
        for s, day, found in visits
    ]
    rows += [
        {"subject": f"Q{n}", "session": s, "day": day, "path": f"Q{n}{s}.dcm", "diagnosis": found}
        for n in range(4)
        for s, day, found in visits[n % 2 : n % 2 + 1]
    ]
    for row in rows:
        (archive["images"] / row["path"]).write_text(row["path"])
    pd.DataFrame(rows).to_csv(archive["table"], index=False)


WRITERS = {"bids": write_bids, "manifest": write_films, "adni": write_adni}


def test_readme_is_short():
    assert len(TEXT.split()) < 1200


def test_links_lead_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT)
    assert len(links) > 10
    assert all((ROOT / link).is_file() for link in links)


def test_examples_are_of_three_kinds_and_short():
    sources = [
        dataset["source"] for e in EXAMPLES for dataset in yaml.safe_load(e)["datasets"].values()
    ]
    assert sources == ["bids", "manifest", "adni"]
    assert all(len(example.splitlines()) <= 10 for example in EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES, ids=("BIDS", "CSV", "ADNI"))
def test_example_is_a_whole_study(example, tmp_path, monkeypatch):
    """Its data are made up where it says they lie; the archive is read and planned."""
    monkeypatch.chdir(tmp_path)
    given = yaml.safe_load(example)
    (dataset,) = given["datasets"].values()
    archive = {key: tmp_path / path for key, path in dataset["archive"].items()}
    (tmp_path / "data").mkdir()
    WRITERS[dataset["source"]](archive)
    table = plan_study(read_config(given), tmp_path).table
    jobs = table.set_index("rule")["jobs"]
    assert jobs["train_model"] >= 10  # the paper's two methods, five seeds
    assert jobs["make_table"] == 1


def test_installation_begins_as_it_says(tmp_path):
    """Up to what takes minutes, which is planned."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone, so there is nothing to clone")
    (clone, enter, *_) = blocks(README, "sh")[0].splitlines()
    script = f"set -e\n{clone}\n{enter}\nmake --dry-run install\nmake --dry-run table1\n"
    trusted = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory"}
    done = subprocess.run(
        ["bash", "-c", script + "make --dry-run PYTHON=python3 install\nmake --dry-run test\n"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | trusted | {"GIT_CONFIG_VALUE_0": "*", "REPOSITORY": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert "snakemake --cores all results/table1.csv" in done.stdout


def test_numbers_are_those_of_the_demonstrations_page():
    def table(page):
        return next(rows for rows in tables(page) if rows[0][:2] == ["Data", "true deformation"])

    assert table(README) == table(ROOT / "docs/demo.md")
