"""Displacement fields in the terms of ITK, in the template's space and in the scan's own.

A field of ITK is an image of vectors u in LPS mm; it stands for the transform q -> q + u(q), and
resampling with it looks up the moving image there: Eq. 1 in mm. Between voxels ITK interpolates
linearly, and outside the image a field displaces nothing.

The grid of the networks is carried into the scan's space by the similarity of the template stage,
which keeps voxels cubes: there it is an image grid too, oblique and scaled. So the field of the
networks is a field of the scan's space without being resampled; only the vectors turn and scale.
ITK-SNAP, 3D Slicer and antsApplyTransforms read it. What is made to be laid over the scan has the
scan's own voxels, since not every viewer overlays images of different grids.
"""

from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from pipeline.geometry.diffeomorphism import jacobian_determinant
from pipeline.geometry.itk import RAS_TO_LPS, to_itk

# Least Jacobian determinant whose logarithm is told: where a field folds there is none.
FOLDED = 0.01


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


def warp_scan(
    scan: nib.Nifti1Image, field: sitk.Image, *, nearest: bool = False
) -> nib.Nifti1Image:
    """Deform an image by a displacement field in its own space.

    Parameters
    ----------
    scan
        3D volume: the scan, or another one in its space, whatever its voxels.
    field
        As `itk_field` makes it, for the scan's space.
    nearest
        Take the nearest voxel, as label maps want it, and keep the type of the values; linear
        interpolation otherwise.

    Returns
    -------
    nibabel.Nifti1Image
        On the voxels of the scan, float32 if interpolated; 0 where the field points outside.
    """
    data = np.asanyarray(scan.dataobj).reshape(scan.shape[:3])
    data = np.asarray(data, dtype=data.dtype.newbyteorder("=") if nearest else np.float32)
    image = to_itk(data, scan.affine)
    transform = sitk.DisplacementFieldTransform(sitk.Image(field))  # it empties what it is given
    how = sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear
    return _like(scan, sitk.Resample(image, image, transform, how, 0.0))


def log_jacobian(phi: np.ndarray) -> np.ndarray:
    """Logarithm of the local change of volume, positive where the disease has made more of it.

    Parameters
    ----------
    phi
        (3, x, y, z) in voxels, channel 0 along z (Eq. 1).

    Returns
    -------
    numpy.ndarray
        (x, y, z): ln of the volume in the diseased image relative to that in the modified one; at
        least ln 0.01, also where the field folds. A similarity between two spaces changes nothing
        of it.
    """
    return np.log(np.maximum(jacobian_determinant(phi[::-1]), FOLDED))


def displacement_mm(field: sitk.Image) -> np.ndarray:
    """Lengths (x, y, z) of the vectors of a field of ITK, mm."""
    return np.linalg.norm(sitk.GetArrayFromImage(field), axis=-1).T


def bring_to_scan(values: np.ndarray, affine: np.ndarray, scan: nib.Nifti1Image) -> nib.Nifti1Image:
    """Values of a grid in the scan's space at the scan's voxels, by linear interpolation.

    Parameters
    ----------
    values
        (x, y, z).
    affine
        4x4, index of `values` to the scan's RAS mm.
    scan
        3D volume.

    Returns
    -------
    nibabel.Nifti1Image
        float32; 0 outside the grid.
    """
    reference = to_itk(np.zeros(scan.shape[:3], np.uint8), scan.affine)
    image = to_itk(values.astype(np.float32), affine)
    return _like(scan, sitk.Resample(image, reference, sitk.Transform(), sitk.sitkLinear, 0.0))


def _like(scan: nib.Nifti1Image, image: sitk.Image) -> nib.Nifti1Image:
    data = sitk.GetArrayFromImage(image).T
    # Not with the scan's header: its texts and extensions may tell who the patient is.
    made = nib.Nifti1Image(data, scan.affine, dtype=data.dtype)
    made.set_qform(scan.affine, "scanner")
    made.set_sform(scan.affine, "scanner")
    made.header.set_xyzt_units("mm", "sec")
    return made


def write_field(field: sitk.Image, path: Path) -> None:
    """Write a displacement field as NIfTI, float32, in the form that ITK's programs read."""
    sitk.WriteImage(sitk.Cast(field, sitk.sitkVectorFloat32), path, useCompression=True)
