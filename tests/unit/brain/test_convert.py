"""Volumes made of DICOM series, by the real dcm2niix."""

import gzip
import json
import logging
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
from helpers.deidentification import BIRTH, MARKED_UID, MARKER, PRIVATE_GROUP, mark
from helpers.dicom_series import join_slices, write_series
from helpers.film_files import compress_dicom
from pydicom import config, dcmread
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian
from scipy.spatial.transform import Rotation

from pipeline import cli
from pipeline.brain.convert import convert_series
from pipeline.dicom.attributes import SLICE
from pipeline.stage.errors import ImageError
from pipeline.stage.sidecar import read_sidecar

VOXEL_MM = (4.0, 5.0, 6.0)
USUAL_GROUPS = (0x08, 0x10, 0x12, 0x18, 0x20, 0x32, 0x38, 0x40, PRIVATE_GROUP)


@pytest.fixture(scope="module")
def head(icbm_head, resample):
    """A head on oblique sagittal slices."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", (9, -6, 14), degrees=True).as_matrix() * VOXEL_MM
    affine = affine[:, [1, 2, 0, 3]]
    affine[:3, 3] = -affine[:3, :3] @ (23, 17, 24) + (0, -20, 10)
    data = resample(icbm_head, np.eye(4), (46, 34, 48), affine)
    return nib.Nifti1Image(np.round(data * 10).clip(0).astype(np.int16), affine)


@pytest.fixture
def converted(tmp_path):
    """Converts a series; the volume and the facts of the stage."""

    def convert(source):
        volume = tmp_path / "scan.nii.gz"
        facts = convert_series(source, volume)
        return nib.load(volume), facts

    return convert


def assert_same(volume, truth):
    found, expected = nib.as_closest_canonical(volume), nib.as_closest_canonical(truth)
    np.testing.assert_allclose(found.affine, expected.affine, atol=1e-4)
    np.testing.assert_array_equal(found.get_fdata(), expected.get_fdata())


def test_volume_is_the_head_that_was_scanned(tmp_path, head, converted):
    write_series(tmp_path / "S7", head)
    volume, facts = converted(tmp_path / "S7")
    assert_same(volume, head)
    assert nib.aff2axcodes(volume.affine)[2] in "LR"  # sagittal slices, as they were
    forms = volume.header.get_qform(coded=True), volume.header.get_sform(coded=True)
    assert all(code > 0 for _, code in forms)
    np.testing.assert_allclose(forms[0][0], forms[1][0], atol=1e-3)
    assert facts["engine"] == "dcm2niix" and facts["slices"] == 48


def test_one_slice_names_the_series(tmp_path, head, converted):
    write_series(tmp_path / "all", head.slicer[::-1], SeriesNumber=1)
    wanted = write_series(tmp_path / "all", head)
    volume, _ = converted(wanted[20])
    assert_same(volume, head)


def test_frames_of_one_file(tmp_path, head, converted):
    join_slices(write_series(tmp_path / "S7", head))
    volume, _ = converted(tmp_path / "S7")
    assert_same(volume, head)


@pytest.mark.parametrize("syntax", ["JPEGLosslessSV1", "JPEG2000Lossless"])
def test_compressed_slices(tmp_path, head, converted, syntax):
    for file in write_series(tmp_path / "S7", head.slicer[:, :, 20:28]):
        compress_dicom(file, file, syntax)
    volume, _ = converted(tmp_path / "S7")
    assert_same(volume, head.slicer[:, :, 20:28])


def deflate(file):
    slice_ = dcmread(file)
    slice_.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    slice_.save_as(file)


def test_deflated_slices(tmp_path, head, converted):
    """All of them, or the last alone, without which dcm2niix would make a shorter volume."""
    few = head.slicer[:, :, 20:26]
    files = write_series(tmp_path / "S7", few)
    deflate(files[-1])
    assert_same(converted(tmp_path / "S7")[0], few)
    for file in files[:-1]:
        deflate(file)
    assert_same(converted(tmp_path / "S7")[0], few)


def test_compression_that_dcm2niix_does_not_know_is_named(tmp_path, head):
    few = head.slicer[:, :, 20:26]
    for file in write_series(tmp_path / "S7", few, BitsStored=12, HighBit=11):
        compress_dicom(file, file, "JPEGExtended12Bit")
    with pytest.raises(
        ImageError, match=r"with `dcmdjpeg`: their transfer syntax is JPEG Extended"
    ):
        convert_series(tmp_path / "S7", tmp_path / "scan.nii.gz")


@pytest.mark.parametrize(
    "tag",
    [
        *("StudyTime", "StudyDate", "SeriesNumber", "EchoTime", "RepetitionTime"),
        *("EchoNumbers", "FlipAngle", "ProtocolName"),
    ],
)
def test_values_of_their_own_do_not_part_the_slices_of_a_stack(tmp_path, head, converted, tag):
    few = head.slicer[:, :, 20:26]
    for number, file in enumerate(write_series(tmp_path / "S7", few), start=1):
        slice_ = dcmread(file)
        values = {"StudyTime": f"1011{number}0", "StudyDate": f"2001020{number}"}
        values |= {"EchoTime": 2.98 + number / 1000, "ProtocolName": f"{number}"}
        setattr(slice_, tag, values.get(tag, number))
        slice_.save_as(file)
    assert_same(converted(tmp_path / "S7")[0], few)


@pytest.mark.parametrize(
    "tags", [{"Manufacturer": "Philips Medical Systems", "TriggerTime": "500"}, {"EchoNumbers": 2}]
)
def test_single_volume_is_taken_whatever_dcm2niix_adds_to_its_name(tmp_path, head, converted, tags):
    write_series(tmp_path / "S7", head.slicer[:, :, 20:26], **tags)
    volume, _ = converted(tmp_path / "S7")
    assert_same(volume, head.slicer[:, :, 20:26])


def test_image_of_the_phase_is_left_out(tmp_path, head, converted):
    write_series(
        tmp_path / "S7", head.slicer[:, :, 20:26], ImageType=["ORIGINAL", "PRIMARY", "P", "ND"]
    )
    with pytest.raises(ImageError, match="of the phase, not of the magnitude"):
        converted(tmp_path / "S7")


def test_volume_that_dcm2niix_takes_apart_is_left_out(tmp_path, head):
    for number, file in enumerate(write_series(tmp_path / "S7", head)):
        slice_ = dcmread(file)
        slice_.Manufacturer = "SIEMENS" if number < 24 else "GE"
        slice_.save_as(file)
    with pytest.raises(ImageError) as error:
        convert_series(tmp_path / "S7", tmp_path / "scan.nii.gz")
    assert error.value.exclusion == {
        "rule": "wrong_kind",
        "reason": "dcm2niix made 2 volumes of the series instead of one",
    }
    assert not (tmp_path / "scan.nii.gz").exists()


@pytest.fixture
def run():
    """Runs a command of the pipeline."""
    yield lambda *arguments: cli.main([str(argument) for argument in arguments])
    root = logging.getLogger()
    for handler in [h for h in root.handlers if type(h).__module__ == "logging"]:
        root.removeHandler(handler)
    logging.captureWarnings(False)


def test_what_follows_knows_that_the_volume_was_converted(tmp_path, head, run):
    write_series(tmp_path / "S7", head)
    run("convert", tmp_path / "S7", tmp_path / "convert.nii.gz")
    run("orient", tmp_path / "convert.nii.gz", tmp_path / "orient.nii.gz")
    steps = read_sidecar(tmp_path / "orient.nii.gz")["steps"]
    assert [step["stage"] for step in steps] == ["convert", "orient"]
    assert steps[1]["content"]


def test_series_that_cannot_be_used_is_passed_on_with_its_reason(tmp_path, head, run):
    write_series(tmp_path / "S7", head)[30].unlink()
    run("convert", tmp_path / "S7", tmp_path / "convert.nii.gz")
    run("orient", tmp_path / "convert.nii.gz", tmp_path / "orient.nii.gz")
    told = read_sidecar(tmp_path / "orient.nii.gz")
    assert told["status"] == "excluded" and told["stage"] == "convert"
    assert told["reason"] == "slices are missing: 1 of 48"


def test_scan_of_a_bids_dataset_is_raw_whatever_lies_beside_it(tmp_path, head, run):
    nib.save(head, tmp_path / "sub-1_T1w.nii.gz")
    (tmp_path / "sub-1_T1w.json").write_text(json.dumps({"MagneticFieldStrength": 3}))
    run("orient", tmp_path / "sub-1_T1w.nii.gz", tmp_path / "orient.nii.gz")
    assert len(read_sidecar(tmp_path / "orient.nii.gz")["steps"]) == 1


@pytest.fixture(scope="module")
def marked():
    """All texts, UIDs and dates of the dictionary, as far as dcm2niix takes them for an image's."""
    everything = Dataset()
    with config.disable_value_validation():
        mark(everything)
    return [e for e in everything if e.tag.group in USUAL_GROUPS and e.VR != "SQ"]


