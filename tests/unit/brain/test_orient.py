import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.small_study import small_brain
from nibabel.affines import apply_affine
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from pipeline.brain.orient import header_contradiction, orient_volume
from pipeline.stage.errors import ImageError

SHAPE = (20, 24, 22)
AFFINE = np.array([[9.0, 0, 0, -80], [0, 7, 0, -90], [0, 0, 8, -70], [0, 0, 0, 1]]) * 0.8
AFFINE[3, 3] = 1


def values() -> np.ndarray:
    return np.random.default_rng(1).integers(1, 900, SHAPE).astype(np.int16)


def image_of(data: np.ndarray, affine: np.ndarray = AFFINE) -> nib.Nifti1Image:
    return nib.Nifti1Image(data, affine)


def refusal(tmp_path: Path, source: Path) -> str:
    """Reason for which a file is refused; nothing may be written, no path be told."""
    destination = tmp_path / "out.nii.gz"
    with pytest.raises(ImageError) as caught:
        orient_volume(source, destination)
    assert not destination.exists()
    reason = str(caught.value)
    assert str(tmp_path) not in reason and source.name not in reason
    return reason


def refusal_with_affine(tmp_path: Path, affine: np.ndarray) -> str:
    """As `refusal`, with an sform that nibabel would not write."""
    raw = image_of(values()).to_bytes()
    source = tmp_path / "source.nii"
    source.write_bytes(raw[:280] + affine[:3].astype("<f4").tobytes() + raw[328:])
    return refusal(tmp_path, source)


def refusal_of(tmp_path: Path, image: nib.Nifti1Image) -> str:
    source = tmp_path / "source.nii.gz"
    nib.save(image, source)
    return refusal(tmp_path, source)


@pytest.mark.parametrize("axes", ["RAS", "LPS", "PIR", "ASL", "IPR", "SRA"])
def test_values_keep_their_place_in_mm(tmp_path: Path, axes: str) -> None:
    plain = image_of(values())
    turned = plain.as_reoriented(ornt_transform(io_orientation(AFFINE), axcodes2ornt(tuple(axes))))
    source = tmp_path / "raw scan 'a' $(x).nii"
    nib.save(turned, source)
    facts = orient_volume(source, tmp_path / "out.nii.gz")
    result = nib.load(tmp_path / "out.nii.gz")
    assert facts["axes"] == axes
    assert nib.aff2axcodes(result.affine) == ("R", "A", "S")
    np.testing.assert_array_equal(result.get_fdata(), plain.get_fdata())
    np.testing.assert_allclose(result.affine, AFFINE, atol=1e-4)
    assert result.get_data_dtype() == np.float32


def test_stale_qform_is_replaced(tmp_path: Path) -> None:
    image = image_of(values())
    image.set_qform(np.diag([-5.0, 5, 5, 1]), 1)
    nib.save(image, tmp_path / "raw.nii")
    orient_volume(tmp_path / "raw.nii", tmp_path / "out.nii.gz")
    result = nib.load(tmp_path / "out.nii.gz")
    qform, qcode = result.get_qform(coded=True)
    sform, scode = result.get_sform(coded=True)
    assert qcode == scode == 1
    np.testing.assert_allclose(qform, sform, atol=1e-4)


def test_header_that_contradicts_itself(tmp_path: Path) -> None:
    plain = image_of(values())
    nib.save(plain, tmp_path / "plain.nii")
    assert orient_volume(tmp_path / "plain.nii", tmp_path / "out.nii.gz")["contradiction"] == ""
    mirrored = np.diag([-1, 1, 1, 1]) @ AFFINE
    plain.set_qform(mirrored, 1)
    nib.save(plain, tmp_path / "both.nii")
    said = orient_volume(tmp_path / "both.nii", tmp_path / "out.nii.gz")["contradiction"]
    assert said == "the header contradicts itself: RAS by its sform, LAS by its qform"
    plain.set_sform(None, 0)
    nib.save(plain, tmp_path / "one.nii")
    assert orient_volume(tmp_path / "one.nii", tmp_path / "out.nii.gz")["contradiction"] == ""


def test_damaged_qform_is_no_other_orientation() -> None:
    header = image_of(values()).header
    header["qform_code"] = 1
    header["quatern_b"] = 7  # no unit quaternion
    assert header_contradiction(header) == ""


def test_oblique_scan_keeps_its_angles(tmp_path: Path) -> None:
    turn = nib.eulerangles.euler2mat(0.2, -0.1, 0.15)
    affine = AFFINE.copy()
    affine[:3, :3] = turn @ AFFINE[:3, :3]
    nib.save(image_of(values(), affine), tmp_path / "raw.nii")
    orient_volume(tmp_path / "raw.nii", tmp_path / "out.nii.gz")
    result = nib.load(tmp_path / "out.nii.gz")
    corner = np.array(SHAPE) - 1
    np.testing.assert_allclose(
        apply_affine(result.affine, corner), apply_affine(affine, corner), atol=1e-3
    )


