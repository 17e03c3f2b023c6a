"""Which files of a folder are one volume."""

import shutil

import nibabel as nib
import numpy as np
import pytest
from helpers.dicom_series import join_slices, write_series
from pydicom import dcmread
from scipy.spatial.transform import Rotation

from pipeline.dicom.series import check_series, find_series
from pipeline.stage.errors import ImageError

LOCALIZER = {"ImageType": ["ORIGINAL", "PRIMARY", "M", "LOCALIZER"]}
DERIVED = {"ImageType": ["DERIVED", "PRIMARY", "MPR"]}


@pytest.fixture(scope="module")
def volume():
    """Noise on oblique voxels."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", (8, -5, 6), degrees=True).as_matrix()
    affine[:3, :3] *= (3, 2.5, 6)
    data = np.random.default_rng(0).integers(0, 1000, (8, 10, 12))
    return nib.Nifti1Image(data.astype(np.int16), affine)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "S7"


@pytest.fixture
def slices(folder, volume):
    return write_series(folder, volume)


def change(file, **tags):
    header = dcmread(file)
    for keyword, value in tags.items():
        setattr(header, keyword, value)
    header.save_as(file)


def refusal(path):
    with pytest.raises(ImageError) as error:
        find_series(path)
    return error.value.exclusion


def test_slices_are_in_the_order_in_which_they_lie(folder, slices):
    names = [folder / f"IM{number}" for number in np.random.default_rng(1).permutation(12)]
    for file, name in zip(slices, names, strict=True):
        file.rename(name)
    (folder / "notes.txt").write_text("not DICOM")
    (folder / ".DS_Store").write_bytes(b"\0" * 128 + b"DICM")
    assert find_series(folder) == names
    check_series(folder)


@pytest.mark.parametrize(
    ("tags", "rule", "reason"),
    [
        ({"Modality": "CT"}, "wrong_kind", "not MRI by the modality of its header"),
        (LOCALIZER, "other_series", "a localizer"),
    ],
)
def test_what_is_no_scan_is_told_by_one_slice(folder, volume, tags, rule, reason):
    files = write_series(folder, volume, **tags)
    for path in (folder, files[3]):
        with pytest.raises(ImageError) as error:
            check_series(path)
        assert error.value.exclusion == refusal(path) == {"rule": rule, "reason": reason}


def test_localizer_that_is_not_marked(folder, volume):
    few = volume.slicer[:, :, :1]
    uid = write_series(folder, few)[0]
    change(uid, SeriesInstanceUID="1.2.3")
    assert refusal(folder)["reason"] == "a single slice, no volume"
    turned = nib.Nifti1Image(few.dataobj, volume.affine[:, [1, 2, 0, 3]])
    write_series(folder, turned, SeriesInstanceUID="1.2.3", SeriesNumber=3)
    assert (
        refusal(folder)["reason"] == "the slices lie in several directions, as those of a localizer"
    )
    with pytest.raises(ImageError, match="several directions"):
        check_series(folder)


def test_derived_series_is_taken_where_it_is_named(folder, slices, volume):
    """By one of its files, or as all that its folder holds; an original is taken before it."""
    derived = write_series(folder, volume, SeriesNumber=3, **DERIVED)
    assert find_series(folder) == slices
    assert find_series(derived[2]) == derived
    for file in slices:
        file.unlink()
    assert find_series(folder) == derived
    for path in (folder, derived[0]):
        check_series(path)
        with pytest.raises(ImageError, match="derived from other images, no original"):
            check_series(path, originals=True)


@pytest.mark.parametrize(
    ("number", "suffix", "content"),
    [(0, ".dcm", b""), (11, ".IMA", b"\0" * 500), (0, ".12", b"\0" * 500), (11, "", None)],
    ids=["empty", "zeros", "zeros-by-number", "cut"],
)
def test_series_with_an_unreadable_slice_is_no_shorter_volume(
    folder, slices, number, suffix, content, caplog
):
    files = [file.rename(file.with_suffix(suffix)) for file in slices]
    damaged = files[number]
    damaged.write_bytes(damaged.read_bytes()[:140] if content is None else content)
    for name in ("DICOMDIR", "README", "README.txt", "scan.json", "README.1"):
        (folder / name).write_text("{}")
    (folder / "notes.txt").touch()
    told = {"rule": "unreadable"}
    told["reason"] = "1 of 12 DICOM files cannot be read; copy the series again"
    assert refusal(folder) == refusal(files[5]) == told
    with pytest.raises(ImageError) as error:
        check_series(damaged)
    assert error.value.exclusion == told
    assert f"number {number + 1} ({damaged.stat().st_size} bytes)" in caplog.text
    assert damaged.name not in caplog.text


def test_echoes_of_one_series_are_told(folder, slices):
    for number, file in enumerate(slices):
        change(file, EchoTime=2.98 + 0.001 * number)  # as anonymisers round
    assert find_series(folder) == slices
    for file in slices[6:]:
        change(file, EchoTime=4.8)
    told = {"rule": "wrong_kind", "reason": "2 echoes (2.98, 4.8 ms); give one of them"}
    assert refusal(folder) == told


def remove(files):
    files[7].unlink()


def cut(files):
    files[7].write_bytes(files[7].read_bytes()[:-60])


def spoil(files):
    files[7].write_bytes(files[7].read_bytes()[:600])


def repeat(files):
    shutil.copy(files[7], files[7].with_name("again.dcm"))


def repeat_all(files):
    for number, file in enumerate(files):
        copy = shutil.copy(file, file.with_name(f"3-{number}.dcm"))
        change(copy, AcquisitionNumber=2)


def move(files):
    position = [float(number) for number in dcmread(files[7]).ImagePositionPatient]
    change(files[7], ImagePositionPatient=[*position[:2], position[2] + 2])


def shear(files):
    for number, file in enumerate(files):
        header = dcmread(file)
        aside = np.array(header.ImageOrientationPatient[:3], float) * number
        change(file, ImagePositionPatient=[*np.array(header.ImagePositionPatient, float) + aside])


def crop(files):
    header = dcmread(files[7])
    change(files[7], Rows=header.Rows - 1, PixelData=header.PixelData[: -2 * header.Columns])


def forget(files):
    header = dcmread(files[7])
    del header.ImagePositionPatient
    header.save_as(files[7])


@pytest.mark.parametrize(
    ("damage", "rule", "reason"),
    [
        (remove, "bad_geometry", "slices are missing: 1 of 12"),
        (cut, "unreadable", "a slice is cut off in the middle; copy it again"),
        (spoil, "unreadable", "1 of 12 DICOM files cannot be read; copy the series again"),
        (
            repeat,
            "bad_geometry",
            "13 slices at 12 places: some are there twice, or others are missing",
        ),
        (repeat_all, "wrong_kind", "24 slices at 12 places: several volumes; give one of them"),
        (move, "bad_geometry", "the slices are not evenly spaced"),
        (shear, "bad_geometry", "each slice is displaced sideways (a tilt)"),
        (crop, "wrong_kind", "the slices are of several sizes"),
        (forget, "bad_geometry", "a slice does not tell where it lies"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_slices_that_are_no_volume(folder, slices, damage, rule, reason):
    damage(slices)
    assert refusal(folder) == {"rule": rule, "reason": reason}


def test_of_several_series_the_one_scan_is_taken(folder, slices, volume):
    for number, tags in enumerate((LOCALIZER, {"Modality": "PR"}), start=5):
        write_series(folder, volume, SeriesNumber=number, **tags)
    assert find_series(folder) == slices
    check_series(folder)
    for file in slices:
        file.unlink()
    told = refusal(folder)
    assert told["rule"] == "other_series"
    assert told["reason"].startswith("none of the 2 series in the folder is a scan: a localizer; ")


def test_of_two_scans_one_must_be_named(folder, slices, volume):
    """Even if one is damaged: the other may be of another contrast."""
    others = write_series(folder, volume, SeriesNumber=3)
    assert refusal(folder)["rule"] == "several_series"
    assert find_series(others[4]) == others
    slices[5].unlink()
    assert refusal(folder)["rule"] == "several_series"
    assert refusal(slices[0])["reason"] == "slices are missing: 1 of 12"
    check_series(slices[0])  # for which the ingest does not open the others


def test_folder_without_slices(tmp_path):
    (tmp_path / "notes.txt").write_text("not DICOM")
    for path in (tmp_path, tmp_path / "notes.txt"):
        assert refusal(path) == {"rule": "no_file", "reason": "there is no DICOM image"}
        with pytest.raises(ImageError):
            check_series(path)
    (tmp_path / "2-0001.dcm").symlink_to(tmp_path / "annex")
    assert "its content is not here" in refusal(tmp_path)["reason"]


def test_all_slices_in_one_file(folder, slices):
    file = join_slices(slices)
    assert find_series(folder) == find_series(file) == [file]
    check_series(folder)
    (folder / "other.dcm").touch()
    assert find_series(file) == [file]
    (folder / "other.dcm").unlink()
    shutil.copy(file, folder / "again.dcm")
    assert refusal(folder)["reason"] == "several volumes: 2 files of many slices each"


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([0, 1, 2, 3, 5, 6, 7], "slices are missing: 1 of 8"),
        (
            [0, 1, 2, 3, 3, 4, 5],
            "7 slices at 6 places: some are there twice, or others are missing",
        ),
        ([0, 1, 2, 0, 1, 2], "6 slices at 3 places: several volumes; give one of them"),
    ],
)
def test_frames_that_are_no_volume(folder, slices, frames, reason):
    """As slices in files of their own are none; dcm2niix would lay them out evenly."""
    copies = [shutil.copy(slices[n], folder / f"3-{at}.dcm") for at, n in enumerate(frames)]
    for file in slices:
        file.unlink()
    join_slices(copies)
    assert refusal(folder)["reason"] == reason


def test_frames_whose_header_does_not_tell_where_they_lie(folder, slices):
    for other in slices[1:]:
        other.unlink()
    change(slices[0], NumberOfFrames=12, PixelData=dcmread(slices[0]).PixelData * 12)
    assert refusal(folder)["reason"] == "a slice does not tell where it lies"
