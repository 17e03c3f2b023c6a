"""Volumes that are no T1 scan of a whole head, whatever their header says."""

import numpy as np
import pytest
from helpers.small_study import small_brain
from nibabel import load

from pipeline.brain.kind import check_kind, is_skull_stripped
from pipeline.stage.errors import ImageError

SHAPE = (40, 48, 44)
AFFINE = np.diag([5.0, 5, 5, 1])


def ellipsoid(radius: float) -> np.ndarray:
    """An ellipsoid of this many mm from front to back."""
    x, y, z = (np.indices(SHAPE) - np.reshape(np.array(SHAPE) / 2, (3, 1, 1, 1))) * 5
    return (x / 0.8) ** 2 + y**2 + z**2 < radius**2


def ct() -> np.ndarray:
    """Air, soft tissue and a shell of bone, in Hounsfield units."""
    noise = np.random.default_rng(0).normal(0, 10, SHAPE)
    bone = ellipsoid(100) & ~ellipsoid(90)
    return np.where(bone, 900, np.where(ellipsoid(90), 35, -1000)) + noise


def mri() -> np.ndarray:
    """A head of some contrast in the noise of the air."""
    noise = np.random.default_rng(0).rayleigh(8, SHAPE)
    return np.where(ellipsoid(105), 300 + 20 * noise, noise)


@pytest.mark.parametrize("values", [(0, 1), (0, 255), (-1, 1), (0.0, 0.5)])
def test_mask_is_refused(values):
    with pytest.raises(ImageError, match="a mask; give the scan itself"):
        check_kind(np.where(ellipsoid(80), values[1], values[0]))


@pytest.mark.parametrize("outside", [None, -2000, -3024])
def test_ct_is_refused(outside):
    data = ct()
    if outside:  # beyond the circle that the scanner reconstructs
        data[:4] = outside
    with pytest.raises(ImageError, match="air in Hounsfield units: a CT; give a T1 MRI"):
        check_kind(data)


@pytest.mark.parametrize("scale", [(1, 0), (0.001, 0), (50, 0), (1, -300)])
def test_mri_of_any_scale_is_none_of_them(scale):
    data = mri() * scale[0] + scale[1]
    check_kind(data)
    assert not is_skull_stripped(data, AFFINE)


def test_standardised_values_are_no_ct():
    data = mri()
    check_kind((data - data.mean()) / data.std())


def test_brain_without_skull_is_known(tmp_path):
    small_brain(tmp_path / "brain.nii.gz")
    brain = load(tmp_path / "brain.nii.gz")
    assert is_skull_stripped(brain.get_fdata(), brain.affine)


def test_head_in_a_background_of_zeros_has_its_skull():
    assert not is_skull_stripped(np.where(ellipsoid(105), mri(), 0), AFFINE)
