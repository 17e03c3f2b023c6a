"""Other images in a scan's space, deformed as the scan is: label maps, other contrasts."""

import zlib
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import SpatialImage

from pipeline.brain.scan import read_scan
from pipeline.stage.errors import InputError


def check_others(paths: Sequence[Path], source: Path) -> None:
    """Refuse images that cannot be deformed with a scan, before it is prepared.

    Raises
    ------
    ImageError
        If the scan cannot be used.
    InputError
        If one cannot be read, holds several volumes, does not lie where the scan does, or two
        would be written to one file.
    """
    if len({_name(path) for path in paths}) < len(paths):
        raise InputError("two of the other images have one name; rename one")
    scan = read_scan(source)
    for path in paths:
        image = _read(path)
        middle = apply_affine(image.affine, (np.array(image.shape[:3]) - 1) / 2)
        index = apply_affine(np.linalg.inv(scan.affine), middle)
        if np.any(index < -0.5) or np.any(index > np.array(scan.shape) - 0.5):
            raise InputError(
                f"{path} does not lie where the scan does; resample it to the scan's space first"
            )


def warp_others(
    apply: Sequence[Path], apply_labels: Sequence[Path], field: Path, folder: Path
) -> None:
    """Deform images and write them as compressed NIfTI on their own voxels.

    Parameters
    ----------
    apply
        Images that are interpolated linearly.
    apply_labels
        Images whose nearest voxel is taken; they keep their type.
    field
        Displacement field of ITK in the scan's space.
    folder
        Written.
    """
    import SimpleITK as sitk

    from pipeline.geometry.scan_space import warp_scan

    folder.mkdir()
    transform = sitk.ReadImage(field, sitk.sitkVectorFloat64)
    for nearest, paths in ((False, apply), (True, apply_labels)):
        for path in paths:
            warped = warp_scan(_read(path), transform, nearest=nearest)
            nib.save(warped, folder / _name(path))


def _read(path: Path) -> SpatialImage:
    if not path.is_file():
        raise InputError(f"there is no file {path}; correct the path")
    try:
        image = nib.load(path)
        data = np.asanyarray(image.dataobj)
    except (OSError, EOFError, ValueError, zlib.error, ImageFileError) as error:
        raise InputError(f"{path} cannot be read as a NIfTI or MGH image") from error
    if data.ndim < 3 or data.size != np.prod(data.shape[:3]) or data.dtype.kind not in "iuf":
        raise InputError(f"{path} is not one volume of numbers; split it into volumes")
    return image


def _name(path: Path) -> str:
    name = path.name.removesuffix(".gz")
    return name.removesuffix(Path(name).suffix) + ".nii.gz"
