"""Volumes that are no T1 scan of a whole head, whatever their header says."""

import numpy as np
import pytest
from helpers.small_study import small_brain
from nibabel import load
from scipy.ndimage import binary_dilation, binary_opening

from pipeline.brain.kind import check_kind, check_skull
from pipeline.brain.orient import to_canonical
from pipeline.brain.skull import can_be_brain
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
    check_skull(data, AFFINE)


def test_standardised_values_are_no_ct():
    data = mri()
    check_kind((data - data.mean()) / data.std())


@pytest.fixture(scope="module", params=["icbm", "necked"])
def person(request):
    """A real head on voxels of 2 or 1.5 mm, nowhere 0; its brain, and the affine of both."""
    head, mask = (request.getfixturevalue(f"{request.param}_{part}") for part in ("head", "brain"))
    step = 2 if request.param == "icbm" else 1
    (data, affine), (brain, _) = (
        to_canonical(image.get_fdata(), image.affine) for image in (head, mask)
    )
    thinned = (slice(None, None, step),) * 3
    return data[thinned] + 1, brain[thinned] > 0.5, affine @ np.diag([step, step, step, 1])


def without_air(data, brain):
    """A head whose air is 0, as many scanners write it."""
    inside = binary_opening(data > 0.1 * np.percentile(data[brain], 98))
    return np.where(inside, data, 0)


def without_face(data, brain):
    """A head that is 0 before a plane from the brow to behind the jaw, and below the brain."""
    _, y, z = np.indices(data.shape)
    (_, behind, low), (_, front, top) = (edge(np.argwhere(brain), 0) for edge in (np.min, np.max))
    middle, brow = (behind + front) / 2, low + 0.4 * (top - low)
    face = (y - middle) * (brow - low) > (z - low) * (front - middle)
    return np.where((face | (z < low)) & ~binary_dilation(brain, iterations=2), 0, data)


@pytest.mark.parametrize("change", [without_air, without_face])
@pytest.mark.parametrize("size", [1.0, 0.8])
def test_head_has_its_skull_without_air_face_and_neck(person, change, size):
    """Small ones, too: a child's head is no larger than an adult's brain."""
    data, brain, affine = person
    changed = change(without_air(data, brain), brain)
    assert can_be_brain(changed != 0, np.diag([size, size, size, 1]) @ affine) or size == 1
    check_skull(changed, np.diag([size, size, size, 1]) @ affine)
    check_skull(data, affine)


@pytest.mark.parametrize("wide", [0, 1, 3])
@pytest.mark.parametrize(("scale", "background"), [((1, 0), 0), ((0.01, -1), 0), ((1, 0), -1)])
def test_brain_without_skull_is_refused(person, wide, scale, background):
    """Whatever the mask leaves around the brain, and whatever the background is."""
    data, brain, affine = person
    mask = binary_dilation(brain, iterations=wide) if wide else brain
    stripped = np.where(mask, data * scale[0] + scale[1], background)
    with pytest.raises(ImageError, match=r"skull is gone; .* say prepared: skull_stripped"):
        check_skull(stripped, affine)


def test_brain_of_coarse_voxels_is_refused(tmp_path):
    small_brain(tmp_path / "brain.nii.gz")
    brain = load(tmp_path / "brain.nii.gz")
    with pytest.raises(ImageError, match="the skull is gone"):
        check_skull(brain.get_fdata(), brain.affine)


def test_head_whose_top_is_cut_off_is_not_judged(person):
    data, brain, affine = person
    top = np.argwhere(brain)[:, 2].max()
    check_skull(np.where(brain, data, 0)[:, :, : top - 15], affine)


@pytest.mark.parametrize("mm", [10, 15, 20])
def test_crown_that_is_partly_cut_off_is_judged_by_the_rest(person, mm):
    data, brain, affine = person
    smaller = np.diag([0.8, 0.8, 0.8, 1]) @ affine
    head = without_air(data, brain)
    top = np.argwhere(head)[:, 2].max() + 1 - round(mm / smaller[2, 2])
    check_skull(head[:, :, :top], smaller)
    stripped = np.where(brain, data, 0)
    top = np.argwhere(brain)[:, 2].max() + 1 - round(mm / 2 / smaller[2, 2])
    with pytest.raises(ImageError, match="the skull is gone"):
        check_skull(stripped[:, :, :top], smaller)


def test_hollow_volume_is_no_brain():
    noise = np.random.default_rng(0).normal(0, 10, SHAPE)
    with np.errstate(all="raise"):
        check_skull(np.where(ellipsoid(100) & ~ellipsoid(85), 300 + noise, 0), AFFINE)
