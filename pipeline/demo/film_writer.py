"""Invented patients and their chest films as DICOM files, for the demonstration."""

import datetime as dt
import uuid
from dataclasses import dataclass
from pathlib import Path

import gdcm
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

# No such people, streets or hospitals. Distinctive words, so that a search finds any that slip out.
FAMILY_NAMES = (
    "Brambleshank",
    "Quillfeather",
    "Oddlethorp",
    "Muckleberrow",
    "Snickettsby",
    "Thimblewick",
    "Wobblecroft",
    "Pettigrundle",
    "Figglesworth",
    "Crumblehurst",
    "Noddlestone",
    "Puddifant",
    "Tattersnipe",
    "Bumblethwaite",
)
GIVEN_NAMES = (
    "Zephyrinda",
    "Barnabold",
    "Crispinella",
    "Dagobrand",
    "Euphrosina",
    "Fulbertine",
    "Gundovald",
    "Hyacinthus",
    "Isembarda",
    "Jocastine",
    "Leofwynna",
    "Mortimund",
    "Nepomucena",
    "Ottokarine",
)
STREETS = ("Imaginary Lane", "Makebelieve Road", "Fictitious Crescent", "Nowhereville Avenue")
HOSPITALS = ("Madeup Valley Infirmary", "Nonesuch General Hospital", "Pretendham Clinic")
PHYSICIANS = ("Wimblefax^Theodosia^^Dr", "Grimsplatt^Aurelius^^Dr", "Hobbledown^Perpetua^^Dr")
# How archives keep films, and the share of each here.
TRANSFER_SYNTAXES = {
    ExplicitVRLittleEndian: 0.3,
    JPEGLosslessSV1: 0.4,
    JPEGLSLossless: 0.1,
    JPEG2000Lossless: 0.1,
    RLELossless: 0.1,
}
FILM_HEIGHT_MM = 430.0  # of the usual 35 x 43 cm film


@dataclass(frozen=True)
class Patient:
    """An invented patient: what identifies the person in DICOM headers."""

    number: str
    name: str
    birth_date: dt.date
    sex: str
    address: str
    other_number: str

    @property
    def identifiers(self) -> set[str]:
        """Every string that must not leave the archive."""
        return {
            self.number,
            self.name,
            f"{self.birth_date:%Y%m%d}",
            self.birth_date.isoformat(),
            self.address,
            self.other_number,
        }


def common_identifiers() -> set[str]:
    """Identifying words that patients share: names, streets, hospitals, physicians."""
    people = {part for name in PHYSICIANS for part in name.split("^") if part not in ("", "Dr")}
    return {*FAMILY_NAMES, *GIVEN_NAMES, *STREETS, *HOSPITALS, *PHYSICIANS, *people}


def invent_patient(number: str, rng: np.random.Generator) -> Patient:
    """Make up a person with a hospital number, 45 to 75 years old when the archive begins."""
    return Patient(
        number=number,
        name=f"{rng.choice(FAMILY_NAMES)}^{rng.choice(GIVEN_NAMES)}",
        birth_date=dt.date(1937, 1, 1) + dt.timedelta(days=int(rng.integers(30 * 365))),
        sex=str(rng.choice(["F", "M"])),
        address=f"{rng.integers(1, 400)} {rng.choice(STREETS)}",
        other_number=f"XQ-{rng.integers(10**8, 10**9)}",
    )


def make_uid(*parts: object) -> UID:
    """Unique identifier derived from `parts`, under the root for UUIDs that anyone may use."""
    return UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, '/'.join(map(str, parts))).int}")


