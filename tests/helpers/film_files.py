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
