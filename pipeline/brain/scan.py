"""Reading raw scans: what a file is shows by its content, whatever its name.

Everything that would make a later tool fail in a way of its own is refused here.
"""

import gzip
import logging
import math
import zlib
from pathlib import Path
from typing import BinaryIO

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Extension, extension_codes
from nibabel.spatialimages import SpatialImage

from pipeline.brain.background import background
from pipeline.geometry.affine import voxel_sizes
from pipeline.stage.content import NOT_HERE
from pipeline.stage.errors import ImageError
from pipeline.stage.rules import Rule

log = logging.getLogger(__name__)

VOXEL_MM = (0.2, 8.0)
# The smallest extent in which an adult brain fits, and what no head scanner covers.
EXTENT_MM = (100.0, 1000.0)
# A qform holds rotations and voxel sizes only; a cosine between axes above this is a sheared grid.
LARGEST_SHEAR = 0.01
# Voxels; what is larger takes more than 2 GiB, whatever their type. 512 x 512 x 400 is not.
LARGEST_VOLUME = 110_000_000
CHUNK_BYTES = 2**22
LONGEST_TAIL = 2**26  # bytes behind the voxels of a compressed file
GZIP = b"\x1f\x8b"
MGH = b"\0\0\0\1"  # its version
PAIR = b"ni1\0"  # magic of a NIfTI header whose voxels lie in another file
ANALYZE = (b"\x5c\1\0\0", b"\0\0\1\x5c")  # size of a header, 348, as NIfTI has it, too
POINTERS = (b"version https://git-lfs", b"/annex/objects/")
MM_OF_UNIT = {"meter": 1000.0, "micron": 0.001}

# A header's copy of DICOM stays bytes, whether pydicom is there to read it or not: nobody looks at
# it, and a broken one says nothing about the voxels.
extension_codes.add_codes([(2, "dicom", Nifti1Extension)])


def read_scan(source: Path) -> nib.Nifti1Image:
    """Read a raw head volume.

    Parameters
    ----------
    source
        NIfTI-1 or NIfTI-2 in one file, or MGH, each compressed by gzip or not.

    Returns
    -------
    nibabel.Nifti1Image
        3D float32, or a `Nifti2Image`. Background that was NaN is 0. Of MGH the header has the
        affine alone.

    Raises
    ------
    ImageError
        The file is missing, damaged or of another kind, holds several volumes, has an impossible
        geometry, or holds more than the header announces.
    """
    source = Path(source)
    if not source.is_file():
        why = f"a link: {NOT_HERE}" if source.is_symlink() else "the file is missing"
        raise ImageError(Rule.NO_FILE, why)
    if source.stat().st_size == 0:
        raise ImageError(Rule.UNREADABLE, "the file is empty; copy it again")
    with _stream(source) as stream:
        image = _open(stream)
        affine = _check(image)
        _check_size(image, source)
        with np.errstate(over="ignore"):  # Becomes infinite, which is refused.
            data = np.asarray(image.dataobj, dtype=np.float32).reshape(image.shape[:3])
    nifti = isinstance(image, nib.Nifti1Image)
    kind, header = (type(image), image.header) if nifti else (nib.Nifti1Image, None)
    scan = kind(_without_nan(data, affine), affine, header)
    scan.set_data_dtype(np.float32)
    scan.header.set_xyzt_units("mm", "sec")
    return scan


def _stream(source: Path) -> BinaryIO:
    with source.open("rb") as file:
        compressed = file.read(2) == GZIP
    return gzip.open(source) if compressed else source.open("rb")


def _open(stream: BinaryIO) -> SpatialImage:
    try:
        start = stream.read(1024)
        stream.seek(0)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ImageError(Rule.UNREADABLE, "damaged: the file cannot be decompressed") from error
    kind = _kind(start)
    try:
        image = kind.from_stream(stream)
        grey = image.get_data_dtype().kind in "iuf"
    except Exception as error:  # a damaged header can make nibabel raise nearly anything
        raise ImageError(Rule.UNREADABLE, "the header is damaged") from error
    if not grey:
        raise ImageError(
            Rule.WRONG_KIND, "the voxels are colours or complex numbers, not grey values"
        )
    return image


def _kind(start: bytes) -> type[SpatialImage]:
    for kind in (nib.Nifti1Image, nib.Nifti2Image):
        if kind.header_class.may_contain_header(start):
            if start[344:348] == PAIR:
                reason = "a NIfTI header whose voxels lie in another file; convert both to one .nii"
                raise ImageError(Rule.WRONG_KIND, reason)
            return kind
    if start.startswith(MGH):
        return nib.MGHImage
    if start.startswith(ANALYZE):
        reason = "Analyze, which does not tell left from right; convert the original scan again"
        raise ImageError(Rule.WRONG_KIND, reason)
    if start.startswith(POINTERS):
        raise ImageError(Rule.NO_FILE, NOT_HERE)
    raise ImageError(Rule.WRONG_KIND, "not a NIfTI or MGH file")