def test_trailing_single_dimensions_are_dropped(tmp_path: Path) -> None:
    nib.save(image_of(values()[..., None, None]), tmp_path / "raw.nii.gz")
    orient_volume(tmp_path / "raw.nii.gz", tmp_path / "out.nii.gz")
    assert nib.load(tmp_path / "out.nii.gz").shape == SHAPE


def test_values_are_those_that_the_scale_of_the_header_gives(tmp_path: Path) -> None:
    raw = bytearray(image_of(values()).to_bytes())
    raw[112:120] = np.array([0.5, -20], "<f4").tobytes()  # scl_slope and scl_inter
    (tmp_path / "raw.nii").write_bytes(raw)
    orient_volume(tmp_path / "raw.nii", tmp_path / "out.nii.gz")
    result = nib.load(tmp_path / "out.nii.gz").get_fdata()
    np.testing.assert_array_equal(result, values() * 0.5 - 20)


def test_handedness_of_the_file_changes_no_side(tmp_path: Path) -> None:
    """The same head, its voxels from right to left and from left to right."""
    plain = image_of(values())
    mirrored = plain.as_reoriented(ornt_transform(io_orientation(AFFINE), axcodes2ornt("LAS")))
    assert np.linalg.det(plain.affine) * np.linalg.det(mirrored.affine) < 0
    for name, image in {"plain": plain, "mirrored": mirrored}.items():
        nib.save(image, tmp_path / f"{name}.nii")
        orient_volume(tmp_path / f"{name}.nii", tmp_path / f"{name}.nii.gz")
    found = [nib.load(tmp_path / f"{name}.nii.gz") for name in ("plain", "mirrored")]
    np.testing.assert_array_equal(found[0].get_fdata(), found[1].get_fdata())
    np.testing.assert_allclose(found[0].affine, found[1].affine, atol=1e-4)


def test_mask_and_ct_are_refused_with_the_remedy(tmp_path: Path) -> None:
    mask = image_of((values() > 500).astype(np.uint8))
    assert refusal_of(tmp_path, mask) == "two values alone: a mask; give the scan itself"
    ct = image_of(np.where(values() > 500, values(), -1000).astype(np.int16))
    assert refusal_of(tmp_path, ct).endswith("in Hounsfield units: a CT; give a T1 MRI")


def test_brain_without_its_skull_is_refused_with_the_remedy(tmp_path: Path) -> None:
    small_brain(tmp_path / "brain.nii.gz")
    assert refusal(tmp_path, tmp_path / "brain.nii.gz") == (
        "the skull is gone; give the original scan, or say prepared: skull_stripped"
    )


def test_same_input_gives_same_bytes(tmp_path: Path) -> None:
    nib.save(image_of(values()), tmp_path / "raw.nii.gz")
    for name in ("a.nii.gz", "b.nii.gz"):
        orient_volume(tmp_path / "raw.nii.gz", tmp_path / name)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_missing_and_empty_files(tmp_path: Path) -> None:
    assert refusal(tmp_path, tmp_path / "absent.nii") == "the file is missing"
    (tmp_path / "none.nii").touch()
    assert refusal(tmp_path, tmp_path / "none.nii") == "the file is empty; copy it again"


def test_truncated_file_tells_both_sizes(tmp_path: Path) -> None:
    source = tmp_path / "source.nii"
    nib.save(image_of(np.zeros((128, 128, 128), np.int16), np.diag([2.0, 2, 2, 1])), source)
    source.write_bytes(source.read_bytes()[:1_200_000])
    assert refusal(tmp_path, source) == (
        "truncated: the file holds 1.2 MB where the header announces 4.2 MB; copy it again"
    )


@pytest.mark.parametrize("held", [100, 348, 352])
def test_file_cut_within_its_header(tmp_path: Path, held: int) -> None:
    source = tmp_path / "source.nii"
    nib.save(image_of(values()), source)
    source.write_bytes(source.read_bytes()[:held])
    assert "truncated" in refusal(tmp_path, source) or held < 348


