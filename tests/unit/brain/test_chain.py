"""The seven stages in a row on one head as a scanner would give it."""

import platform
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine

from pipeline.brain.bias import correct_bias
from pipeline.brain.crop import crop_field_of_view
from pipeline.brain.grid import resample_to_grid
from pipeline.brain.orient import orient_volume
from pipeline.brain.skull import refine_skull, strip_skull
from pipeline.brain.template import register_to_template

CORNERS = np.stack(np.meshgrid([-60, 60], [-90, 60], [-40, 70], indexing="ij"), -1).reshape(-1, 3)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * np.sum(one & other) / (np.sum(one) + np.sum(other))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(platform.machine() != "x86_64", reason="ROBEX is a program for x86-64")
def test_head_becomes_a_brain_on_the_grid(
    tmp_path: Path,
    pose_head: Callable,
    icbm_head: nib.Nifti1Image,
    icbm_brain: nib.Nifti1Image,
    resample: Callable[..., np.ndarray],
) -> None:
    head = pose_head(icbm_head, rotation=(10, -8, 12), shift=(9, -7, 6), bias=0.4, noise=0.03)
    folder = tmp_path / "a 'path' $(x)"
    folder.mkdir()
    stages = [
        ("orient", orient_volume, {}),
        ("crop", crop_field_of_view, {}),
        ("bias", correct_bias, {}),
        ("template", register_to_template, {}),
        ("skull", strip_skull, {}),
        ("skull_refine", refine_skull, {}),
        ("grid", resample_to_grid, {"voxel_mm": 1.3, "shape": (128, 160, 112)}),
    ]
    source, facts = head.path, {}
    for name, stage, settings in stages:
        destination = folder / f"{name}.nii.gz"
        facts[name] = stage(source, destination, **settings)
        source = destination

    matrix = np.array(facts["template"]["matrix"])
    error = np.linalg.norm(apply_affine(head.pose @ matrix, CORNERS) - CORNERS, axis=1)
    assert error.max() < 0.5
    assert facts["template"]["scale"] == pytest.approx(1, abs=0.005)
    assert 0.85 < facts["skull_refine"]["share"] <= 1

    # The template's own brain mask is the truth, whatever the pose.
    for name, lowest in (("skull", 0.94), ("skull_refine", 0.96), ("grid", 0.96)):
        image = nib.load(folder / f"{name}.nii.gz")
        data = image.get_fdata()
        truth = resample(icbm_brain, np.eye(4), image.shape, image.affine) > 0.5
        assert dice(data > data[0, 0, 0], truth) > lowest, name
        np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-3)
    assert image.shape == (128, 160, 112)
    assert data.min() == -1 and data.max() == 1
