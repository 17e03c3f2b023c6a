"""Listing of LONI folders."""

from pathlib import Path

import pytest

from pipeline.cohort.loni import DESCRIPTIONS, list_images
from pipeline.stage.errors import InputError

GRADWARP = "MPR__GradWarp__N3"


def add(folder: Path, path: str) -> str:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).touch()
    return path


def scan(
    description: str = GRADWARP,
    ptid: str = "023_S_0030",
    time: str = "2006-03-09_10_22_33.0",
    number: int = 7,
    end: str = ".nii",
) -> str:
    return f"{ptid}/{description}/{time}/S{number}/ADNI_{ptid}_MR_{description}_I{number}{end}"


def only(folder: Path) -> dict:
    (row,) = list_images(folder).to_dict("records")
    return row


@pytest.mark.parametrize("end", [".nii", ".nii.gz"])
def test_image(tmp_path, end):
    path = add(tmp_path, scan(end=end))
    row = only(tmp_path)
    assert row["source"] == path
    assert (row["ptid"], row["rid"], row["date"]) == ("023_S_0030", 30, "2006-03-09")
    assert row["reason"] == ""


def test_other_files_are_no_images(tmp_path):
    path = add(tmp_path, scan())
    folder = str(Path(path).parent)
    for name in ("ADNI_023_S_0030_I7.xml", "._ADNI_023_S_0030_MR_I7.nii", ".DS_Store"):
        add(tmp_path, f"{folder}/{name}")
    assert only(tmp_path)["source"] == path


def test_preference():
    # GradWarp before all else, then MT1, then the B1 correction.
    def key(description: str) -> tuple[bool, ...]:
        return tuple(part not in description for part in ("GradWarp", "MT1", "B1"))

    assert sorted(DESCRIPTIONS, key=key) == list(DESCRIPTIONS)
    assert len(DESCRIPTIONS) == 5


def test_rank_follows_description_then_time_then_image_number(tmp_path):
    later = "2006-03-09_11_00_00.0"
    expected = [
        scan("MT1__GradWarp__N3m", number=99, time=later),
        scan(GRADWARP, number=11),
        scan(GRADWARP, number=100),
        scan(GRADWARP, number=9, time=later),
        scan("MPR____N3", number=1),
    ]
    for path in expected:
        add(tmp_path, path)
    assert list_images(tmp_path).sort_values("rank")["source"].tolist() == expected


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (scan("MPR-R____N3"), "the description is not among those used: MPR-R____N3"),
        (scan(time="unknown"), "the image's folder does not begin with a date"),
        (scan(time="2006-02-30_10_22_33.0"), "the image's folder does not begin with a date"),
        (scan(time="2006-02-011_10_22_33.0"), "the image's folder does not begin with a date"),
        (scan(ptid="23_S_30"), "not in a folder <site>_S_<rid>"),
        (f"ADNI/{scan()}", "not in a folder <site>_S_<rid>"),
        ("ADNI_023_S_0030_MR_I7.nii", "not in a folder <site>_S_<rid>"),
        (scan().replace("/S7/", "/7/"), "not in a folder <site>_S_<rid>"),
        (scan().replace("_I7", ""), "the file name is not ADNI_<site>_S_<rid>"),
        (scan().replace("ADNI_023_S_0030", "ADNI_023_S_0031"), "different subjects"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, path, reason):
    add(tmp_path, path)
    row = only(tmp_path)
    assert row["source"] == path
    assert reason in row["reason"]


def test_linked_folders_are_followed_and_loops_end(tmp_path):
    real = add(tmp_path / "store", scan())
    archive = tmp_path / "ADNI"
    archive.mkdir()
    (archive / "023_S_0030").symlink_to(tmp_path / "store" / "023_S_0030")
    assert only(archive)["source"] == real
    (archive / "loop").symlink_to(archive)
    assert (list_images(archive)["reason"] == "").sum() == 1


def test_folder_without_images(tmp_path):
    (tmp_path / "023_S_0030").mkdir()
    with pytest.raises(InputError, match="holds no NIfTI file and no DICOM slice"):
        list_images(tmp_path)


def test_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"cannot read the folder .*gone"):
        list_images(tmp_path / "gone")


def test_originals_are_a_choice_of_their_own(tmp_path):
    """A first scan before a repeated one, then what is not accelerated."""
    expected = [
        scan("MP-RAGE", number=20),
        scan("Sag_IR-SPGR", number=21),
        scan("MPRAGE_GRAPPA2", number=2),
        scan("Accelerated_Sag_IR-FSPGR", number=3),
        scan("MP-RAGE_REPEAT", number=1),
    ]
    for path in [*expected, scan(), scan("FLAIR")]:
        add(tmp_path, path)
    images = list_images(tmp_path, "original").sort_values("rank")
    assert images[images["rule"] == ""]["source"].tolist() == expected
    left_out = set(images[images["rule"] != ""]["source"])
    assert left_out == {scan(), scan("FLAIR")}
    used = list_images(tmp_path)
    assert used[used["rule"] == ""]["source"].tolist() == [scan()]


def test_folder_of_an_image_may_begin_with_its_number(tmp_path):
    add(tmp_path, scan(number=7).replace("/S7/", "/I7/"))
    assert only(tmp_path)["reason"] == ""
