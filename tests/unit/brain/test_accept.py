"""Volumes of other programs: taken over where they are what they claim. On voxels of 4 mm."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from pipeline.brain.accept import accept_volume
from pipeline.brain.template import register_to_template
from pipeline.stage.errors import ImageError
from pipeline.stage.rules import Rule

VOXEL = 4


def save(data, affine, path, kind=nib.Nifti1Image):
    image = kind(data.astype(np.float32), affine)
    if kind is nib.Nifti1Image:
        image.set_qform(affine, 1)
        image.set_sform(affine, 1)
    nib.save(image, path)
    return path


@pytest.fixture
def place(tmp_path, icbm_head, icbm_brain):
    """The template and its brain: arrays, affine, and the file of the template."""
    head, brain = (
        np.asarray(image.dataobj, np.float32)[::VOXEL, ::VOXEL, ::VOXEL]
        for image in (icbm_head, icbm_brain)
    )
    affine = icbm_head.affine @ np.diag([VOXEL, VOXEL, VOXEL, 1.0])
    return head, brain > 0, affine, save(head, affine, tmp_path / "template.nii")


def moved(affine, millimetres):
    other = affine.copy()
    other[1, 3] += millimetres
    return other


def result(path):
    return nib.load(path).get_fdata(dtype=np.float32)


@pytest.mark.parametrize("background", [0, -1])
def test_brain_in_the_templates_space_is_taken_over(tmp_path, place, background):
    head, brain, affine, template = place
    source = save(np.where(brain, head + background, background), affine, tmp_path / "brain.nii.gz")
    out = tmp_path / "out.nii.gz"
    facts = accept_volume(source, out, prepared="grid", template=template)
    np.testing.assert_allclose(result(out), np.where(brain, head, 0), atol=1e-4)
    assert facts["overlap"] == 1 and facts["alignment"] == "" and facts["masked"] is False
    assert facts["matrix"] == np.eye(4).tolist()
    assert facts["shape"] == list(head.shape)


def test_field_of_view_becomes_that_of_the_template(tmp_path, place):
    head, brain, affine, template = place
    padded = np.pad(np.where(brain, head, 0), 3)
    wider = affine.copy()
    wider[:3, 3] -= affine[:3, :3] @ [3, 3, 3]
    source = save(padded[::-1], wider @ _flip(padded.shape[0]), tmp_path / "las.nii.gz")
    out = tmp_path / "out.nii.gz"
    facts = accept_volume(source, out, prepared="grid", template=template)
    assert facts["axes"] == "LAS"
    np.testing.assert_allclose(nib.load(out).affine, affine, atol=1e-3)
    np.testing.assert_allclose(result(out), np.where(brain, head, 0), atol=0.01)


def _flip(length):
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = length - 1
    return flip


def test_values_below_the_background_stay_brain(tmp_path, place):
    """As of z-scores, where most of the grey matter is negative."""
    head, brain, affine, template = place
    scores = np.where(brain, (head - head[brain].mean()) / head[brain].std(), 0)
    out = tmp_path / "out.nii.gz"
    accept_volume(save(scores, affine, tmp_path / "z.nii"), out, prepared="grid", template=template)
    found = result(out)
    assert found.min() == 0
    assert np.count_nonzero(found) >= brain.sum() - 2  # the darkest voxel is as the background
    assert np.corrcoef(found[brain], head[brain])[0, 1] > 0.999


def test_mask_is_applied_where_the_image_is_not_stripped(tmp_path, place):
    head, brain, affine, template = place
    source = save(head + 5, affine, tmp_path / "head.nii.gz")
    mask = save(brain, affine, tmp_path / "mask.nii.gz")
    out = tmp_path / "out.nii.gz"
    facts = accept_volume(source, out, prepared="grid", mask=mask, template=template)
    assert facts["masked"] is True
    np.testing.assert_array_equal(result(out) > 0, brain)


def test_brain_anywhere_is_registered_to_the_templates_brain(tmp_path, place):
    """FreeSurfer's brain.mgz: without its skull, in the space of the scan."""
    head, brain, affine, template = place
    place_of_scan = moved(affine, 18)
    stripped = np.where(brain, head, 0)
    source = save(stripped, place_of_scan, tmp_path / "brain.mgz", nib.MGHImage)
    taken, out = tmp_path / "taken.nii.gz", tmp_path / "out.nii.gz"
    facts = accept_volume(source, taken, prepared="skull_stripped", template=template)
    assert "matrix" not in facts
    np.testing.assert_allclose(nib.load(taken).affine, place_of_scan, atol=1e-3)
    facts = register_to_template(taken, out, template=str(template), stripped=True)
    np.testing.assert_allclose(facts["matrix"], moved(np.eye(4), 18), atol=0.3)
    assert facts["correlation"] > 0.99 and facts["likeness"] > 0.95


@pytest.mark.parametrize(
    ("prepared", "shown", "millimetres", "rule", "said"),
    [
        ("grid", "brain", 24, Rule.NOT_REGISTERED, "skull_stripped registers it"),
        ("grid", "head", 0, Rule.BAD_BRAIN, "not skull-stripped: .* no brain mask"),
        ("skull_stripped", "head", 0, Rule.BAD_BRAIN, "not skull-stripped"),
        ("registered", "brain", 0, Rule.BAD_BRAIN, "set prepared: grid"),
        ("registered", "noise", 0, Rule.NOT_REGISTERED, "not in the template's space"),
        ("grid", "mask", 0, Rule.WRONG_KIND, "a mask; give the scan itself"),
    ],
)
def test_what_is_not_as_it_claims_is_excluded(
    tmp_path, place, prepared, shown, millimetres, rule, said
):
    head, brain, affine, template = place
    noise = np.random.default_rng(0).random(head.shape)
    data = {"brain": np.where(brain, head, 0), "head": head, "noise": noise, "mask": brain}[shown]
    source = save(data, moved(affine, millimetres), tmp_path / "image.nii.gz")
    with pytest.raises(ImageError, match=said) as error:
        accept_volume(source, tmp_path / "out.nii.gz", prepared=prepared, template=template)
    assert error.value.exclusion["rule"] == rule


@pytest.mark.parametrize(
    ("millimetres", "whole", "said"),
    [(4, False, "its brain mask lies on another grid"), (0, True, "its mask holds")],
)
def test_mask_that_does_not_fit_is_refused(tmp_path, place, millimetres, whole, said):
    head, brain, affine, template = place
    source = save(head + 5, affine, tmp_path / "head.nii.gz")
    shown = np.ones(brain.shape) if whole else brain
    mask = save(shown, moved(affine, millimetres), tmp_path / "mask.nii.gz")
    with pytest.raises(ImageError, match=said):
        accept_volume(
            *(source, tmp_path / "out.nii.gz"), prepared="grid", mask=Path(mask), template=template
        )
