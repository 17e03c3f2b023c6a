"""Dry runs: what would run, and what stops a run before the first job."""

import re
from pathlib import Path

import pytest
import yaml
from helpers.paper_archives import write_paper_archives
from helpers.workflow import ROOT, planned_jobs, run_snakemake

from pipeline.study.config import read_config
from pipeline.study.plan import plan_study

PAPER = ("--configfile", ROOT / "config/paper.yaml")


def refusal(folder, *arguments):
    """What a run says that does not even begin."""
    done = run_snakemake(folder, "--dry-run", *arguments, check=False)
    assert done.returncode != 0
    return done.stdout + done.stderr


def estimated_jobs(folder, config):
    """Jobs by rule that `python -m pipeline plan` tells, beside what it leaves out."""
    table = plan_study(read_config(yaml.safe_load((ROOT / config).read_text())), folder).table
    jobs = table.groupby("rule")["jobs"].sum().to_dict()
    return jobs | {"all": 1, "total": 1 + sum(jobs.values())}


def models(seeds, datasets=2):
    """Three methods have a model a seed, two baselines one model."""
    return datasets * (3 * seeds + 2)


def test_demonstration_begins_with_its_archives(tmp_path):
    plan = planned_jobs(tmp_path)
    assert plan["make_demo_adni"] == plan["make_demo_copd"] == 1
    assert plan["ingest_made"] == 2
    assert plan["train_model"] == plan["score_model"] == models(seeds=5)
    assert plan["score_true_deformation"] == 2


@pytest.fixture
def archive(tmp_path):
    """Made-up archives where config/paper.yaml expects them."""
    write_paper_archives(tmp_path, subjects=80)
    return tmp_path


def test_whole_graph_of_the_paper_is_planned(archive, monkeypatch):
    monkeypatch.chdir(archive)
    plan = planned_jobs(archive, *PAPER)
    assert "make_demo_adni" not in plan
    assert "score_true_deformation" not in plan
    assert plan["train_model"] == plan["score_model"] == models(seeds=5)
    volumes = plan["orient_volume"]
    assert volumes > 20
    for rule in (
        "crop_volume",
        "correct_bias",
        "register_template",
        "strip_skull",
        "refine_skull",
        "resample_grid",
        "check_volume",
    ):
        assert plan[rule] == volumes
    assert plan["register_volumes"] > 2
    assert plan["prepare_films"] > 1
    assert plan["register_films"] >= 1
    assert plan["review_volumes"] == 1
    assert plan["pack_volumes"] == plan["pack_films"] == 1
    assert estimated_jobs(archive, "config/paper.yaml") == plan
    # The archive was read at planning time, once; an untouched one is not read again.
    cached = {path: path.stat().st_mtime_ns for path in archive.glob(".snakemake/cohorts/*/*")}
    assert cached
    planned_jobs(archive, *PAPER)
    assert cached == {p: p.stat().st_mtime_ns for p in archive.glob(".snakemake/cohorts/*/*")}


@pytest.mark.parametrize(
    ("target", "rules"),
    [
        ("prepare_brain", {"refine_skull", "resample_grid"}),
        ("check_brain", {"check_volume", "review_volumes"}),
        ("prepare_chest", {"prepare_films"}),
        ("register_pairs", {"register_volumes", "register_films"}),
        ("train_models", {"train_model"}),
    ],
)
def test_each_stage_has_a_target(archive, target, rules):
    plan = planned_jobs(archive, target, *PAPER)
    assert rules <= set(plan)
    assert "make_table" not in plan


def test_toy_data_go_the_same_way(tmp_path):
    plan = planned_jobs(tmp_path, "--configfile", ROOT / "config/toy-small.yaml")
    assert estimated_jobs(tmp_path, "config/toy-small.yaml") == plan
    assert plan == {
        "all": 1,
        "make_toy": 1,
        "train_model": models(seeds=3, datasets=1),
        "record_config": 1,
        "record_model": models(seeds=3, datasets=1),
        "record_run": 1,
        "score_model": models(seeds=3, datasets=1),
        "make_table": 1,
        "make_claims_table": 1,
        "measure_credibility": 1,
        "make_credibility_table": 1,
        "draw_overview": 1,
        "make_report": 1,
        "total": 10 + 3 * models(seeds=3, datasets=1),
    }


def test_record_of_the_run_covers_its_tables_pages_and_pictures(tmp_path):
    done = run_snakemake(tmp_path, "--dry-run")
    (job,) = re.findall(r"^rule record_run:\n    input: (.+)$", done.stdout, re.MULTILINE)
    pictures = [f"results/figures/copd/median_explanation.{kind}" for kind in ("png", "svg")]
    pages = ["results/adni/qc.html", "results/adni/cohort.html", "results/copd/cohort.html"]
    tables = [
        f"results/{name}.csv"
        for name in (
            "table1",
            "table1_extended",
            "biomarkers",
            "claims",
            "credibility",
            "truth",
            "demo",
        )
    ]
    assert {*tables, *pages, *pictures} <= set(job.split(", "))
    assert "report/index.html" not in job  # which shows the record


def test_sweep_scores_no_test_pair(tmp_path):
    plan = planned_jobs(
        tmp_path, "results/sweep.csv", "--configfile", ROOT / "config/toy-small.yaml"
    )
    assert plan == {"make_toy": 1, "train_sweep": 2 * 5, "choose_lambda": 1, "total": 12}


def test_unknown_key_stops_the_run(tmp_path):
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["datasets"]["copd"]["chest"]["resise"] = 72
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    said = refusal(tmp_path, "--configfile", tmp_path / "config.yaml")
    assert "unknown key 'resise'; did you mean 'resize'?" in said


def test_place_that_cannot_be_written_stops_the_run(tmp_path):
    (tmp_path / "results").write_text("")
    assert "results is no folder; move it away" in refusal(tmp_path)


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="there is a GPU here")
def test_gpu_that_is_missing_stops_a_run_that_trains_before_the_first_job(tmp_path):
    config = yaml.safe_load((ROOT / "config/toy-small.yaml").read_text()) | {"device": "cuda"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    done = run_snakemake(tmp_path, "--configfile", tmp_path / "config.yaml", check=False)
    assert done.returncode != 0
    assert "the configuration says cuda, but PyTorch finds no GPU" in done.stderr
    assert not (tmp_path / "results").exists()


def test_wrong_path_stops_the_run(tmp_path):
    said = refusal(tmp_path, *PAPER)
    assert "datasets.adni.archive.images: there is no 'data/adni/ADNI'" in said


def test_wrong_table_stops_the_run(archive):
    (archive / "data/copd/spirometry.csv").write_text("PatientID,Date,FEV1_FVC\n")
    said = refusal(archive, *PAPER)
    assert "datasets.copd: " in said
    assert "TestDate" in said


def test_setting_on_the_command_line_keeps_the_configuration(tmp_path):
    assert planned_jobs(tmp_path, "--config", "device=cpu")["train_model"] == models(seeds=5)
