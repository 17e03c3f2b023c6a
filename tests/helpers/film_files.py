"""Small real DICOM files, made on the spot."""

from datetime import date
from pathlib import Path

import gdcm
import numpy as np
from pydicom import dcmread, uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid


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


# GDCM's numbers of the transfer syntaxes that archives use.
GDCM_SYNTAXES = {
    "JPEGBaseline8Bit": gdcm.TransferSyntax.JPEGBaselineProcess1,
    "JPEGLosslessSV1": gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    "JPEGLSLossless": gdcm.TransferSyntax.JPEGLSLossless,
    "JPEG2000Lossless": gdcm.TransferSyntax.JPEG2000Lossless,
    "RLELossless": gdcm.TransferSyntax.RLELossless,
}


def compress_dicom(source: Path, destination: Path, syntax: str) -> Path:
    """Write `source` with compressed pixels; `syntax` as pydicom names its UID."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(GDCM_SYNTAXES[syntax]))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(destination))
    assert writer.Write()
    written = dcmread(destination, stop_before_pixels=True).file_meta.TransferSyntaxUID
    assert written == getattr(uid, syntax)
    return destination


def ramp_film(rows: int = 40, columns: int = 32) -> np.ndarray:
    """Film with 12-bit noise over a ramp that brightens downwards."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(100, 3500, rows)[:, None]
    return (ramp + rng.uniform(0, 400, (rows, columns))).astype(np.uint16)