def write_film(
    folder: Path,
    film: np.ndarray,
    *,
    patient: Patient,
    date: dt.date,
    view: str,
    number: int,
    rng: np.random.Generator,
) -> Path:
    """Write a film as ``{study UID}/{SOP instance UID}.dcm``, coded in one of the usual ways.

    Parameters
    ----------
    folder
        Folder of the studies.
    film
        Array (rows, columns) in 0 to 1, dense tissue bright.
    patient, date
        Who and when; both decide the study.
    view
        View position, ``""`` to name it in the series description only.
    number
        Number of the film in the study, from 1.
    rng
        Source of how this film is coded.

    Returns
    -------
    Path
        The file.
    """
    is_dx = rng.random() < 0.2
    study = make_uid(patient.number, date)
    header = Dataset()
    header.SOPClassUID = (
        DigitalXRayImageStorageForPresentation if is_dx else ComputedRadiographyImageStorage
    )
    header.SOPInstanceUID = make_uid(study, "film", number)
    header.StudyInstanceUID = study
    header.SeriesInstanceUID = make_uid(study, "series", number)
    header.StudyDate = header.SeriesDate = header.ContentDate = f"{date:%Y%m%d}"
    header.StudyTime = header.ContentTime = f"{rng.integers(7, 19):02d}{rng.integers(60):02d}00"
    header.Modality = "DX" if is_dx else "CR"
    if is_dx:
        header.PresentationIntentType = "FOR PRESENTATION"
    header.ImageType = ["DERIVED", "PRIMARY"]
    header.Manufacturer = "Simulated"
    header.StudyDescription = "CHEST"
    header.BodyPartExamined = "CHEST"
    header.StudyID, header.SeriesNumber, header.InstanceNumber = "1", number, 1
    header.PatientOrientation = ["P", "F"] if view == "LL" else ["L", "F"]
    if view:
        header.ViewPosition = view
    header.SeriesDescription = {"LL": "CHEST LATERAL", "": "CHEST PA"}.get(view, f"CHEST {view}")
    _identify(header, patient, rng)
    _encode(header, film, rng)

    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = folder / study / f"{header.SOPInstanceUID}.dcm"
    path.parent.mkdir(exist_ok=True)
    header.save_as(path, enforce_file_format=True)
    # A stream of its own: a film's grey values do not depend on how it is kept.
    [stream] = rng.spawn(1)
    syntax = UID(stream.choice(list(TRANSFER_SYNTAXES), p=list(TRANSFER_SYNTAXES.values())))
    if syntax.is_compressed:
        compress_film(path, syntax)
    return path


def compress_film(path: Path, syntax: UID) -> None:
    """Compress the pixels of a DICOM file in its place.

    Parameters
    ----------
    path
        DICOM file that is not compressed.
    syntax
        Transfer syntax that GDCM can write.

    Raises
    ------
    RuntimeError
        If GDCM cannot do it.
    """
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    if not reader.Read():
        raise RuntimeError(f"GDCM cannot read {path}")
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    change.SetInput(reader.GetImage())
    if not change.Change():
        raise RuntimeError(f"GDCM cannot compress {path} as {syntax.name}")
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(path))
    if not writer.Write():
        raise RuntimeError(f"GDCM cannot write {path}")


def _identify(header: Dataset, patient: Patient, rng: np.random.Generator) -> None:
    """Fill the identifying elements."""
    header.PatientName = patient.name
    header.PatientID = patient.number
    header.PatientBirthDate = f"{patient.birth_date:%Y%m%d}"
    header.PatientSex = patient.sex
    header.PatientAddress = patient.address
    header.OtherPatientIDs = patient.other_number
    header.ReferringPhysicianName = str(rng.choice(PHYSICIANS))
    header.InstitutionName = str(rng.choice(HOSPITALS))
    header.AccessionNumber = f"{patient.other_number}-{rng.integers(1000):03d}"


def _encode(header: Dataset, film: np.ndarray, rng: np.random.Generator) -> None:
    """Store the pixels: 12 to 16 bits, either polarity, some with a rescale and a window."""
    bits = int(rng.choice([12, 14, 15, 16]))
    largest = 2**bits - 1
    stored = np.rint(film * largest).astype("<u2")
    header.PhotometricInterpretation = str(rng.choice(["MONOCHROME1", "MONOCHROME2"]))
    if header.PhotometricInterpretation == "MONOCHROME1":
        stored = largest - stored
    header.SamplesPerPixel = 1
    header.Rows, header.Columns = film.shape
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, bits, bits - 1
    header.PixelRepresentation = 0
    spacing = round(FILM_HEIGHT_MM / film.shape[0], 4)
    header.ImagerPixelSpacing = [spacing, spacing]
    slope, intercept = 1.0, 0.0
    if rng.random() < 0.3:
        slope, intercept = 0.25, -100.0
        header.RescaleSlope, header.RescaleIntercept, header.RescaleType = slope, intercept, "US"
    low, high = (slope * value + intercept for value in np.percentile(stored, [1, 99]))
    header.WindowCenter = round((low + high) / 2)
    header.WindowWidth = max(2, round(high - low))
    header.PixelData = stored.tobytes()
