"""Series of DICOM slices, as a scanner writes a head."""

from pathlib import Path

import nibabel as nib
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

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


def _decimals(numbers) -> list[str]:
    """Numbers as DICOM's decimal strings of at most 16 characters."""
    return [f"{number:.9g}" for number in numbers]
