"""Fields in the scan's space: ITK's programs must make of a scan what Eq. 1 makes of its grid."""

import shutil
import subprocess

import ants
import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from pipeline.geometry.itk import RAS_TO_LPS
from pipeline.geometry.scan_space import (
    FOLDED,
    bring_to_scan,
    displacement_mm,
    itk_field,
    log_jacobian,
    scan_affine,
    warp_scan,
    write_field,
)
from pipeline.method.deformation import warp

SHAPE = (20, 24, 16)


@pytest.fixture(scope="module")
def case():
    """An oblique, flipped scan; the networks' grid inside it; a smooth field, and what it makes."""
    rng = np.random.default_rng(0)
    data = gaussian_filter(rng.normal(size=(60, 50, 56)), 6, mode="wrap")
    data = (data / np.abs(data).max()).astype(np.float32)
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", [10, -20, 15], degrees=True).as_matrix()
    scan_space = turn @ np.diag([-1.0, 1.5, 1.2, 1.0])  # the first axis runs leftwards
    scan_space[:3, 3] = [40, -30, -20]
    # Template to scan: a similarity; the grid lies around the middle of the scan.
    to_scan = np.eye(4)
    to_scan[:3, :3] = 1.1 * Rotation.from_euler("zyx", [12, 5, -8], degrees=True).as_matrix()
    grid_space = np.diag([2.0, 2.0, 2.0, 1.0])
    middle = scan_space @ [29.5, 24.5, 27.5, 1]
    to_scan[:3, 3] = (middle - to_scan @ grid_space @ [9.5, 11.5, 7.5, 1])[:3]
    affine = scan_affine(grid_space, [{"stage": "crop"}, {"stage": "template", "matrix": to_scan}])
    phi = np.stack([gaussian_filter(rng.normal(size=SHAPE), 3) for _ in range(3)])
    phi = (phi / np.abs(phi).max() * np.array([2.0, 1.0, 1.5])[:, None, None, None]).astype("f4")

    def on_grid(volume):
        """Values of a volume of the scan's space at the voxels of the networks' grid."""
        at = (
            np.linalg.inv(scan_space)
            @ affine
            @ np.vstack([np.indices(SHAPE).reshape(3, -1), np.ones(np.prod(SHAPE))])
        )
        return map_coordinates(volume, at[:3], order=1).reshape(SHAPE)

    x1 = on_grid(data).astype(np.float32)
    xhat0 = warp(torch.from_numpy(x1)[None, None], torch.from_numpy(phi)[None])[0, 0].numpy()
    scan = nib.Nifti1Image(data, scan_space)
    return scan, affine, phi, on_grid, xhat0


INNER = (slice(3, -3),) * 3  # further out, Eq. 1 looks beyond the grid


def test_warped_scan_on_the_grid_is_the_modified_image(case):
    scan, affine, phi, on_grid, xhat0 = case
    warped = warp_scan(scan, itk_field(phi, affine))
    np.testing.assert_allclose(warped.affine, scan.affine, atol=1e-5)  # float32 in a header
    found = on_grid(np.asarray(warped.dataobj))
    unchanged = on_grid(np.asarray(scan.dataobj))
    change = np.std((xhat0 - unchanged)[INNER])
    # Interpolated twice in another order: a small part of what the deformation changes.
    assert np.std((found - xhat0)[INNER]) < 0.15 * change
    for wrong in (-phi, phi[::-1], phi * np.array([1, -1, 1])[:, None, None, None]):
        other = on_grid(np.asarray(warp_scan(scan, itk_field(wrong, affine)).dataobj))
        assert np.std((other - xhat0)[INNER]) > 0.5 * change


def test_written_field_works_in_simpleitk_and_ants(case, tmp_path):
    """On an image with the grid's own voxels nothing is interpolated between: equal."""
    scan, affine, phi, on_grid, xhat0 = case
    write_field(itk_field(phi, affine), tmp_path / "field.nii.gz")
    x1 = on_grid(np.asarray(scan.dataobj)).astype(np.float32)
    nib.save(nib.Nifti1Image(x1, affine), tmp_path / "image.nii.gz")

    field = sitk.ReadImage(tmp_path / "field.nii.gz", sitk.sitkVectorFloat64)
    image = sitk.ReadImage(tmp_path / "image.nii.gz")
    by_itk = sitk.GetArrayFromImage(sitk.Resample(image, sitk.DisplacementFieldTransform(field))).T
    image = ants.image_read(str(tmp_path / "image.nii.gz"))
    by_ants = ants.apply_transforms(image, image, [str(tmp_path / "field.nii.gz")]).numpy()
    for found in (by_itk, by_ants):
        np.testing.assert_allclose(found[INNER], xhat0[INNER], atol=1e-3)


