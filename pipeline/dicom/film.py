"""Chest films as they come: DICOM, PNG and JPEG files, told apart by their content.

Nothing of a header gets into a message: the reasons raised here end up in tables and logs.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from pipeline.dicom import attributes
from pipeline.dicom.decoding import check_size, decode_pixels
from pipeline.dicom.quiet import (
    DICOM_PREFIX,
    PREAMBLE,
    pass_on_system_error,
    quiet_pydicom,
)
from pipeline.dicom.view import decide_view
from pipeline.stage.errors import ImageError
from pipeline.stage.rules import Rule

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"
ZIP_SIGNATURE = b"PK\3\4"
LONGEST_FIRST_VALUE = 256  # bytes
RADIOGRAPHY = {"", "CR", "DX", "RG", "DR"}
NO_FILM = "not a film by its modality"
# Looked up once, not in every film.
PIXEL_TAGS = [Tag(keyword) for keyword in ("Modality", *attributes.PIXELS)]
NEEDED = ("Rows", "Columns", "BitsAllocated", "BitsStored", "PixelData")
HEADER_TAGS = [*attributes.IDENTIFYING, *attributes.HEADER, "Rows"]
DAY = re.compile(r"\d{4}(\.?)\d{2}\1\d{2}", re.ASCII)
SPACING_TAGS = ["ImagerPixelSpacing", "PixelSpacing"]  # the first that a film has counts
GREY_MODES = {"L", "I", "I;16", "I;16B", "I;16L", "I;16N"}  # Pillow's for 8 and 16 bit
COLOUR_MODES = {"RGB", "RGBA", "LA", "P", "PA"}  # of which each pixel may be grey
COLOUR_ROUNDING = 2  # grey values by which the channels of a JPEG may differ


@dataclass(frozen=True)
class FilmHeader:
    """What the ingest needs to know of a film.

    Attributes
    ----------
    patient_id, study_uid, sop_uid, modality
        As in the header, ``""`` where it has none.
    study_date
        Day of the study, else of the acquisition, else of the content; None if none is a date.
    derived
        How far the film is from an original, by its image type: 0 to 2.
    view
        ``"PA"``, ``"AP"``, ``"LATERAL"`` or ``""`` if unknown or another.
    view_reason
        What the view was decided from.
    birth_date
        Day of the patient's birth; None if it is none.
    sex
        ``"F"``, ``"M"``, ``"O"`` (other), or ``""`` if unknown.
    """

    patient_id: str
    study_uid: str
    sop_uid: str
    modality: str
    study_date: date | None
    derived: int
    view: str
    view_reason: str
    birth_date: date | None
    sex: str


def film_format(path: Path) -> str:
    """Tell by its first bytes whether a file is ``"dicom"``, ``"png"`` or ``"jpeg"``.

    Raises
    ------
    ImageError
        If it is none.
    OSError
        If the file cannot be opened.
    """
    with Path(path).open("rb") as file:
        start = file.read(PREAMBLE + len(DICOM_PREFIX))
    if not start:
        raise ImageError(Rule.UNREADABLE, "the file is empty")
    if start.startswith(PNG_SIGNATURE):
        return "png"
    if start.startswith(JPEG_SIGNATURE):
        return "jpeg"
    if start.startswith(ZIP_SIGNATURE):
        raise ImageError(Rule.WRONG_KIND, "a zip archive; unpack it beside the films")
    if start[PREAMBLE:] == DICOM_PREFIX or _begins_data_set(start):
        return "dicom"
    raise ImageError(Rule.WRONG_KIND, "not a DICOM, PNG or JPEG file")


def _begins_data_set(start: bytes) -> bool:
    """Whether a file without preamble begins with a first element that films have."""
    if len(start) < 8 or start[:2] not in (b"\2\0", b"\x08\0") or start[3] != 0:
        return False
    explicit = start[4:6].isalpha() and start[4:6].isupper()
    return explicit or int.from_bytes(start[4:8], "little") < LONGEST_FIRST_VALUE


def read_header(path: Path) -> FilmHeader:
    """Read the header of a DICOM file, without its pixels.

    Parameters
    ----------
    path
        DICOM file; its name is the last resort for the view.

    Raises
    ------
    ImageError
        If the header cannot be read or describes no image.
    """
    path = Path(path)
    with quiet_pydicom():
        try:
            header = dcmread(path, stop_before_pixels=True, specific_tags=HEADER_TAGS, force=True)
            text = {tag: str(header.get(tag) or "").strip(" \0") for tag in HEADER_TAGS}
        except OSError as error:
            raise ImageError(
                Rule.UNREADABLE, "the DICOM header breaks off or cannot be read"
            ) from error
        except Exception as error:  # a malformed header can make pydicom raise nearly anything
            raise ImageError(Rule.UNREADABLE, "the DICOM header cannot be read") from error
    if not text["Rows"]:
        raise ImageError(Rule.WRONG_KIND, "a DICOM file without an image")
    view, reason = decide_view(
        text["ViewPosition"], text["SeriesDescription"], text["StudyDescription"], path.stem
    )
    dates = (parse_day(text[f"{kind}Date"]) for kind in ("Study", "Acquisition", "Content"))
    return FilmHeader(
        patient_id=text["PatientID"],
        study_uid=text["StudyInstanceUID"],
        sop_uid=text["SOPInstanceUID"],
        modality=text["Modality"],
        study_date=next((day for day in dates if day), None),
        derived=sum(word in text["ImageType"] for word in ("DERIVED", "SECONDARY")),
        view=view,
        view_reason=reason,
        birth_date=parse_day(text["PatientBirthDate"]),
        sex=text["PatientSex"] if text["PatientSex"] in attributes.SEXES else "",
    )


def is_radiography(modality: str) -> bool:
    """Whether a film may have this modality; one that does not tell is given the benefit."""
    return modality.upper() in RADIOGRAPHY


def parse_day(text: str) -> date | None:
    """Day of a DICOM date (``YYYYMMDD``, formerly ``YYYY.MM.DD``); None if it is none."""
    if not DAY.fullmatch(text):  # strptime reads 2015311, too
        return None
    try:
        return datetime.strptime(text.replace(".", ""), "%Y%m%d").date()
    except ValueError:
        return None


def pixel_mm(path: Path) -> float:
    """Size of a film's pixels at the detector, in mm.

    NaN for a PNG or JPEG, and for a film whose header does not tell or whose pixels are not square.
    """
    if film_format(path) != "dicom":
        return np.nan
    with quiet_pydicom():
        try:
            header = dcmread(path, stop_before_pixels=True, specific_tags=SPACING_TAGS, force=True)
            down, across = next(filter(None, map(header.get, SPACING_TAGS)), (np.nan, np.nan))
            size = float(down) if down == across else np.nan
        except Exception as error:  # as for headers
            pass_on_system_error(error)
            return np.nan
    return size if 0 < size < np.inf else np.nan


def read_film(path: Path) -> np.ndarray:
    """Read a film, dense tissue bright.

    DICOM: the modality LUT is applied. A linear rescale is not, but for its sign: scaling to 0..1
    undoes it. MONOCHROME1 is inverted. The VOI LUT is not applied: as far as it is monotone, the
    histogram equalisation that follows undoes it, and where it clips, it would lose what
    equalisation brings out. Padding pixels become as dark as the darkest pixel of the film.
    PNG and JPEG: taken as they are; bright must be dense. Equal channels are one, and the
    orientation that Exif tells is applied.

    Parameters
    ----------
    path
        DICOM file, or PNG or JPEG of grey values.

    Returns
    -------
    numpy.ndarray
        Film (rows, columns), integers in steps of the file's grey values, from any zero. May be
        read only.

    Raises
    ------
    ImageError
        If the file holds no single grey image that can be decoded, or none of a film.
    OSError
        If the file cannot be opened.
    """
    kind = film_format(path)
    with Path(path).open("rb") as file:
        return _read_dicom(file) if kind == "dicom" else _read_picture(file)


def _read_dicom(file: BinaryIO) -> np.ndarray:
    with quiet_pydicom():
        try:
            dataset = dcmread(file, specific_tags=PIXEL_TAGS, force=True)
            modality = str(dataset.get("Modality") or "").strip(" \0")
            dataset.pop("Modality", None)  # what has nothing else is no image
            if not dataset:  # pydicom keeps nothing if compressed pixels break off
                file.seek(0)
                header = dcmread(file, specific_tags=["Rows"], stop_before_pixels=True, force=True)
            if "TransferSyntaxUID" not in dataset.file_meta:
                dataset.file_meta.TransferSyntaxUID = _plain_syntax(dataset)
            for tag in NEEDED:  # pydicom reads values when somebody asks for them
                dataset.get(tag)
            photometric = str(dataset.get("PhotometricInterpretation") or "")
            frames = int(dataset.get("NumberOfFrames") or 1)
        except Exception as error:  # as for headers
            pass_on_system_error(error)
            raise ImageError(Rule.UNREADABLE, "the DICOM file cannot be read") from error
        if not dataset:
            if header:
                raise ImageError(Rule.UNREADABLE, "the pixel data are truncated")
            raise ImageError(Rule.WRONG_KIND, "a DICOM file without an image")
        if not is_radiography(modality):
            raise ImageError(Rule.OTHER_MODALITY, NO_FILM)
        if photometric not in ("MONOCHROME1", "MONOCHROME2"):
            raise ImageError(
                Rule.WRONG_KIND,
                "not a grey image: PhotometricInterpretation is not MONOCHROME1 or 2",
            )
        if frames != 1:
            raise ImageError(Rule.WRONG_KIND, "a multi-frame image is no film")
        stored = decode_pixels(dataset)
        if stored.ndim != 2:
            raise ImageError(Rule.WRONG_KIND, "not a grey image: it has several samples per pixel")
        try:
            if dataset.get("ModalityLUTSequence"):
                film, slope = apply_modality_lut(stored, dataset), 1
            else:
                film, slope = stored, float(dataset.get("RescaleSlope", 1))
            padded = _padding(stored, dataset)
        except Exception as error:  # as for headers
            raise ImageError(Rule.UNREADABLE, "the modality LUT cannot be applied") from error
    if not slope or not np.isfinite(slope):
        raise ImageError(
            Rule.UNREADABLE, "the modality LUT cannot be applied: its slope is 0 or no number"
        )
    if (photometric == "MONOCHROME1") != (slope < 0):
        film = ~film  # the largest integer less each value
    if padded is not None and padded.any():
        if padded.all():
            raise ImageError(Rule.NO_CONTENT, "the film is nothing but padding")
        film = np.where(padded, np.where(padded, film.max(), film).min(), film)
    return film


def _plain_syntax(dataset: Dataset) -> UID:
    """Transfer syntax of a file that lost its meta group: as its elements are written."""
    implicit, little = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _padding(stored: np.ndarray, dataset: Dataset) -> np.ndarray | None:
    """Mask of the pixels outside the film (PS3.3, C.7.5.1.1.2); None if there is no such value."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    low, high = sorted((int(value), int(value if limit is None else limit)))
    return (stored >= low) & (stored <= high)


