"""Whether a displaced head is noticed, whatever its contrast."""

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import affine_transform, binary_dilation
from scipy.spatial.transform import Rotation

from pipeline.brain.alignment import find_alignment
from pipeline.brain.template import packaged_template

VOXEL_MM = np.array([4.0, 4.0, 4.0])


@pytest.fixture(scope="session")
def template():
    """Head and brain of the packaged template at 4 mm."""
    path = packaged_template()
    files = (path, path.with_name(f"{path.stem}_mask.nii"))
    head, brain = (np.squeeze(nib.load(file).get_fdata())[::4, ::4, ::4] for file in files)
    return head, brain > 0.5


def displaced(head, turn, move):
    """The head turned by a rotation vector in degrees about its middle, then moved by mm."""
    matrix = Rotation.from_rotvec(turn, degrees=True).as_matrix().T
    centre = (np.array(head.shape) - 1) / 2
    return affine_transform(head, matrix, centre - matrix @ (centre + np.divide(move, 4)), order=1)


@pytest.mark.parametrize(("scalp", "gamma"), [(1, 1), (4, 0.5), (0.5, 2), (4, 2)])
def test_bright_scalp_and_other_contrast_are_no_misalignment(template, scalp, gamma):
    head, brain = template
    other = np.where(binary_dilation(brain), head, scalp * head) ** gamma
    found = find_alignment(other, head, brain, VOXEL_MM)
    assert found.better == ""
    assert found.likeness > 0.3


@pytest.mark.parametrize(
    ("turn", "move", "said"),
    [
        ((20, 0, 0), (0, 0, 0), "turned by -15 degrees about x"),
        ((0, 0, -20), (0, 0, 0), "turned by +15 degrees about z"),
        ((0, 0, 0), (0, 30, 0), "moved by -20 mm along y"),
        ((0, 0, 0), (0, 0, -20), "moved by +20 mm along z"),
        ((12, 12, 10), (0, 0, 0), "turned by"),
        ((0, 0, 0), (17, -17, 17), "moved by"),
    ],
)
def test_a_displaced_head_is_noticed_and_how(template, turn, move, said):
    head, brain = template
    found = find_alignment(displaced(head, turn, move), head, brain, VOXEL_MM)
    assert f"fits better {said}" in found.better


@pytest.mark.parametrize(("axis", "sides"), [(1, "front and back"), (2, "top and bottom")])
def test_a_flipped_head_is_noticed(template, axis, sides):
    head, brain = template
    lowest, highest = np.flatnonzero(brain.any(axis=tuple({0, 1, 2} - {axis})))[[0, -1]]
    # Flipped about the middle of its brain, bright scalp and all.
    other = np.where(binary_dilation(brain), head, 4 * head)
    other = np.roll(np.flip(other, axis), lowest + highest + 1 - head.shape[axis], axis)
    found = find_alignment(other, head, brain, VOXEL_MM)
    assert f"fits better with {sides} exchanged" in found.better


def test_voxels_need_not_be_cubes(template):
    head, brain = template
    flat = [volume[:, :, ::2] for volume in (displaced(head, (0, 20, 0), (0, 0, 0)), head, brain)]
    found = find_alignment(*flat, np.array([4.0, 4.0, 8.0]))
    assert "turned by -15 degrees about y" in found.better


def test_what_is_no_head_has_no_likeness(template):
    head, brain = template
    noise = np.random.default_rng(0).random(head.shape)
    assert abs(find_alignment(noise, head, brain, VOXEL_MM).likeness) < 0.1
    assert find_alignment(0 * head, head, brain, VOXEL_MM).likeness == 0
