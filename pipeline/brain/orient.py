"""First stage: is the raw file a head volume at all, and turn its axes to the RAS order.

Axes are swapped and flipped, nothing is interpolated: by FSL's ``fslreorient2std``, as in the paper
(which keeps the handedness of the file), or by nibabel. What an engine returns for an array and its
affine is the same in the new order. Everything that would make a later tool
fail in a way of its own is refused here.
"""

import gzip
import math
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from pipeline.brain.engines import EMBEDDED, use_engine
from pipeline.brain.volume import check_values, save_volume
from pipeline.geometry.affine import voxel_sizes
from pipeline.stage.content import content_hash
from pipeline.stage.errors import ImageError
from pipeline.stage.rules import Rule

VOXEL_MM = (0.2, 8.0)
# The smallest extent in which an adult brain fits, and what no head scanner covers.
EXTENT_MM = (100.0, 1000.0)
# A qform holds rotations and voxel sizes only; a cosine between axes above this is a sheared grid.
LARGEST_SHEAR = 0.01
LARGEST_VOLUME = 1024**3
CHUNK_BYTES = 2**22


def orient_volume(source: Path, destination: Path, *, engine: str = EMBEDDED) -> dict:
    """Check a raw volume and write it in the orientation of the template.

    Parameters
    ----------
    source
        Raw NIfTI file, ``.nii`` or ``.nii.gz``, of one 3D volume.
    destination
        float32 ``.nii.gz`` whose sform and qform agree.
    engine
        As `pipeline.brain.engines.ENGINES` names it.

    Returns
    -------
    dict
        Engine, version, original axis codes, shape, voxel sizes in mm, the header's contradiction
        (see `header_contradiction`), and a hash of the voxels, whatever their order in the file.

    Raises
    ------
    ImageError
        The file is missing, damaged or not NIfTI, holds several volumes, has values that are not
        finite or all the same, or an impossible geometry; or the tool failed.
    InputError
        The engine is unknown or not installed.
    """
    reorient, used = use_engine("orient", engine)
    image = _open(Path(source))
    image = _single_volume(image)
    _check_geometry(image)
    data = _read(image, Path(source))
    check_values(data)
    axes = "".join(nib.aff2axcodes(image.affine))
    canonical = nib.as_closest_canonical(nib.Nifti1Image(data, image.affine))
    content = content_hash(np.asarray(canonical.dataobj))
    data, affine = reorient(data, image.affine)
    save_volume(data, affine, destination)
    return {
        **used,
        "axes": axes,
        "shape": list(data.shape),
        "voxel_mm": [round(float(size), 4) for size in voxel_sizes(affine)],
        "contradiction": header_contradiction(image.header),
        "content": content,
    }


