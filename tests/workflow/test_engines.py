"""Engines in the graph: which tool, what reruns, what stops a run. Tools are recording fakes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.fake_tools import FakeTools
from helpers.small_study import write_small_study
from helpers.workflow import planned_jobs, run_snakemake

from pipeline.brain.engines import AUTO, EMBEDDED, ENGINES, NONE
from pipeline.stage.layout import volume
from pipeline.stage.sidecar import read_sidecar
from pipeline.stages import BRAIN_STAGES, STAGES

BY_ROLE = [
    (stage, {engine.role: name for name, engine in engines.items()})
    for stage, engines in ENGINES.items()
]


def path_of(stage):
    return Path("results", volume("adni", stage, "023S0002", "bl"))


TARGET = path_of("grid")


@pytest.fixture
def bare(monkeypatch):
    """No tool of this machine is found."""
    for variable in ("FSLDIR", "ROBEX_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")


@pytest.fixture
def fakes(bare, tmp_path, monkeypatch):
    tools = FakeTools(tmp_path / "tools")
    for variable, value in tools.environment(os.environ["PATH"]).items():
        monkeypatch.setenv(variable, value)
    return tools


def rules_planned(folder, config, *arguments):
    return set(planned_jobs(folder, TARGET, "--configfile", config, *arguments)) - {"total"}


def test_table_of_engines_is_told_once(bare, tmp_path):
    config = write_small_study(tmp_path)
    done = run_snakemake(tmp_path, TARGET, "--configfile", config, "--dry-run")
    said = (done.stdout + done.stderr).splitlines()
    assert said.count("Engines of the brain stages:") == 1
    rows = [line.split() for line in said if line.startswith("adni ")]
    assert [row[1:3] for row in rows] == [[stage, engines[EMBEDDED]] for stage, engines in BY_ROLE]


def test_named_tool_that_is_missing_stops_the_run(bare, tmp_path):
    config = write_small_study(tmp_path, brain__engines__template="fsl")
    done = run_snakemake(tmp_path, TARGET, "--configfile", config, check=False)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "datasets.adni.brain.engines: fsl is not found" in said
    assert "set FSLDIR" in said
    assert not (tmp_path / "results").exists()


def test_unknown_engine_and_old_keys_stop_the_run(bare, tmp_path):
    old = dict.fromkeys(ENGINES, EMBEDDED) | {"skull_refine": "nones", "crop": NONE}
    old["robex"] = old.pop("skull")
    config = write_small_study(tmp_path, brain__engines=old)
    done = run_snakemake(tmp_path, TARGET, "--configfile", config, check=False)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "brain.engines.robex: the stage is called skull now; rename the key" in said
    assert (
        "brain.engines.skull_refine: expected one of auto, embedded, brainextractor, fsl, none"
        in said
    )
    assert "brain.engines.crop: expected one of" in said  # of the others none may be left out
    assert not (tmp_path / "results").exists()


def test_time_limit_of_a_stage_is_that_of_its_job(bare, tmp_path):
    config = write_small_study(tmp_path)
    limits = ("--dry-run", "--printshellcmds", "--set-resources", "crop_volume:runtime=3")
    done = run_snakemake(tmp_path, TARGET, "--configfile", config, *limits)
    commands = [line for line in done.stdout.splitlines() if "-m pipeline crop" in line]
    assert len(commands) == 1
    assert "--minutes 3 " in commands[0]


@pytest.mark.slow
def test_tools_are_used_and_another_engine_reruns_its_stage(fakes, tmp_path):
    config = write_small_study(tmp_path)
    run_snakemake(tmp_path, TARGET, "--configfile", config)
    steps = {step["stage"]: step for step in read_sidecar(tmp_path / TARGET)["steps"]}
    assert list(steps) == list(BRAIN_STAGES)
    for stage, engines in BY_ROLE:
        assert steps[stage]["engine"] == ENGINES[stage][engines[AUTO]].title
    called = [call["program"] for call in fakes.calls()]
    programs = ["N4BiasFieldCorrection", "flirt", "runROBEX.sh", "bet"]
    assert called == ["fslreorient2std", "robustfov", *programs]
    assert rules_planned(tmp_path, config) == set()

    for other, rules in ((EMBEDDED, {"refine_skull", "resample_grid"}), (NONE, {"resample_grid"})):
        config = write_small_study(tmp_path, brain__engines__skull_refine=other)
        assert rules_planned(tmp_path, config) == rules
    run_snakemake(tmp_path, TARGET, "--configfile", config)
    left = [step["stage"] for step in read_sidecar(tmp_path / TARGET)["steps"]]
    assert left == [stage for stage in BRAIN_STAGES if stage != "skull_refine"]
    # A new release of the tool, too.
    config = write_small_study(tmp_path)
    (fakes.fsl / "etc/fslversion").write_text("6.0.8\n")
    assert rules_planned(tmp_path, config) == {STAGES[stage].rule for stage in BRAIN_STAGES}
    assert rules_planned(tmp_path, config, "--until", "orient_volume") == {"orient_volume"}


@pytest.mark.slow
def test_intermediate_volumes_can_be_removed_once_used(fakes, tmp_path):
    config = write_small_study(tmp_path, keep_intermediates=False)
    run_snakemake(tmp_path, TARGET, "--configfile", config)
    for stage in BRAIN_STAGES:
        image = tmp_path / path_of(stage)
        assert image.exists() == (stage == "grid")
        assert read_sidecar(image)["status"] == "ok"
    assert rules_planned(tmp_path, config) == set()


@pytest.mark.slow
def test_killed_stage_fails_and_the_next_run_completes(fakes, tmp_path, monkeypatch):
    config = write_small_study(tmp_path)
    monkeypatch.setenv("FAKE_FAULT", "hang")
    script = (
        "import sys; from helpers.workflow import run_snakemake; "
        "sys.exit(run_snakemake(*sys.argv[1:], check=False).returncode)"
    )
    arguments = [tmp_path, path_of("crop"), "--configfile", config]
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    while not fakes.record.exists():
        assert process.poll() is None
        time.sleep(0.1)
    call = fakes.call()
    os.kill(call["parent"], signal.SIGKILL)
    os.kill(call["pid"], signal.SIGKILL)
    assert process.wait(timeout=120) == 1
    assert not list((tmp_path / "results").rglob("sub-*.*"))
    monkeypatch.delenv("FAKE_FAULT")
    run_snakemake(tmp_path, path_of("crop"), "--configfile", config)
    assert read_sidecar(tmp_path / path_of("crop"))["status"] == "ok"
