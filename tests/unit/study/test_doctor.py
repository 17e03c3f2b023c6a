"""What the doctor finds, where it looks for real: this environment, folders, Slurm's programs."""

import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from helpers.made_up_adni import write_adni_archive
from packaging.requirements import Requirement
from snakemake_interface_executor_plugins.utils import format_cli_value

from pipeline import cli
from pipeline.study import doctor
from pipeline.study.doctor import (
    check_jobs,
    check_submission,
    check_trainings,
    examine,
    quick_checks,
    wrong,
)

ROOT = Path(__file__).parents[3]


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text()) | {"device": "cpu"}


@pytest.fixture
def no_slurm(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("PATH", str(tmp_path_factory.mktemp("empty")))


@pytest.fixture
def roomy(monkeypatch):
    """A disk with 100 GB free, whatever this machine has left."""
    usage = SimpleNamespace(free=100e9)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: usage)


def states(findings, what):
    return [finding.state for finding in findings if finding.what == what]


def test_this_environment_is_right(tmp_path):
    findings = quick_checks(tmp_path)
    assert wrong(findings) == []
    assert states(findings, "packages") == ["ok"]
    (packages,) = [str(finding) for finding in findings if finding.what == "packages"]
    assert "torch 2." in packages


def test_missing_package_is_wrong_and_another_version_a_warning(tmp_path, monkeypatch):
    wanted = [str(Requirement("numpy<1")), "no-such-package>=1", "absent; extra == 'test'"]
    monkeypatch.setattr(doctor, "requires", lambda name: wanted)
    findings = quick_checks(tmp_path)
    (mistake,) = wrong(findings)
    assert "no-such-package>=1 is not installed" in str(mistake)
    (warning,) = [finding for finding in findings if finding.state == "warning"]
    assert "numpy<1 is wanted" in str(warning)
    assert wrong(quick_checks(tmp_path, packages=False)) == []


def test_file_in_place_of_a_folder_is_wrong(tmp_path):
    (tmp_path / "results").write_text("")
    (mistake,) = wrong(quick_checks(tmp_path))
    assert "results is no folder" in str(mistake)
    assert "move it away" in str(mistake)


def test_demonstration_can_run_here(config, tmp_path, no_slurm, roomy):
    findings = examine(config, tmp_path)
    assert wrong(findings) == []
    assert states(findings, "archive") == ["ok", "ok"]
    assert states(findings, "engines") == states(findings, "GPU") == ["ok"]


def test_archive_tells_its_splits_and_warns_of_too_few_subjects(
    config, tmp_path, no_slurm, roomy, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write_adni_archive(Path("ADNI"), Path("tables"), subjects=60, seed=3)
    fractions = {"train": 0.4, "validation": 0.4, "test": 0.2}
    mine = {"archive": {"images": "ADNI", "tables": "tables"}, "demo": None}
    mine |= {"splits": {"seed": 0, "fractions": fractions}}
    config["datasets"]["adni"] |= mine
    *told, few = (str(f) for f in examine(config, tmp_path) if "adni: " in f.found)
    assert re.match(r"ok +archive: adni: \d+ images, by the archive", told[0])
    assert re.search(r"a diseased image: \d+ for validation, \d+ for test", told[1])
    assert re.search(r"trained on: \d+ images, \d+ healthy and \d+ diseased", told[2])
    assert re.match(r"warning +archive: adni: subjects with a test pair: \d; with fewer than", few)


def test_estimate_above_the_free_room_is_wrong(config, tmp_path, no_slurm, roomy):
    config["datasets"]["copd"]["demo"]["normal"] = 10**12
    (mistake,) = wrong(examine(config, tmp_path))
    assert mistake.what == "disk"
    assert "keep_intermediates" in mistake.remedy


def test_what_an_earlier_run_left_needs_no_room_again(config, tmp_path, no_slurm):
    (tmp_path / "results").mkdir()
    with (tmp_path / "results/large").open("wb") as file:
        file.truncate(int(1.5e9))
    (disk,) = [finding.found for finding in examine(config, tmp_path) if finding.what == "disk"]
    _, to_come, whole = map(float, re.findall(r"([\d.]+) GB", disk))
    assert whole - to_come == pytest.approx(1.5, abs=0.11)


def test_no_room_for_a_log_stops_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "LEAST_GIGABYTES", 1e12)
    (mistake,) = wrong(quick_checks(tmp_path))
    assert mistake.what == "disk"


def test_version_and_reason_of_every_engine_are_told(config, tmp_path, no_slurm, monkeypatch):
    monkeypatch.delenv("FSLDIR", raising=False)
    config["datasets"]["adni"]["brain"]["engines"]["skull_refine"] = "auto"
    (engines,) = [f.found for f in examine(config, tmp_path) if f.what == "engines"]
    assert "skull_refine: brainextractor, 0." in engines
    assert "(fsl is not found)" in engines
    config["datasets"]["adni"]["brain"]["engines"]["skull_refine"] = "none"
    (engines,) = [f.found for f in examine(config, tmp_path) if f.what == "engines"]
    assert "skull: deepbet" in engines and "skull_refine" not in engines


