"""Displacement fields in the terms of ITK, in the template's space and in the scan's own.

A field of ITK is an image of vectors u in LPS mm; it stands for the transform q -> q + u(q), and
resampling with it looks up the moving image there: Eq. 1 in mm. Between voxels ITK interpolates
linearly, and outside the image a field displaces nothing.

The grid of the networks is carried into the scan's space by the similarity of the template stage,
which keeps voxels cubes: there it is an image grid too, oblique and scaled. So the field of the
networks is a field of the scan's space without being resampled; only the vectors turn and scale.
ITK-SNAP, 3D Slicer and antsApplyTransforms read it.
"""

from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from pipeline.geometry.itk import RAS_TO_LPS, to_itk


def scan_affine(grid_affine: np.ndarray, steps: list[dict]) -> np.ndarray:
    """Where the grid of the networks lies in the scan: voxel index to the scan's RAS mm.

    Parameters
    ----------
    grid_affine
        4x4, voxel index to the template's RAS mm.
    steps
        Processing steps of the prepared volume (its sidecar).
    """
    to_scan = next(step["matrix"] for step in steps if "matrix" in step)
    return np.array(to_scan) @ grid_affine


def itk_field(phi: np.ndarray, affine: np.ndarray) -> sitk.Image:
    """Displacement field of ITK from one of the networks.

    Parameters
    ----------
    phi
        (3, x, y, z) in voxels, channel 0 along z (Eq. 1).
    affine
        4x4, voxel index to RAS mm of the space that the field is for, without shear.

    Returns
    -------
    SimpleITK.Image
        Vectors of float64 in LPS mm, on the voxels of `phi`.
    """
    along_xyz = np.moveaxis(phi[::-1], 0, -1).astype(np.float64)
    vectors = along_xyz @ (RAS_TO_LPS[:3, :3] @ affine[:3, :3]).T
    return to_itk(vectors, affine)


def warp_scan(scan: nib.Nifti1Image, field: sitk.Image) -> nib.Nifti1Image:
    """Deform a scan by a displacement field in its own space, with linear interpolation.

    Parameters
    ----------
    scan
        3D volume.
    field
        As `itk_field` makes it, for the scan's space.

    Returns
    -------
    nibabel.Nifti1Image
        float32 on the voxels of the scan; 0 where the field points outside.
    """
    data = np.asarray(scan.dataobj, dtype=np.float32).reshape(scan.shape[:3])
    image = to_itk(data, scan.affine)
    transform = sitk.DisplacementFieldTransform(sitk.Image(field))  # it empties what it is given
    moved = sitk.Resample(image, image, transform, sitk.sitkLinear, 0.0)
    warped = nib.Nifti1Image(sitk.GetArrayFromImage(moved).T, scan.affine, scan.header)
    warped.set_data_dtype(np.float32)
    return warped


def write_field(field: sitk.Image, path: Path) -> None:
    """Write a displacement field as NIfTI, float32, in the form that ITK's programs read."""
    sitk.WriteImage(sitk.Cast(field, sitk.sitkVectorFloat32), path, useCompression=True)