def test_truncated_and_damaged_gzip(tmp_path: Path) -> None:
    source = tmp_path / "source.nii.gz"
    nib.save(image_of(values()), source)
    whole = source.read_bytes()
    source.write_bytes(whole[: len(whole) // 2])
    assert refusal(tmp_path, source).startswith("truncated")
    # A single wrong byte in the data, which only the checksum tells.
    middle = len(whole) // 2
    source.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    assert refusal(tmp_path, source).startswith(("damaged", "truncated"))


def test_gzip_of_fewer_voxels_than_announced(tmp_path: Path) -> None:
    nib.save(image_of(values()), tmp_path / "whole.nii")
    source = tmp_path / "source.nii.gz"
    source.write_bytes(gzip.compress((tmp_path / "whole.nii").read_bytes()[:5000]))
    assert refusal(tmp_path, source).startswith("truncated")


@pytest.mark.parametrize("name", ["source.nii", "source.nii.gz", "source.dcm"])
@pytest.mark.parametrize("size", [40, 4000])
def test_not_nifti(tmp_path: Path, name: str, size: int) -> None:
    (tmp_path / name).write_bytes(b"not an image" * (size // 12))
    assert refusal(tmp_path, tmp_path / name).startswith(("not a ", "damaged"))


def test_mgh_is_oriented_as_nifti_is(tmp_path: Path) -> None:
    nib.save(nib.MGHImage(values(), AFFINE), tmp_path / "a.mgz")
    nib.save(image_of(values()), tmp_path / "b.nii")
    facts = [orient_volume(tmp_path / name, tmp_path / "out.nii.gz") for name in ("a.mgz", "b.nii")]
    assert facts[0] == facts[1]


def test_several_volumes(tmp_path: Path) -> None:
    series = np.stack([values()] * 3, axis=-1)
    assert (
        refusal_of(tmp_path, image_of(series))
        == "4D: holds 3 volumes instead of one; give one of them"
    )


def test_single_slice(tmp_path: Path) -> None:
    assert refusal_of(tmp_path, image_of(values()[:, :, 0])).startswith("2D")
    thin = refusal_of(tmp_path, image_of(values()[:, :, :1]))
    assert "field of view" in thin


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_voxel_that_is_not_finite(tmp_path: Path, bad: float) -> None:
    data = values().astype(np.float32)
    data[3, 4, 5] = bad
    reason = refusal_of(tmp_path, image_of(data))
    assert reason == f"voxels are NaN or infinite: 1 of {data.size}"


def test_too_large_for_float32(tmp_path: Path) -> None:
    data = values().astype(np.float64)
    data[0, 0, 0] = 1e300
    assert "NaN or infinite" in refusal_of(tmp_path, image_of(data))


def test_volume_without_contrast(tmp_path: Path) -> None:
    zeros = np.zeros(SHAPE, np.int16)
    assert refusal_of(tmp_path, image_of(zeros)) == "all voxels are zero"
    assert refusal_of(tmp_path, image_of(zeros + 7)) == "all voxels are the same"


def test_colours_and_complex_numbers(tmp_path: Path) -> None:
    colour = np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    assert "grey values" in refusal_of(tmp_path, image_of(colour))
    assert "grey values" in refusal_of(tmp_path, image_of(values().astype(np.complex64)))


def test_orientation_is_not_guessed(tmp_path: Path) -> None:
    image = image_of(values())
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    assert "codes are 0" in refusal_of(tmp_path, image)


@pytest.mark.parametrize(
    ("affine", "reason"),
    [
        (np.diag([0.0, 7, 8, 1]), "singular"),
        (np.diag([np.nan, 7, 8, 1]), "not finite"),
        (np.diag([50.0, 7, 8, 1]), "impossible voxel size 50 x 7 x 8 mm"),
        (np.diag([0.001, 7, 8, 1]), "impossible voxel size"),
        (np.diag([1.0, 1, 1, 1]), "field of view of 20 x 24 x 22 mm"),
    ],
)
def test_impossible_geometry(tmp_path: Path, affine: np.ndarray, reason: str) -> None:
    assert reason in refusal_with_affine(tmp_path, affine)


def test_sheared_grid(tmp_path: Path) -> None:
    affine = AFFINE.copy()
    affine[0, 1] = 1.5
    assert "sheared" in refusal_with_affine(tmp_path, affine)
    affine[:3, 1] = affine[:3, 0]
    assert "singular" in refusal_with_affine(tmp_path, affine)


@pytest.mark.filterwarnings("ignore")
def test_damaged_headers_are_refused_or_read(tmp_path: Path) -> None:
    """Random bytes in the header end in a reason or in a valid volume, never in another error."""
    rng = np.random.default_rng(0)
    whole = bytearray(image_of(values()).to_bytes())
    refused = 0
    for _ in range(60):
        damaged = whole.copy()
        for place in rng.integers(0, 348, 12):
            damaged[place] = rng.integers(256)
        source = tmp_path / "source.nii"
        source.write_bytes(damaged)
        try:
            orient_volume(source, tmp_path / "out.nii")
        except ImageError:
            refused += 1
        else:
            assert np.isfinite(nib.load(tmp_path / "out.nii").get_fdata()).all()
    assert refused > 20


def test_content_is_that_of_the_voxels(tmp_path: Path) -> None:
    """Neither name, compression, type nor order of the axes makes another image of it."""
    plain = image_of(values())
    axes = ornt_transform(io_orientation(AFFINE), axcodes2ornt(tuple("PIR")))
    same = {"a.nii": plain, "b.nii.gz": plain, "c.nii": plain.as_reoriented(axes)}
    same["d.nii"] = image_of(values().astype(np.float64))
    contents = set()
    for name, image in same.items():
        nib.save(image, tmp_path / name)
        contents.add(orient_volume(tmp_path / name, tmp_path / "out.nii.gz")["content"])
    assert len(contents) == 1
    other = values()
    other[0, 0, 0] += 1
    nib.save(image_of(other), tmp_path / "e.nii")
    assert orient_volume(tmp_path / "e.nii", tmp_path / "out.nii.gz")["content"] not in contents