@pytest.mark.parametrize(
    "path",
    [
        "ADNI/002_S_1000/scan.nii",
        "two words",
        'a "quoted" word',
        "$(touch oops) `touch oops` $HOME",
        "O'Brien/1.dcm",
        "O'Brien's films/für später.dcm",
        "O'Brien/$HOME",
        "O'Brien/`echo oops`",
        'O\'Brien "junior"',
        "back\\slash",
        "two\nlines",
    ],
)
def test_paths_that_the_shell_of_a_job_would_read_otherwise_are_found(path):
    """A real shell decides what Snakemake's quoting of a path makes of it."""
    line = f"printf %s {format_cli_value(path, quote=True)}"
    read = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False).stdout
    mistakes = wrong(check_submission([path], None))
    assert bool(mistakes) == (read != path)
    if mistakes:
        assert path.splitlines()[0] in str(mistakes[0])


def test_gpu_that_trainings_here_want_is_looked_for():
    import torch

    assert check_trainings("auto") == check_trainings("cpu") == []
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    (mistake,) = wrong(check_trainings("cuda"))
    assert "device: auto" in mistake.remedy


def test_missing_archive_and_missing_tool_are_wrong(config, tmp_path, no_slurm, roomy, monkeypatch):
    monkeypatch.delenv("FSLDIR", raising=False)
    config["datasets"]["adni"]["brain"]["engines"]["skull_refine"] = "fsl"
    assert "fsl is not found" in str(wrong(examine(config, tmp_path))[0])
    config["datasets"]["copd"]["demo"] = None
    config["datasets"]["copd"]["archive"]["films"] = str(tmp_path / "nowhere")
    mistakes = wrong(examine(config, tmp_path))
    assert [mistake.what for mistake in mistakes] == ["configuration"]
    assert "nowhere" in mistakes[0].found


@pytest.mark.parametrize(("device", "state"), [("cuda", "warning"), ("auto", "warning")])
def test_missing_gpu_is_told(device, state):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert doctor._gpu(device).state == state


def test_slurm_that_does_not_answer_is_told(tmp_path, monkeypatch):
    fake = tmp_path / "bin/sinfo"  # a fake: it fails as the real one without a controller
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:/bin")
    (finding,) = doctor._slurm(tmp_path)
    assert finding.state == "ok"  # who has no jobs for it need not care
    assert "Unable to contact" in finding.found
    # A run that wants to submit jobs ends there, before the first.
    (mistake,) = wrong(check_submission([], ["cpu"]))
    assert "Unable to contact" in mistake.found


@pytest.mark.parametrize(
    ("partition", "told"),
    [
        ("'long'", "there is no partition long, only cpu gpu"),
        ("'cpu,long'", "there is no partition long, only cpu gpu"),
        ("'cpu'", None),
        ("'gpu' if attempt > 1 else 'cpu'", None),  # known when a job is submitted
    ],
)
def test_partitions_of_the_profile_are_compared_with_slurms(tmp_path, monkeypatch, partition, told):
    monkeypatch.setattr(doctor, "accounting", lambda: True)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"set-resources": {"ingest": {"slurm_partition": partition}}}))
    assert [f.found for f in doctor._slurm_profile(path, ["cpu", "gpu"])] == (
        [told] if told else []
    )


def test_profile_that_is_no_yaml_is_wrong(tmp_path):
    (tmp_path / "config.yaml").write_text("jobs: [200")
    (mistake,) = wrong(doctor._slurm_profile(tmp_path / "config.yaml", ["cpu"]))
    assert "config.yaml is no YAML" in mistake.found


def test_command_ends_with_1_where_something_is_wrong(tmp_path, monkeypatch, capsys, no_slurm):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs").write_text("")
    with pytest.raises(SystemExit) as end:
        cli.main(["doctor", "--configfile", str(ROOT / "config.yaml")])
    assert end.value.code == 1
    assert "wrong   permissions: logs is no folder" in capsys.readouterr().out


def planned(gpu=0, partition=None, local=False, files=("film.dcm",)):
    """What is asked of a job of Snakemake's."""
    resources = {"gpu": gpu} | ({"slurm_partition": partition} if partition else {})
    return SimpleNamespace(resources=resources, is_local=local, input=files)


def test_jobs_on_this_machine_want_the_gpu_that_they_were_told_to_use():
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert check_jobs([planned(gpu=1)], None, "auto") == []
    assert check_jobs([planned()], None, "cuda") == []  # nothing is trained
    assert check_jobs([planned(gpu=1)], None, None) == []  # in an environment of conda's
    assert wrong(check_jobs([planned(gpu=1)], None, "cuda"))


def test_only_jobs_that_are_submitted_are_looked_at(monkeypatch):
    monkeypatch.setattr(doctor, "partitions", lambda: ["cpu"])
    odd = planned(files=("back\\slash",))
    assert wrong(check_jobs([odd], "cluster-generic", "auto"))
    assert check_jobs([planned(local=True, files=odd.input)], "slurm", "auto") == []
    (mistake,) = wrong(check_jobs([planned(partition="long")], "slurm", "auto"))
    assert "no partition long" in mistake.found
    assert check_jobs([planned(partition="long")], "cluster-generic", "auto") == []