@pytest.mark.parametrize("status", ["ok", "excluded"])
def test_nothing_tells_of_the_patient(tmp_path, head, marked, status):
    """Nor do the names of files; and if dcm2niix refuses them, its message does not."""
    for number, file in enumerate(write_series(tmp_path / "archive", head.slicer[:, :, 20:26])):
        slice_ = dcmread(file)
        for element in marked:
            if element.keyword not in (*SLICE, "SOPInstanceUID"):
                slice_.add(element)
        slice_.SeriesInstanceUID = MARKED_UID
        if status == "excluded":
            slice_.WaveformSequence = []  # a sound, as dcm2niix sees it
        slice_.save_as(file.with_name(f"{MARKER}{number}"))
        file.unlink()
    results = tmp_path / "results"
    command = [sys.executable, "-m", "pipeline", "convert", tmp_path / "archive"]
    command += [results / "scan.nii.gz", "--log", results / "scan.log"]
    done = subprocess.run(command, capture_output=True, check=True)
    told = read_sidecar(results / "scan.nii.gz")
    assert told["status"] == status
    written = {path.name: path.read_bytes() for path in results.iterdir()}
    assert set(written) == {"scan.nii.gz", "scan.json", "scan.log"}
    if status == "ok":
        written["voxels"] = gzip.decompress(written["scan.nii.gz"])
        assert b"Found 6 DICOM" in written["scan.log"]
    else:
        assert told["reason"].startswith("dcm2niix failed with exit status ")
    for trace in (MARKER, MARKED_UID, f"{BIRTH:%Y%m%d}", f"{BIRTH}"):
        for name, content in (written | {"said": done.stdout + done.stderr}).items():
            assert trace.lower().encode() not in content.lower(), name
