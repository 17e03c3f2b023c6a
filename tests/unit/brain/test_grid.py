from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine

from pipeline.brain.grid import resample_to_grid
from pipeline.brain.volume import save_volume
from pipeline.stage.errors import ImageError

SHAPE = (60, 70, 64)
AFFINE = np.diag([2.0, 2, 2, 1])
AFFINE[:3, 3] = (-59, -80, -50)


def ball(radius: float = 25) -> np.ndarray:
    """A ball whose values rise along x, y and z, in a background of 0."""
    index = np.indices(SHAPE).astype(np.float32)
    inside = sum((i - n / 2) ** 2 for i, n in zip(index, SHAPE, strict=True)) < radius**2
    return inside * (100 + index[0] + 2 * index[1] + 3 * index[2])


def run(tmp_path: Path, data: np.ndarray, **settings) -> tuple[nib.Nifti1Image, dict]:
    save_volume(data, AFFINE, tmp_path / "in.nii.gz")
    facts = resample_to_grid(tmp_path / "in.nii.gz", tmp_path / "out.nii.gz", **settings)
    return nib.load(tmp_path / "out.nii.gz"), facts


@pytest.mark.parametrize(("voxel_mm", "shape"), [(1.3, (80, 120, 84)), (2.0, (64, 64, 64))])
def test_values_lie_where_the_affine_says(tmp_path: Path, voxel_mm: float, shape: tuple) -> None:
    data = ball()
    result, facts = run(tmp_path, data, voxel_mm=voxel_mm, shape=shape)
    assert result.shape == shape and result.get_data_dtype() == np.float32
    assert result.header.get_zooms() == pytest.approx((voxel_mm,) * 3)
    middle = apply_affine(AFFINE, (np.array(SHAPE) - 1) / 2)
    np.testing.assert_allclose(
        apply_affine(result.affine, (np.array(shape) - 1) / 2), middle, atol=1e-3
    )
    # Inside the ball the source is linear, so linear resampling is exact.
    low, high = facts["percentiles"]
    for offset in ([0, 0, 0], [9, -6, 12], [-10, 5, -7]):
        index = np.array(shape) // 2 + offset
        x, y, z = np.linalg.solve(AFFINE, [*apply_affine(result.affine, index), 1])[:3]
        expected = np.clip((100 + x + 2 * y + 3 * z - low) / (high - low) * 2 - 1, -1, 1)
        assert result.dataobj[tuple(index)] == pytest.approx(expected, abs=1e-4)


def test_percentiles_and_background(tmp_path: Path) -> None:
    result, facts = run(tmp_path, ball(), voxel_mm=2.0, shape=SHAPE)
    scaled = result.get_fdata()
    assert scaled.min() == -1 and scaled.max() == 1 and scaled[0, 0, 0] == -1
    np.testing.assert_allclose(facts["percentiles"], np.percentile(ball(), [5, 95]), rtol=1e-5)


def test_coarse_grid_is_smoothed_first(tmp_path: Path) -> None:
    stripes = ball() * (1 + np.indices(SHAPE)[2] % 2)
    coarse, facts = run(tmp_path, stripes, voxel_mm=4.0, shape=(30, 35, 32))
    assert facts["smoothed"]
    # Stripes of one source voxel must not come out as stripes of the coarse grid.
    core = coarse.get_fdata()[12:18, 14:20, 12:20]
    assert np.abs(np.diff(core, axis=2)).max() < 0.25
    # The brain does not grow: its radius is 25 voxels of the source.
    assert np.mean(coarse.get_fdata() > -1) == pytest.approx(
        4 / 3 * np.pi * 25**3 / stripes.size, rel=0.05
    )
    assert not run(tmp_path, stripes, voxel_mm=3.0, shape=(40, 46, 42))[1]["smoothed"]


def test_brain_that_is_too_small_to_scale(tmp_path: Path) -> None:
    rods = np.zeros(SHAPE, np.float32)
    for axis in range(3):
        np.moveaxis(rods, axis, 0)[:, 32, 32] = 5
    with pytest.raises(ImageError, match="too little"):
        run(tmp_path, rods, voxel_mm=2.0, shape=SHAPE)
