"""What the doctor finds, where it looks for real: this environment, folders, Slurm's programs."""

from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from pipeline import cli, doctor
from pipeline.doctor import examine, quick_checks, wrong

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text()) | {"device": "cpu"}


@pytest.fixture
def no_slurm(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("PATH", str(tmp_path_factory.mktemp("empty")))


def states(findings, what):
    return [finding.state for finding in findings if finding.what == what]


def test_this_environment_is_right(tmp_path):
    findings = quick_checks(tmp_path)
    assert wrong(findings) == []
    assert states(findings, "packages") == ["ok"]


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


def test_demonstration_can_run_here(config, tmp_path, no_slurm):
    findings = examine(config, tmp_path)
    assert wrong(findings) == []
    assert states(findings, "archive") == ["ok", "ok"]
    assert states(findings, "engines") == states(findings, "GPU") == ["ok"]


def test_estimate_above_the_free_room_is_wrong(config, tmp_path, no_slurm):
    config["datasets"]["copd"]["demo"]["normal"] = 10**12
    (mistake,) = wrong(examine(config, tmp_path))
    assert mistake.what == "disk"
    assert "keep_intermediates" in mistake.remedy


def test_missing_archive_and_missing_tool_are_wrong(config, tmp_path, no_slurm, monkeypatch):
    monkeypatch.delenv("FSLDIR", raising=False)
    config["datasets"]["adni"]["brain"]["engines"]["bet"] = "fsl"
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
    assert finding.state == "warning"
    assert "Unable to contact" in finding.found


def test_command_ends_with_1_where_something_is_wrong(tmp_path, monkeypatch, capsys, no_slurm):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs").write_text("")
    with pytest.raises(SystemExit) as end:
        cli.main(["doctor", "--config", str(ROOT / "config.yaml")])
    assert end.value.code == 1
    assert "wrong   permissions: logs is no folder" in capsys.readouterr().out
