"""What docs/extending.md says is done, in a copy of the pipeline, and works."""

import csv
import shutil
import sys

import pandas as pd
import pytest
import yaml
from helpers.contributing import configuration, copy_pipeline, follow, run
from helpers.small_study import write_small_study
from helpers.workflow import ROOT

from pipeline.brain.engines import ENGINES
from pipeline.stage.sidecar import read_sidecar
from pipeline.study.config import parse_config

PYTHON = (sys.executable, "-m", "pipeline")
PLAN = ("snakemake", "--cores", "1", "--dry-run", "--printshellcmds")


@pytest.fixture
def copy(tmp_path):
    copy_pipeline(tmp_path / "copy")
    return tmp_path / "copy"


def newly_recorded(folder):
    """Entries of the record of code that were not there before: no other changed."""

    def read():
        with (folder / "tests/unit/stage_code.csv").open(newline="") as file:
            return {tuple(row) for row in csv.reader(file)}

    before = read()
    done = run(folder, sys.executable, "tests/helpers/stage_code.py")
    assert done.returncode == 0, done.stderr
    assert before < read()
    return {name for name, *_ in read() - before}


def jobs_planned(folder, rule):
    """Jobs of a rule in the table of the plan."""
    plan = run(folder, *PYTHON, "plan", "--configfile", "study.yaml")
    rows = [line.split() for line in plan.stdout.splitlines()]
    (row,) = (row for row in rows if row[:2] == ["toy", rule])
    return row[2]


@pytest.mark.slow
def test_add_a_stage(copy, make_packed):
    follow("Add a stage", copy)
    shutil.copy(ROOT / "config/toy-small.yaml", copy / "study.yaml")
    (copy / "results/toy").mkdir(parents=True)
    shutil.move(make_packed((16, 16)), copy / "results/toy/packed")
    target = ("results/toy/pair_count.csv", "--configfile", "study.yaml")
    done = run(copy, "snakemake", "--cores", "1", *target)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (copy / target[0]).read_text() == "split,pairs\nvalidation,3\n"
    assert (copy / "benchmarks/toy/pair_count.tsv").is_file()

    assert jobs_planned(copy, "count_pairs") == "1"
    assert newly_recorded(copy) == {"count-pairs"}

    assert "Nothing to be done" in (again := run(copy, *PLAN, *target)).stdout + again.stderr
    table = copy / "pipeline/stages.py"
    raised = 'pair_count:count_pairs",\n        version=2,'
    table.write_text(table.read_text().replace('pair_count:count_pairs",', raised))
    assert "-m pipeline count-pairs" in run(copy, *PLAN, *target).stdout


@pytest.mark.slow
def test_add_an_engine(copy):
    follow("Add an engine", copy)
    (name,) = configuration("Add an engine").values()
    assert name not in ENGINES["skull"]
    study = write_small_study(copy, brain__engines__skull=name)
    target = "results/adni/skull/sub-023S0002/ses-bl/sub-023S0002_ses-bl_desc-skull_T1w.nii.gz"
    done = run(copy, *PLAN, target, "--configfile", study)
    assert f"--engine {name} " in done.stdout, done.stdout + done.stderr

    (copy / "head.json").write_text('{"status": "ok", "steps": []}')
    done = run(copy, *PYTHON, "skull", "head.nii.gz", "result.nii.gz", "--engine", name)
    assert done.returncode == 0, done.stderr
    told = read_sidecar(copy / "result.nii.gz")
    assert told["status"] == "ok"
    assert told["steps"][-1]["engine"] == "half of the mean (NumPy)"
    assert newly_recorded(copy) == {f"skull:{name}"}


def test_add_a_method(copy):
    follow("Add a method", copy)
    shutil.copy(ROOT / "tests/helpers/uniform_shift.py", copy / "pipeline/method")
    config = yaml.safe_load((ROOT / "config/toy-small.yaml").read_text(encoding="utf-8"))
    config["datasets"]["toy"]["training"]["methods"] |= configuration("Add a method")
    (copy / "study.yaml").write_text(yaml.safe_dump(config))
    assert jobs_planned(copy, "train_model") == "14"  # four methods with three seeds, and two once
    assert newly_recorded(copy) == {"train:uniform-shift"}


def test_add_a_disease(copy):
    config = configuration("Add a disease")
    (dataset,) = parse_config(config).datasets.values()
    rows = [
        {"subject": f"s{n}", "session": s, "day": day, "path": f"{n}{s}.dcm", "finding": finding}
        for n in range(10)
        for s, day, finding in (("a", 0, "clear"), ("b", 90, "consolidated"))
    ]
    (copy / "data/films").mkdir(parents=True)
    for row in rows:
        (copy / "data/films" / row["path"]).write_text(row["path"])  # a dry run reads none
    pd.DataFrame(rows).to_csv(copy / dataset.archive.table, index=False)
    (copy / "study.yaml").write_text(yaml.safe_dump(config))
    done = run(
        copy, *PLAN, "results/table1.csv", "results/ward/cohort.html", "--configfile", "study.yaml"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for rule in ("make_table", "describe_cohort"):
        (job,) = (part for part in done.stdout.split("\nrule ") if part.startswith(f"{rule}:"))
        for word in ("Ward 7", "pneumonia", "clear", "consolidated"):
            assert word in job
