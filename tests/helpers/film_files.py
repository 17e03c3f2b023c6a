"""Small real DICOM files, made on the spot."""

import shutil
from datetime import date
from pathlib import Path

import numpy as np
from pydicom import dcmread, uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

from pipeline.demo.film_writer import compress_film


def make_dicom(path: Path, pixels: np.ndarray, **tags) -> Path:
    """Write a 16-bit film; `tags` replace the usual header, None removes one."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(path)])
    dataset = Dataset()
    dataset.file_meta = meta
    header = {
        "SpecificCharacterSet": "ISO_IR 192",
        "SOPClassUID": ComputedRadiographyImageStorage,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "StudyInstanceUID": generate_uid(entropy_srcs=[str(path), "study"]),
        "PatientID": "MRN1",
        "PatientName": "Ångström^Zoë",
        "PatientBirthDate": "19500101",
        "StudyDate": f"{date(2015, 3, 1):%Y%m%d}",
        "Modality": "CR",
        "ViewPosition": "PA",
        "PhotometricInterpretation": "MONOCHROME2",
        "SamplesPerPixel": 1,
        "Rows": pixels.shape[-2],
        "Columns": pixels.shape[-1],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        "PixelData": pixels.astype("<u2").tobytes(),
    }
    for tag, value in (header | tags).items():
        if value is not None:
            setattr(dataset, tag, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def compress_dicom(source: Path, destination: Path, syntax: str) -> Path:
    """Write `source` with compressed pixels; `syntax` as pydicom names its UID."""
    if destination != source:
        shutil.copyfile(source, destination)
    compress_film(destination, getattr(uid, syntax))
    written = dcmread(destination, stop_before_pixels=True).file_meta.TransferSyntaxUID
    assert written == getattr(uid, syntax)
    return destination


def ramp_film(rows: int = 40, columns: int = 32) -> np.ndarray:
    """Film with 12-bit noise over a ramp that brightens downwards."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(100, 3500, rows)[:, None]
    return (ramp + rng.uniform(0, 400, (rows, columns))).astype(np.uint16)


def compressed_film(path: Path, syntax: str) -> Path:
    """Write the ramp of 12 bit, or of 8 where the syntax has no more."""
    pixels, bits = ramp_film(), {"BitsStored": 12, "HighBit": 11}
    if syntax == "JPEGBaseline8Bit":
        pixels = (pixels // 16).astype(np.uint8)
        bits = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelData": pixels.tobytes()}
    return compress_dicom(make_dicom(path, pixels, **bits), path, syntax)


# Bits a sample, as no image has them, with which a frame header ends the process that decodes it.
CRASHING_PRECISION = {
    "JPEGBaseline8Bit": (b"\xff\xc0\0\x0b", 115),
    "JPEGExtended12Bit": (b"\xff\xc1\0\x0b", 11),
    "JPEGLosslessSV1": (b"\xff\xc3\0\x0b", 218),
    "JPEGLSLossless": (b"\xff\xf7\0\x0b", 201),
}


def crashing_film(path: Path, syntax: str) -> Path:
    """Write a compressed film of which one byte, that of `CRASHING_PRECISION`, is damaged."""
    header, precision = CRASHING_PRECISION[syntax]
    film = dcmread(compressed_film(path, syntax))
    before, after = film.PixelData.split(header, 1)
    film.PixelData = before + header + bytes([precision]) + after[1:]
    film.save_as(path)
    return path