def to_canonical(data: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same values with axes in the order RAS (FSL leaves RAS or LAS)."""
    oriented = nib.as_closest_canonical(nib.Nifti1Image(data, affine))
    return np.asarray(oriented.dataobj), oriented.affine


def header_contradiction(header: nib.Nifti1Header) -> str:
    """What is wrong if the sform and the qform of a header turn the image differently, or ``""``.

    Programs differ in which of the two they read, so that such a volume is flipped for some of
    them. It is processed by its sform, which nibabel prefers; quality control makes it a suspect.
    """
    try:
        forms = [header.get_sform(coded=True), header.get_qform(coded=True)]
        axes = [
            "".join(axis or "?" for axis in nib.aff2axcodes(form))
            for form, code in forms
            if code > 0
        ]
    except (HeaderDataError, ValueError):
        return ""  # one of them is damaged, which is no other orientation
    if len(set(axes)) < 2:
        return ""
    return f"the header contradicts itself: {axes[0]} by its sform, {axes[1]} by its qform"


def _open(source: Path) -> nib.Nifti1Image:
    if not source.is_file():
        raise ImageError(Rule.NO_FILE, "the file is missing")
    if not source.name.lower().endswith((".nii", ".nii.gz")):
        raise ImageError(Rule.WRONG_KIND, "not a .nii or .nii.gz file")
    if source.stat().st_size == 0:
        raise ImageError(Rule.UNREADABLE, "the file is empty")
    try:
        image = nib.load(source)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ImageError(Rule.UNREADABLE, "damaged: the file cannot be decompressed") from error
    except (ImageFileError, HeaderDataError, ValueError) as error:
        raise ImageError(Rule.UNREADABLE, "not a NIfTI file, or its header is damaged") from error
    if not isinstance(image, nib.Nifti1Image):
        raise ImageError(Rule.WRONG_KIND, "not a NIfTI file")
    if image.get_data_dtype().kind not in "iuf":
        raise ImageError(
            Rule.WRONG_KIND, "the voxels are colours or complex numbers, not grey values"
        )
    return image


def _single_volume(image: nib.Nifti1Image) -> nib.Nifti1Image:
    shape = image.shape
    if len(shape) < 3:
        raise ImageError(Rule.WRONG_KIND, f"{len(shape)}D: not a volume")
    volumes = math.prod(shape[3:])
    if volumes != 1:
        raise ImageError(Rule.WRONG_KIND, f"{len(shape)}D: holds {volumes} volumes instead of one")
    return image


def _check_geometry(image: nib.Nifti1Image) -> None:
    header = image.header
    if int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        raise ImageError(
            Rule.BAD_GEOMETRY,
            "the header does not tell the orientation: sform and qform codes are 0",
        )
    affine = image.affine
    sizes = voxel_sizes(affine)
    if not np.all(np.isfinite(affine)) or np.any(sizes == 0):
        raise ImageError(Rule.BAD_GEOMETRY, "the affine of the header is not finite or singular")
    if np.any(sizes < VOXEL_MM[0]) or np.any(sizes > VOXEL_MM[1]):
        raise ImageError(Rule.BAD_GEOMETRY, f"impossible voxel size {_product(sizes)} mm")
    axes = affine[:3, :3] / sizes
    if np.max(np.abs(axes.T @ axes - np.eye(3))) > LARGEST_SHEAR:
        raise ImageError(Rule.BAD_GEOMETRY, "the affine of the header is singular or sheared")
    extent = sizes * image.shape[:3]
    if np.any(extent < EXTENT_MM[0]) or np.any(extent > EXTENT_MM[1]):
        raise ImageError(
            Rule.BAD_GEOMETRY, f"a field of view of {_product(extent)} mm is not that of a head"
        )
    if math.prod(image.shape) > LARGEST_VOLUME:
        raise ImageError(Rule.BAD_GEOMETRY, f"the header announces {_product(image.shape)} voxels")


def _read(image: nib.Nifti1Image, source: Path) -> np.ndarray:
    # The header's own offset is reset on loading.
    voxels = math.prod(image.shape) * image.get_data_dtype().itemsize
    announced = image.dataobj.offset + voxels
    held = _bytes_held(source)
    if held < announced:
        raise ImageError(
            Rule.UNREADABLE,
            f"truncated: the file holds {held / 1e6:.1f} MB where the header announces "
            f"{announced / 1e6:.1f} MB",
        )
    with np.errstate(over="ignore"):  # Becomes infinite, which is refused.
        data = np.asarray(image.dataobj, dtype=np.float32)
    return data.reshape(image.shape[:3])


def _bytes_held(source: Path) -> int:
    """Size of the uncompressed file."""
    if source.suffix.lower() != ".gz":
        return source.stat().st_size
    # nibabel stops at the last voxel: only reading to the end compares the checksum, without which
    # damaged data pass for an image.
    held = 0
    try:
        with gzip.open(source) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                held += len(chunk)
    except EOFError as error:
        raise ImageError(Rule.UNREADABLE, "truncated: the compressed data end early") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ImageError(Rule.UNREADABLE, "damaged: the compressed data cannot be read") from error
    return held


def _product(numbers: np.ndarray | tuple[int, ...]) -> str:
    return " x ".join(f"{number:.4g}" for number in numbers)