def _read_picture(file: BinaryIO) -> np.ndarray:
    try:
        # From memory: of a file Pillow asks for all that a damaged PNG announces, up to 4 GiB.
        with Image.open(BytesIO(file.read()), formats=["PNG", "JPEG"]) as image:
            check_size(*image.size[::-1])
            frames, upright = getattr(image, "n_frames", 1), ImageOps.exif_transpose(image)
            pixels = np.asarray(upright) if upright.mode in GREY_MODES else _one_grey(upright)
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError and more
        pass_on_system_error(error)
        raise ImageError(Rule.UNREADABLE, "the picture is truncated or damaged") from error
    if frames != 1:
        raise ImageError(Rule.WRONG_KIND, "a multi-frame image is no film")
    return pixels


def _one_grey(image: Image.Image) -> np.ndarray:
    """Grey values of an image whose colours are all grey and opaque."""
    if image.mode not in COLOUR_MODES:
        raise ImageError(Rule.WRONG_KIND, "not a grey image: neither grey nor of equal channels")
    colours = np.asarray(image.convert("RGBA"))
    if (colours[..., 3] < 255).any():
        raise ImageError(Rule.WRONG_KIND, "the picture is transparent in places")
    grey = colours[..., 1]
    for other in (colours[..., 0], colours[..., 2]):
        apart = np.maximum(grey, other) - np.minimum(grey, other)
        if (apart > COLOUR_ROUNDING).any():
            raise ImageError(Rule.WRONG_KIND, "not a grey image: its channels differ")
    return grey
