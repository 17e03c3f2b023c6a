"""Series of DICOM slices, as a scanner writes a head."""

from pathlib import Path

import nibabel as nib
import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # DICOM counts mm to the left and back


def write_series(folder: Path, image: nib.Nifti1Image, **tags: object) -> list[Path]:
    """Write a volume as a series, a file a slice of its third axis, and return the files.

    Parameters
    ----------
    folder
        Made if it is not there; files of other series stay.
    image
        Grey values from 0 to 65,535, in voxels of any size and orientation.
    tags
        Of every slice, by keyword.
    """
    folder.mkdir(parents=True, exist_ok=True)
    affine = LPS @ image.affine
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    across, down, _ = (affine[:3, :3] / sizes).T
    voxels = np.asarray(image.dataobj).astype(np.uint16)
    common = {
        "SOPClassUID": MRImageStorage,
        "Modality": "MR",
        "Manufacturer": "SIEMENS",
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"],
        "StudyInstanceUID": generate_uid(),
        "SeriesInstanceUID": generate_uid(),
        "FrameOfReferenceUID": generate_uid(),
        "PatientID": "1",
        "PatientName": "Nobody",
        "StudyDate": "20010203",
        "StudyTime": "101112",
        "SeriesNumber": 2,
        "SeriesDescription": "MPRAGE",
        "ProtocolName": "MPRAGE",
        "MRAcquisitionType": "3D",
        "ScanningSequence": "GR",
        "RepetitionTime": 2300.0,
        "EchoTime": 3.0,
        "MagneticFieldStrength": 3.0,
        "ImageOrientationPatient": _decimals([*across, *down]),
        "PixelSpacing": _decimals(sizes[[1, 0]]),
        "SliceThickness": float(f"{sizes[2]:.9g}"),
        "Rows": voxels.shape[1],
        "Columns": voxels.shape[0],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
    }
    files = []
    for number in range(voxels.shape[2]):
        own = {
            "SOPInstanceUID": generate_uid(),
            "InstanceNumber": number + 1,
            "ImagePositionPatient": _decimals((affine @ [0, 0, number, 1])[:3]),
            "PixelData": voxels[:, :, number].T.tobytes(),
        }
        dataset = Dataset()
        for keyword, value in (common | own | tags).items():
            setattr(dataset, keyword, value)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        files.append(folder / f"{dataset.SeriesNumber}-{number + 1:04d}.dcm")
        dataset.save_as(files[-1], enforce_file_format=True)
    return files


def join_slices(files: list[Path]) -> Path:
    """Write the slices of `write_series` as the frames of one enhanced file, the first, alone."""
    slices = [dcmread(file) for file in files]
    for file in files[1:]:
        file.unlink()
    joined = slices[0]
    joined.SOPClassUID = joined.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    joined.NumberOfFrames = len(slices)
    joined.PixelData = b"".join(one.PixelData for one in slices)
    shared = Dataset()
    for group, keywords in (
        ("PlaneOrientationSequence", ["ImageOrientationPatient"]),
        ("PixelMeasuresSequence", ["PixelSpacing", "SliceThickness"]),
    ):
        setattr(shared, group, [_take(joined, keywords)])
    joined.SharedFunctionalGroupsSequence = [shared]
    joined.PerFrameFunctionalGroupsSequence = []
    for number, one in enumerate(slices, start=1):
        frame, content = Dataset(), Dataset()
        content.StackID, content.InStackPositionNumber = "1", number
        content.DimensionIndexValues = [1, number]
        frame.FrameContentSequence = [content]
        frame.PlanePositionSequence = [_take(one, ["ImagePositionPatient"])]
        joined.PerFrameFunctionalGroupsSequence.append(frame)
    joined.save_as(files[0])
    return files[0]


def _take(dataset: Dataset, keywords: list[str]) -> Dataset:
    """Move attributes to a data set of their own."""
    taken = Dataset()
    for keyword in keywords:
        setattr(taken, keyword, dataset[keyword].value)
        delattr(dataset, keyword)
    return taken


def _decimals(numbers) -> list[str]:
    """Numbers as DICOM's decimal strings of at most 16 characters."""
    return [f"{number:.9g}" for number in numbers]
