"""Volumes of other programs in the graph: what was done elsewhere is not done again."""

import yaml
from helpers.made_up_bids import write_bids_dataset
from helpers.workflow import ROOT, planned_jobs

from pipeline.stages import BRAIN_STAGES, STAGES
from pipeline.study.config import parse_config
from pipeline.study.plan import plan_study


def derive(path, subject, session):
    for space in ("", "_space-MNI152NLin2009cAsym"):
        path.with_name(path.name.replace("_T1w", f"{space}_desc-preproc_T1w")).touch()


def test_stages_that_were_done_elsewhere_are_neither_run_nor_estimated(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_bids_dataset(tmp_path / "bids")
    write_bids_dataset(tmp_path / "fmriprep", derive)
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["datasets"] = {
        "mine": {
            "source": "bids",
            "title": "Mine",
            "disease": {"name": "AD", "healthy": "MCI", "diseased": "AD"},
            "archive": {"dataset": "bids", "derivatives": "fmriprep"},
            "labels": {"column": "group", "healthy": ["MCI"], "diseased": ["AD"]},
            "prepared": "skull_stripped",
            "brain": {"shape": [64, 80, 56], "voxel_mm": 2.6},
        }
    }
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(config))
    planned = planned_jobs(tmp_path, "results/table1.csv", "--configfile", path)
    estimated = plan_study(parse_config(config), tmp_path).table
    estimated = estimated.groupby("rule")["jobs"].sum()
    done = {STAGES[stage].rule for stage in ("accept", "template", "grid")}
    assert {planned[rule] for rule in done} == {planned["check_volume"]}
    skipped = {STAGES[stage].rule for stage in BRAIN_STAGES} - done
    assert not skipped & set(planned) and not skipped & set(estimated.index)
    assert {rule: estimated[rule] for rule in done} == {rule: planned[rule] for rule in done}
