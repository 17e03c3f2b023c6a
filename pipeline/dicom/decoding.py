"""Pixels of a DICOM film as they are stored, decoded within a limit of size.

Libraries in C decode JPEG and JPEG 2000; some damaged images crash them. They work in a process of
their own. What is not compressed, and RLE, is decoded here, by NumPy.
"""

import gdcm
import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels import pixel_array
from pydicom.uid import (
    UID,
    JPEG2000TransferSyntaxes,
    JPEGExtended12Bit,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
)

from pipeline.dicom.apart import CrashError, call_apart
from pipeline.stage.errors import ImageError
from pipeline.stage.rules import Rule

# Three times the largest detectors; what is read and prepared then stays below 2 GiB.
MOST_PIXELS = 64_000_000
LARGEST_PIXEL = 8  # bytes: three samples of 16 bits are read, and refused as colours
JPEG_SYNTAXES = {*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes}


def check_size(rows: int, columns: int) -> None:
    """Refuse what is too large for a film, before memory is asked for it.

    Raises
    ------
    ImageError
        If the film has no pixels, or more than `MOST_PIXELS`.
    """
    if rows < 1 or columns < 1:
        raise ImageError(Rule.BAD_GEOMETRY, "the film has no rows or no columns")
    if rows * columns > MOST_PIXELS:
        raise ImageError(Rule.BAD_GEOMETRY, f"{rows} x {columns} pixels are too many for a film")


def decode_pixels(dataset: Dataset) -> np.ndarray:
    """Decode the pixels of a data set.

    Bits that lie to the left of their word (HighBit above BitsStored - 1), as old devices have it,
    are brought down.

    Returns
    -------
    numpy.ndarray
        Stored values (rows, columns), or with samples per pixel. May be read only.

    Raises
    ------
    ImageError
        If the pixels are missing, truncated, too many or cannot be decoded, or the decoder crashes.
    """
    try:
        check_size(int(dataset.Rows), int(dataset.Columns))
        syntax = dataset.file_meta.get("TransferSyntaxUID")
        if syntax is not None and syntax.is_compressed and syntax.is_encapsulated:
            _check_codestream(dataset, syntax)
        if dataset.get("HighBit", dataset.BitsStored - 1) != dataset.BitsStored - 1:
            return _decode_left_aligned(dataset)
        if syntax in JPEG_SYNTAXES or syntax in JPEG2000TransferSyntaxes:
            size = LARGEST_PIXEL * dataset.Rows * dataset.Columns
            return call_apart(_decode_jpeg, dataset, syntax, most_bytes=size)
        # Without a copy of its own: the array is read only.
        return pixel_array(dataset, view_only=True)
    except (ImageError, MemoryError):
        raise
    except CrashError as error:
        raise _undecodable(dataset, f"; the decoder {error}") from error
    except Exception as error:  # as many kinds as there are ways to be damaged
        raise _undecodable(dataset) from error


def _undecodable(dataset: Dataset, how: str = "") -> ImageError:
    pixels = dataset.get("PixelData")
    if not pixels:
        return ImageError(Rule.UNREADABLE, "the film has no pixel data")
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    known = syntax is not None and syntax.is_transfer_syntax  # pydicom asks nothing else of others
    if known and not syntax.is_compressed:
        sizes = [dataset.get(tag) or 0 for tag in ("Rows", "Columns", "BitsAllocated")]
        if all(isinstance(size, int) for size in sizes) and 8 * len(pixels) < np.prod(sizes):
            return ImageError(Rule.UNREADABLE, "the pixel data are truncated")
    name = syntax.name if known else "unknown"
    reason = f"the pixel data cannot be decoded: transfer syntax {name}{how}"
    return ImageError(Rule.UNREADABLE, reason)


def _check_codestream(dataset: Dataset, syntax: UID) -> None:
    """Decoders take the size that the compressed image tells, not that of the header."""
    size = None
    if syntax in JPEG_SYNTAXES:
        size = _jpeg_size(get_frame(dataset.PixelData, 0, number_of_frames=1))
    elif syntax in JPEG2000TransferSyntaxes:
        size = _jpeg_2000_size(get_frame(dataset.PixelData, 0, number_of_frames=1))
    if size:
        check_size(*size)
        if size != (dataset.Rows, dataset.Columns):
            raise ImageError(
                Rule.UNREADABLE, "the compressed image is not of the size that the header tells"
            )


def _jpeg_size(stream: bytes) -> tuple[int, int]:
    """Rows and columns of the frame header (ISO/IEC 10918-1, B.2.2; 14495-1, C.2.2)."""
    place = 2
    while place + 9 <= len(stream) and stream[place] == 0xFF:
        marker = stream[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
        elif marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            height, width = stream[place + 5 : place + 7], stream[place + 7 : place + 9]
            return int.from_bytes(height), int.from_bytes(width)
        else:
            place += 2 + int.from_bytes(stream[place + 2 : place + 4])
    raise ValueError("no frame header")


def _jpeg_2000_size(stream: bytes) -> tuple[int, int]:
    """Rows and columns of the image and tile size marker (ISO/IEC 15444-1, A.5.1)."""
    start = stream.find(b"\xff\x4f\xff\x51")  # after the boxes of a JP2 file, if there are any
    if start < 0 or len(stream) < start + 24:
        raise ValueError("no size marker")
    right, bottom, left, top = (
        int.from_bytes(stream[place : place + 4]) for place in range(start + 8, start + 24, 4)
    )
    return bottom - top, right - left


def _decode_left_aligned(dataset: Dataset) -> np.ndarray:
    """Pixels whose highest bit is not that of BitsStored (PS3.5, 8.1.1, until 2014)."""
    stored, high, allocated = dataset.BitsStored, dataset.HighBit, dataset.BitsAllocated
    contradiction = ImageError(
        Rule.UNREADABLE, "HighBit, BitsStored and the pixels contradict each other"
    )
    if dataset.file_meta.TransferSyntaxUID.is_compressed or not stored - 1 < high < allocated:
        raise contradiction
    words = pixel_array(dataset, view_only=True, correct_unused_bits=False)
    low = high + 1 - stored
    if (words & ((1 << low) - 1)).any():  # so the pixels lie elsewhere than the header tells
        raise contradiction
    return (words << (allocated - 1 - high)) >> (allocated - stored)


def _decode_jpeg(dataset: Dataset, syntax: UID) -> np.ndarray:
    if syntax == JPEGExtended12Bit:
        return _decode_jpeg_extended(dataset)
    # GDCM crashes on more of the damaged JPEG 2000 images.
    plugin = "pillow" if syntax in JPEG2000TransferSyntaxes else "gdcm"
    return pixel_array(dataset, view_only=True, decoding_plugin=plugin)


def _decode_jpeg_extended(dataset: Dataset) -> np.ndarray:
    """GDCM decodes JPEG Extended of 12 bit, but pydicom does not let it."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(dataset.filename))
    if not reader.Read():
        raise ValueError("GDCM cannot decode the pixels")
    pixels = reader.GetImage().GetBuffer().encode("utf-8", "surrogateescape")
    dtype = np.uint16 if dataset.BitsAllocated == 16 else np.uint8
    return np.frombuffer(pixels, dtype).reshape(dataset.Rows, dataset.Columns)