def test_ants_warps_the_scan_as_we_do(case, tmp_path):
    scan, affine, phi, _, _ = case
    field = itk_field(phi, affine)
    write_field(field, tmp_path / "field.nii.gz")
    nib.save(scan, tmp_path / "scan.nii.gz")
    image = ants.image_read(str(tmp_path / "scan.nii.gz"))
    by_ants = ants.apply_transforms(image, image, [str(tmp_path / "field.nii.gz")]).numpy()
    ours = np.asarray(warp_scan(scan, field).dataobj)
    np.testing.assert_allclose(by_ants, ours, atol=1e-3)


def test_vectors_are_lps_millimetres():
    """One voxel along z, on voxels of 2 mm whose first axis runs rightwards (RAS)."""
    phi = np.zeros((3, 4, 5, 6))
    phi[0], phi[2] = 1, 0.5
    field = itk_field(phi, np.diag([2.0, 2.0, 2.0, 1.0]))
    assert field.GetSize() == (4, 5, 6)
    assert field.GetPixel(1, 2, 3) == (-1.0, 0.0, 2.0)
    np.testing.assert_array_equal(np.diag(RAS_TO_LPS), [-1, -1, 1, 1])


def test_log_jacobian_is_that_of_itk(case):
    """On voxels along ITK's own axes; a similarity, which turns and scales, leaves it as it is."""
    _, _, phi, _, _ = case
    field = itk_field(phi, np.diag([-2.0, -2.0, 2.0, 1.0]))
    determinant = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(field)).T
    assert determinant.std() > 0.05
    expected = np.log(np.maximum(determinant, FOLDED))
    np.testing.assert_allclose(log_jacobian(phi)[INNER], expected[INNER], atol=1e-4)


def test_folds_have_a_finite_logarithm():
    phi = np.zeros((3, 6, 6, 6))
    phi[2] = -2 * np.arange(6)[:, None, None]  # along x
    np.testing.assert_allclose(log_jacobian(phi), np.log(FOLDED))


def test_lengths_are_the_scans_millimetres(case):
    _, affine, phi, _, _ = case
    size = np.linalg.norm(affine[:3, 0])  # voxels are cubes
    expected = size * np.linalg.norm(phi, axis=0)
    np.testing.assert_allclose(displacement_mm(itk_field(phi, affine)), expected, rtol=1e-5)


def test_values_of_the_grid_come_to_the_scans_voxels(case):
    scan, affine, phi, on_grid, _ = case
    values = gaussian_filter(phi[0], 1)
    brought = bring_to_scan(values, affine, scan)
    np.testing.assert_allclose(brought.affine, scan.affine, atol=1e-5)
    found = on_grid(np.asarray(brought.dataobj))
    assert np.std((found - values)[INNER]) < 0.1 * np.std(values[INNER])
    assert np.asarray(brought.dataobj)[0, 0, 0] == 0  # outside the grid


def test_nearest_voxel_keeps_labels(case):
    scan, affine, phi, _, _ = case
    labels = np.where(np.asarray(scan.dataobj) > 0, 11, 3).astype(">i2")
    field = itk_field(phi, affine)
    warped = warp_scan(nib.Nifti1Image(labels, scan.affine), field, nearest=True)
    assert warped.get_data_dtype() == np.int16
    assert set(np.unique(np.asarray(warped.dataobj))) <= {0, 3, 11}
    moved = np.asarray(warp_scan(scan, field).dataobj) > 0
    assert np.mean(moved == (np.asarray(warped.dataobj) == 11)) > 0.97


@pytest.mark.skipif(not shutil.which("antsApplyTransforms"), reason="ANTs is not installed")
def test_ants_own_program_warps_the_scan_as_we_do(case, tmp_path):
    scan, affine, phi, _, _ = case
    field = itk_field(phi, affine)
    write_field(field, tmp_path / "field.nii.gz")
    nib.save(scan, tmp_path / "scan.nii.gz")
    files = ["-i", "scan.nii.gz", "-r", "scan.nii.gz", "-t", "field.nii.gz", "-o", "out.nii.gz"]
    subprocess.run(["antsApplyTransforms", "-d", "3", *files], cwd=tmp_path, check=True)
    ours = np.asarray(warp_scan(scan, field).dataobj)
    np.testing.assert_allclose(nib.load(tmp_path / "out.nii.gz").get_fdata(), ours, atol=1e-3)
