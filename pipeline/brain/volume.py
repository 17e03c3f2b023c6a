"""Reading and writing the volumes that go from one brain stage to the next.

Every volume between two stages is a 3D float32 NIfTI whose sform and qform agree: the tools of the
chain do not read the same one (ROBEX takes the qform, nibabel and niimath the sform), and a stale
qform makes ROBEX return an empty brain.
"""

from pathlib import Path

import nibabel as nib
import numpy as np

from pipeline.geometry.affine import voxel_sizes
from pipeline.stage.errors import ImageError
from pipeline.stage.rules import Rule

# Scanner-based coordinates, in the terms of the NIfTI standard.
SCANNER_SPACE = 1


def load_volume(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a volume that an earlier stage wrote.

    Parameters
    ----------
    path
        NIfTI file.

    Returns
    -------
    data, affine
        float32 array (x, y, z) and the 4x4 matrix from voxel index to RAS mm.
    """
    image = nib.load(path)
    return np.asarray(image.dataobj, dtype=np.float32), image.affine


def save_volume(data: np.ndarray, affine: np.ndarray, path: Path) -> None:
    """Write a float32 NIfTI with the same sform and qform.

    Parameters
    ----------
    data
        Array (x, y, z).
    affine
        4x4 matrix from voxel index to RAS mm, without shear (a qform cannot hold one).
    path
        ``.nii`` or ``.nii.gz`` file.

    Raises
    ------
    ImageError
        The volume holds a value that is not finite, or one single value.
    """
    data = np.asarray(data, dtype=np.float32)
    check_values(data)
    image = nib.Nifti1Image(data, affine)
    image.set_qform(affine, SCANNER_SPACE)
    image.set_sform(image.get_qform(), SCANNER_SPACE)
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)


def check_values(data: np.ndarray) -> None:
    """Refuse a volume that no tool can work on.

    Parameters
    ----------
    data
        Array (x, y, z).

    Raises
    ------
    ImageError
        A value is NaN or infinite, or all values are the same.
    """
    bad = data.size - np.count_nonzero(np.isfinite(data))
    if bad:
        raise ImageError(Rule.NO_CONTENT, f"voxels are NaN or infinite: {bad} of {data.size}")
    if data.min() == data.max():
        raise ImageError(
            Rule.NO_CONTENT, "all voxels are zero" if data.max() == 0 else "all voxels are the same"
        )


def litres(mask: np.ndarray, affine: np.ndarray) -> float:
    """Volume of a mask (x, y, z), in litres."""
    return float(np.count_nonzero(mask) * np.prod(voxel_sizes(affine)) / 1e6)


def dice(first: np.ndarray, second: np.ndarray) -> float:
    """Dice coefficient of two masks of one shape, 0 to 1."""
    return float(2 * np.sum(first & second) / (first.sum() + second.sum()))
