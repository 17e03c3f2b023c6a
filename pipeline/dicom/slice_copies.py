"""Copies of the slices of one series, for a converter that does not take them as they are."""

from collections.abc import Sequence
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEGExtended12Bit,
)

from pipeline.dicom.quiet import pass_on_system_error, quiet_pydicom
from pipeline.stage.errors import ImageError
from pipeline.stage.rules import Rule

# By these dcm2niix parts slices of one series. In some each slice has a time of its own, whether
# from the scanner or from an anonymiser.
PARTING = ("StudyDate", "StudyTime", "SeriesNumber")


def copy_slices(files: Sequence[Path], folder: Path) -> list[Path]:
    """Copy slices, with the study's time and the series' number of the first, and inflated.

    Parameters
    ----------
    files
        Slices of one series.
    folder
        Of the copies; there, and empty.

    Returns
    -------
    list of Path
        The copies, in the same order.

    Raises
    ------
    ImageError
        A slice cannot be read or written.
    """
    copies = [folder / f"{number}" for number in range(len(files))]
    try:
        with quiet_pydicom():
            first = dcmread(files[0], specific_tags=[*PARTING])
            for file, copy in zip(files, copies, strict=True):
                slice_ = dcmread(file)
                for keyword in PARTING:
                    setattr(slice_, keyword, first.get(keyword))
                if slice_.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
                    slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
                slice_.save_as(copy)
    except Exception as error:  # a malformed header can make pydicom raise nearly anything
        pass_on_system_error(error)
        raise ImageError(Rule.UNREADABLE, "a slice cannot be read and copied") from error
    return copies


def tell_compression(file: Path) -> str:
    """Transfer syntax of a slice and what decompresses it; ``""`` if it is not compressed."""
    with quiet_pydicom():
        syntax = dcmread(file, specific_tags=[]).file_meta.TransferSyntaxUID
    if not syntax.is_transfer_syntax:
        return "the transfer syntax of the slices is unknown"
    if not syntax.is_compressed:
        return ""
    # Lossy JPEG of 12 bits that GDCM wrote comes back from GDCM with some black pixels white.
    tool = "dcmdjpeg" if syntax == JPEGExtended12Bit else "gdcmconv --raw"
    return f"decompress the slices with `{tool}`: their transfer syntax is {syntax.name}"
