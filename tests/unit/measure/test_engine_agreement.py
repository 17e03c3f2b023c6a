import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from pipeline.brain.engines import EMBEDDED, ENGINES, resolve_engines
from pipeline.brain.volume import save_volume
from pipeline.measure import engine_agreement
from pipeline.stage.sidecar import write_sidecar


def turn(degrees: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("x", degrees, degrees=True).as_matrix()
    return matrix


@pytest.fixture
def brain() -> nib.Nifti1Image:
    """A ball of 60 mm about the origin, on voxels of 4 mm."""
    affine = np.diag([4.0, 4, 4, 1])
    affine[:3, 3] = -80
    place = np.stack(np.meshgrid(*[np.arange(41)] * 3, indexing="ij"), -1) * 4.0 - 80
    return nib.Nifti1Image((np.linalg.norm(place, axis=-1) < 60).astype(np.float32), affine)


def save(path: Path, data: np.ndarray, affine: np.ndarray, matrix: np.ndarray) -> Path:
    save_volume(data, affine, path)
    steps = [{"stage": "template", "matrix": matrix.tolist(), "correlation": 0.9}]
    write_sidecar(path, "template", steps)
    return path


def test_error_of_the_pose_is_the_one_that_was_made(tmp_path: Path, icbm_head, save_head) -> None:
    bias = save_head(icbm_head, "bias.nii.gz", 4.0)
    # The head was turned by 5 degrees, and the registration found 3 of them.
    found = save(tmp_path / "template.nii.gz", np.eye(3)[None], np.eye(4), turn(-3))
    figures = engine_agreement._registration(turn(5), {"bias": bias, "template": found}, np.eye(4))
    assert figures["degrees"] == pytest.approx(2, abs=1e-4)
    farthest = np.linalg.norm(engine_agreement.CORNERS[:, 1:], axis=1).max()
    assert figures["mm"] == pytest.approx(2 * np.sin(np.radians(1)) * farthest)
    assert figures["correlation_before"] > 0.95
    assert figures["correlation_after"] == 0.9


def test_overlap_is_that_of_the_masks_in_the_templates_space(tmp_path: Path, brain) -> None:
    data = np.asarray(brain.dataobj)
    matrix = save(tmp_path / "template.nii.gz", data, brain.affine, turn(-30))
    paths = {"template": matrix, "skull_refine": matrix}
    assert engine_agreement._dice(brain, turn(30), paths, "skull_refine") == 1
    half = data.copy()
    half[:20] = 0
    save_volume(half, brain.affine, tmp_path / "half.nii.gz")
    kept = half.sum() / data.sum()
    expected = 2 * kept / (1 + kept)
    paths["skull_refine"] = tmp_path / "half.nii.gz"
    assert engine_agreement._dice(brain, turn(30), paths, "skull_refine") == pytest.approx(expected)


def test_share_of_the_brain_that_a_crop_keeps(tmp_path: Path, brain) -> None:
    data = np.asarray(brain.dataobj)
    origin = brain.affine.copy()
    origin[2, 3] += 4 * 20
    cut = save(tmp_path / "crop.nii.gz", data[:, :, 20:], origin, np.eye(4))
    expected = data[:, :, 20:].sum() / data.sum()
    assert engine_agreement._brain_kept(brain, np.eye(4), cut) == pytest.approx(expected)


def test_memory_is_that_of_the_command_alone() -> None:
    ours = np.ones(300 * 2**17)  # 300 MB that the command does not have
    seconds, megabytes = engine_agreement._cost([sys.executable, "-c", "b = b'x' * 100 * 2**20"])
    assert ours[-1] == 1
    assert 100 < megabytes < 200
    assert seconds > 0


def test_page_tells_engines_scans_figures_and_cost() -> None:
    names = "brain_kept cv_truth cv_before cv_after correlation_before correlation_after"
    columns = [*names.split(), "degrees", "mm", "dice_skull", "dice_skull_refine"]
    figures = pd.DataFrame([dict.fromkeys(columns, 0.5), dict.fromkeys(columns, 0.25)])
    figures = figures.assign(scan=[1, 2])
    figures.loc[1, "cv_before"] = np.nan
    costs = pd.DataFrame({"stage": ["crop", "crop"], "seconds": [2, 4], "megabytes": [100, 300]})
    page = engine_agreement._page(figures, costs, resolve_engines(dict.fromkeys(ENGINES, EMBEDDED)))
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("|")]
    assert ["crop", "3.0 (4.0)", "300"] in rows
    assert any(row[0] == "2" and "-" in row and "25.0 %" in row for row in rows)
    assert sum(row[0] == "1" for row in rows) == 2
    assert len({len(row) for row in rows if row[0] in "12"}) == 2
