"""Scans as people have them."""

import gzip
import struct
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Extension

from pipeline.brain.scan import read_scan
from pipeline.stage.errors import ImageError
from pipeline.stage.rules import Rule

SHAPE = (48, 56, 50)
AFFINE = np.array([[4.0, 0, 0, -90], [0, 4, 0, -100], [0, 0, 4, -95], [0, 0, 0, 1]])


def values() -> np.ndarray:
    return np.random.default_rng(1).integers(1, 900, SHAPE).astype(np.int16)


def head() -> np.ndarray:
    """An ellipsoid with a neck and ears in a background of NaN."""
    x, y, z = (np.indices(SHAPE) - np.reshape(np.array(SHAPE) / 2, (3, 1, 1, 1))) * 4
    inside = (x / 75) ** 2 + (y / 95) ** 2 + (z / 85) ** 2 < 1
    inside |= (np.hypot(x, y + 10) < 50) & (z < 0)
    inside |= (np.abs(np.abs(x) - 82) < 5) & (np.hypot(y, z) < 25)  # beside a narrow gap
    return np.where(inside, values(), np.nan).astype(np.float32)


def written(path: Path, data: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nib.save(nib.Nifti1Image(data, affine), path)
    return path


def refusal(source: Path) -> tuple[Rule, str]:
    with pytest.raises(ImageError) as caught:
        read_scan(source)
    rule, reason = caught.value.args
    assert str(source.parent) not in reason and source.name not in reason
    return rule, reason


def assert_read(source: Path, data: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    scan = read_scan(source)
    np.testing.assert_array_equal(np.asarray(scan.dataobj), data)
    assert scan.get_data_dtype().newbyteorder("=") == np.float32
    np.testing.assert_allclose(scan.affine, affine, atol=1e-4)


def test_gzip_by_content_not_by_name(tmp_path):
    plain = written(tmp_path / "a.nii", values())
    packed = written(tmp_path / "a.nii.gz", values())
    assert_read(plain.rename(tmp_path / "plain.nii.gz"), values())
    assert_read(packed.rename(tmp_path / "packed.nii"), values())


@pytest.mark.parametrize("name", ["SCAN.NII", "SCAN.NII.GZ", "scan", "scan.img"])
def test_the_name_does_not_matter(tmp_path, name):
    assert_read(written(tmp_path / "a.nii", values()).rename(tmp_path / name), values())


@pytest.mark.parametrize("suffix", ["mgz", "mgh"])
def test_mgh(tmp_path, suffix):
    nib.save(nib.MGHImage(values(), AFFINE), tmp_path / f"scan.{suffix}")
    assert_read(tmp_path / f"scan.{suffix}", values())


def test_mgh_without_orientation_is_refused(tmp_path):
    image = nib.MGHImage(values(), AFFINE)
    image.header["goodRASFlag"] = 0
    nib.save(image, tmp_path / "scan.mgz")
    assert refusal(tmp_path / "scan.mgz")[0] == Rule.BAD_GEOMETRY


def test_nifti2_and_big_endian(tmp_path):
    nib.save(nib.Nifti2Image(values(), AFFINE), tmp_path / "two.nii")
    assert_read(tmp_path / "two.nii", values())
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    nib.save(nib.Nifti1Image(values(), AFFINE, header), tmp_path / "big.nii")
    assert_read(tmp_path / "big.nii", values())


@pytest.mark.parametrize(("unit", "scale"), [("meter", 1000), ("micron", 0.001)])
def test_affine_in_another_unit(tmp_path, unit, scale):
    image = nib.Nifti1Image(values(), np.diag([1 / scale] * 3 + [1]) @ AFFINE)
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "scan.nii")
    scan = read_scan(tmp_path / "scan.nii")
    np.testing.assert_allclose(scan.affine, AFFINE, atol=1e-4)
    assert scan.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(scan.header.get_best_affine(), AFFINE, atol=1e-4)


def test_a_wrong_unit_is_not_believed(tmp_path):
    image = nib.Nifti1Image(values(), AFFINE)
    image.header.set_xyzt_units("meter")
    nib.save(image, tmp_path / "scan.nii")
    assert_read(tmp_path / "scan.nii", values())


@pytest.mark.parametrize(
    "text",
    [b"\x10\0\x10\0\xff\xfe\xff\xfe" * 4, b"", b"no DICOM"],
    ids=["broken", "empty", "text"],
)
def test_what_a_header_says_in_dicom_is_not_looked_at(tmp_path, text):
    image = nib.Nifti1Image(values(), AFFINE)
    image.header.extensions.append(Nifti1Extension(2, text))
    nib.save(image, tmp_path / "scan.nii.gz")
    # nibabel reads such an extension where it finds pydicom, as it does when that is imported.
    code = (
        "import sys, pathlib, pydicom; from pipeline.brain.scan import read_scan;"
        "print(read_scan(pathlib.Path(sys.argv[1])).get_fdata().sum())"
    )
    command = [sys.executable, "-c", code, tmp_path / "scan.nii.gz"]
    read = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert float(read) == values().sum()


def test_background_that_is_nan_becomes_zero(tmp_path):
    data = head()
    assert_read(written(tmp_path / "scan.nii.gz", data), np.nan_to_num(data))


def test_what_lies_outside_the_scan_after_resampling_becomes_zero(tmp_path):
    data = values().astype(np.float32)
    x, y, _ = np.indices(SHAPE)
    data[x + y < 20] = np.nan  # a corner of a turned field of view
    data[:, :, -3:] = np.nan
    assert_read(written(tmp_path / "scan.nii", data), np.nan_to_num(data))


def cut_away(data: np.ndarray, place: str) -> None:
    middle = tuple(np.array(SHAPE) // 2)
    match place:
        case "voxel":
            data[middle] = np.nan
        case "slice":
            data[:, :, middle[2]] = np.nan
        case "slices":
            data[:, middle[1] : middle[1] + 4] = np.nan
        case "channel":  # from the surface to the middle
            data[: middle[0], middle[1] - 1 : middle[1] + 1, middle[2] - 1 : middle[2] + 1] = np.nan


@pytest.mark.parametrize("place", ["voxel", "slice", "slices", "channel"])
def test_nan_in_the_brain_stays(tmp_path, place):
    data = head()
    cut_away(data, place)
    scan = np.asarray(read_scan(written(tmp_path / "scan.nii", data)).dataobj)
    assert np.isnan(scan[SHAPE[0] // 2 - 1 : SHAPE[0] // 2 + 1]).any()


def test_pointers_to_content_that_was_not_fetched(tmp_path):
    link = tmp_path / "link.nii.gz"
    link.symlink_to(".git/annex/objects/xx")
    for name, text in (
        ("lfs.nii", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"),
        ("annex.nii.gz", "/annex/objects/MD5E-s9--00.nii.gz\n"),
    ):
        (tmp_path / name).write_text(text)
    for name in ("link.nii.gz", "lfs.nii", "annex.nii.gz"):
        rule, reason = refusal(tmp_path / name)
        assert rule == Rule.NO_FILE
        assert "datalad get" in reason


def test_formats_that_do_not_tell_enough_name_the_remedy(tmp_path):
    nib.save(nib.Nifti1Pair(values(), AFFINE), tmp_path / "pair.img")
    assert "convert both to one .nii" in refusal(tmp_path / "pair.hdr")[1]
    nib.save(nib.AnalyzeImage(values(), AFFINE), tmp_path / "old.img")
    assert "does not tell left from right" in refusal(tmp_path / "old.hdr")[1]


def test_header_that_announces_too_much(tmp_path):
    source = written(tmp_path / "scan.nii", values())
    raw = bytearray(source.read_bytes())
    raw[42:48] = struct.pack("<3h", 700, 700, 700)
    raw[280:328] = np.diag([1.0, 1, 1, 1])[:3].astype("<f4").tobytes()
    source.write_bytes(gzip.compress(bytes(raw)))
    assert refusal(source) == (
        Rule.BAD_GEOMETRY,
        "the header announces 700 x 700 x 700 voxels",
    )


def test_compressed_data_without_end(tmp_path):
    raw = written(tmp_path / "scan.nii", values()).read_bytes()
    source = tmp_path / "scan.nii.gz"
    with gzip.open(source, "wb", compresslevel=1) as file:
        file.write(raw)
        for _ in range(70):
            file.write(bytes(2**20))
    assert refusal(source)[1].startswith("damaged: the compressed data hold far more")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["nii", "nii.gz", "mgh", "mgz"])
def test_damaged_files_are_refused_or_read(tmp_path, kind):
    """Bytes changed, cut and repeated end in a reason or in a volume, never in another error."""
    rng = np.random.default_rng(0)
    image = nib.MGHImage if kind.startswith("m") else nib.Nifti1Image
    source = tmp_path / f"scan.{kind}"
    nib.save(image(values()[::2, ::2, ::2].astype(np.float32), AFFINE * [[2, 2, 2, 1]]), source)
    whole = source.read_bytes()
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(0, rng.choice([400, len(whole)]), rng.integers(1, 9)):
            damaged[place] = rng.choice([0, 1, 127, 128, 255, rng.integers(256)])
        source.write_bytes(damaged[: rng.choice([len(whole), rng.integers(len(whole))])])
        try:
            read_scan(source)
        except ImageError:
            refused += 1
    assert refused > 20
