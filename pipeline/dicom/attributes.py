"""The attributes of a film that are ever read, or kept of a film from a server: no other is.

Of a slice of MRI those of `SLICE` are read.

Names are the keywords of DICOM. What identifies a patient is listed with the action of the basic
application level confidentiality profile (PS3.15, table E.1-1) and what is done about it here.
"""

import io
import warnings

from pydicom import config, dcmread
from pydicom.dataset import Dataset

from pipeline.dicom.view import decide_view

# Z: replace by an empty or dummy value, U: replace by another consistent UID, X: remove.
IDENTIFYING = {
    "PatientID": "Z",  # a keyed hash of it names the subject
    "PatientBirthDate": "Z",  # in results only as the age
    "PatientSex": "Z",
    "StudyInstanceUID": "U",  # tells which films are of one study; not in results
    "SOPInstanceUID": "U",  # tells copies of a film; not in results
    "StudyDate": "Z",  # the nearest spirometry; in results only as days since the first film
    "AcquisitionDate": "Z",  # in place of a missing StudyDate
    "ContentDate": "Z",
    "SeriesDescription": "X",  # only PA, AP or lateral is taken from it
    "StudyDescription": "X",
}
SEXES = ("F", "M", "O")  # of PatientSex: female, male, other
ORIGINS = ("ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY")  # of ImageType (PS3.3, C.7.6.1.1.2)
# Not in the table of the profile.
HEADER = [
    *("ImageType", "Modality", "ViewPosition", "ImagerPixelSpacing", "PixelSpacing"),
]
PIXELS = [
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "PlanarConfiguration",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleIntercept",
    "RescaleSlope",
    "ModalityLUTSequence",
    "LUTDescriptor",
    "LUTData",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "PixelData",
]
READ = [*IDENTIFYING, *HEADER, *PIXELS]
SLICE = [
    "SeriesInstanceUID",  # U by the profile: tells which slices are of one series; not in results
    *("ImageType", "Modality", "NumberOfFrames", "Rows", "Columns", "SamplesPerPixel"),
    *("BitsAllocated", "ImagePositionPatient", "ImageOrientationPatient", "EchoTime"),
    # Of these only where frames lie.
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
]
# The view is decided before the descriptions are dropped; the class of the film makes it a file.
KEPT = {
    "SpecificCharacterSet",
    "SOPClassUID",
    *READ,
} - {tag for tag, action in IDENTIFYING.items() if action == "X"}


def keep_needed(content: bytes) -> Dataset:
    """Film with the attributes that the pipeline needs, and no other, at any depth.

    Descriptions, where people write what they like, are dropped for the view that they name; views
    and sexes that are none are emptied, and of the image's type only the standard's words stay.

    Parameters
    ----------
    content
        DICOM file.

    Raises
    ------
    pydicom.errors.InvalidDicomError
        If it is none; damaged files make pydicom raise nearly anything.
    """
    with config.disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom quotes the values it complains about
        film = dcmread(io.BytesIO(content), specific_tags=[*READ, "SOPClassUID"])
        texts = ("ViewPosition", "SeriesDescription", "StudyDescription")
        view, _ = decide_view(*(str(film.get(tag) or "").strip(" \0") for tag in texts), "")
        film.walk(_drop_others)
        film.ViewPosition = view
        if film.get("PatientSex") not in SEXES:
            film.PatientSex = ""
        film.ImageType = [word for word in ORIGINS if word in str(film.get("ImageType"))]
    return film


def _drop_others(dataset: Dataset, element) -> None:
    if element.keyword not in KEPT:
        del dataset[element.tag]