def _check(image: SpatialImage) -> np.ndarray:
    """The affine in mm of an image that can be a head's."""
    shape = image.shape
    if len(shape) < 3:
        raise ImageError(Rule.WRONG_KIND, f"{len(shape)}D: not a volume")
    volumes = math.prod(shape[3:])
    if volumes != 1:
        reason = f"{len(shape)}D: holds {volumes} volumes instead of one; give one of them"
        raise ImageError(Rule.WRONG_KIND, reason)
    header = image.header
    if isinstance(image, nib.MGHImage):
        if int(header["goodRASFlag"]) != 1:
            raise ImageError(Rule.BAD_GEOMETRY, "the header does not tell the orientation")
    elif int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        raise ImageError(
            Rule.BAD_GEOMETRY,
            "the header does not tell the orientation: sform and qform codes are 0",
        )
    affine = _in_mm(image)
    sizes = voxel_sizes(affine)
    if not np.all(np.isfinite(affine)) or np.any(sizes == 0):
        raise ImageError(Rule.BAD_GEOMETRY, "the affine of the header is not finite or singular")
    if not _possible(sizes):
        raise ImageError(Rule.BAD_GEOMETRY, f"impossible voxel size {_product(sizes)} mm")
    axes = affine[:3, :3] / sizes
    if np.max(np.abs(axes.T @ axes - np.eye(3))) > LARGEST_SHEAR:
        raise ImageError(Rule.BAD_GEOMETRY, "the affine of the header is singular or sheared")
    extent = sizes * shape[:3]
    if np.any(extent < EXTENT_MM[0]) or np.any(extent > EXTENT_MM[1]):
        raise ImageError(
            Rule.BAD_GEOMETRY, f"a field of view of {_product(extent)} mm is not that of a head"
        )
    if math.prod(shape) > LARGEST_VOLUME:
        raise ImageError(Rule.BAD_GEOMETRY, f"the header announces {_product(shape)} voxels")
    return affine


def _possible(sizes: np.ndarray) -> bool:
    return bool(np.all(sizes >= VOXEL_MM[0]) and np.all(sizes <= VOXEL_MM[1]))


def _in_mm(image: SpatialImage) -> np.ndarray:
    """The affine; nibabel takes every unit for mm, as do most programs that write them."""
    affine = image.affine
    if isinstance(image, nib.Nifti1Image) and not _possible(voxel_sizes(affine)):
        try:
            unit = image.header.get_xyzt_units()[0]
        except KeyError:  # no unit has this code
            return affine
        scaled = np.diag([MM_OF_UNIT.get(unit, 1.0)] * 3 + [1.0]) @ affine
        return scaled if _possible(voxel_sizes(scaled)) else affine
    return affine


def _check_size(image: SpatialImage, source: Path) -> None:
    # The header's own offset is reset on loading.
    voxels = math.prod(image.shape) * image.get_data_dtype().itemsize
    announced = image.dataobj.offset + voxels
    held = _bytes_held(source, announced + LONGEST_TAIL)
    if held < announced:
        raise ImageError(
            Rule.UNREADABLE,
            f"truncated: the file holds {held / 1e6:.1f} MB where the header announces "
            f"{announced / 1e6:.1f} MB; copy it again",
        )


def _bytes_held(source: Path, most: int) -> int:
    """Size of the uncompressed file."""
    # nibabel stops at the last voxel: only reading to the end compares the checksum, without which
    # damaged data pass for an image.
    held = 0
    try:
        with _stream(source) as stream:
            if not isinstance(stream, gzip.GzipFile):
                return source.stat().st_size
            while chunk := stream.read(CHUNK_BYTES):
                held += len(chunk)
                if held > most:
                    raise ImageError(
                        Rule.UNREADABLE,
                        "damaged: the compressed data hold far more than the header announces",
                    )
    except EOFError as error:
        raise ImageError(Rule.UNREADABLE, "truncated: the compressed data end early") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ImageError(Rule.UNREADABLE, "damaged: the compressed data cannot be read") from error
    return held


def _without_nan(data: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """The volume, whose background is 0 where it was NaN."""
    missing = np.isnan(data)
    if missing.any() and not missing.all():
        outside = background(missing, voxel_sizes(affine))
        data[outside] = 0
        log.info(
            "voxels of the background that were NaN and are 0 now: %d", np.count_nonzero(outside)
        )
    return data


def _product(numbers: np.ndarray | tuple[int, ...]) -> str:
    return " x ".join(f"{number:.4g}" for number in numbers)
