"""Series of DICOM slices among the scans of an archive."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from helpers.dicom_series import write_series
from helpers.film_files import make_dicom, ramp_film
from helpers.made_up_adni import Archive

from pipeline.cohort.adni import ingest_adni
from pipeline.cohort.facts import cohort_facts
from pipeline.cohort.ingest import write_cohort
from pipeline.cohort.loni import list_images
from pipeline.cohort.plain import ingest_manifest
from pipeline.cohort.scans import is_series, scan_state
from pipeline.cohort.shared_list import cohort_list

VOLUME = nib.Nifti1Image(np.zeros((4, 4, 12), np.int16), np.diag([2.0, 2, 2, 1]))
LABELS = {"column": "group", "healthy": ["MCI"], "diseased": ["AD"]}
SPLITS = {"seed": 0, "fractions": {"train": 0.5, "validation": 0.25, "test": 0.25}}
ROWS = [(f"S{n}", f"v{v}", group) for n in range(4) for v, group in enumerate(("MCI", "AD"))]


def test_a_series_is_named_by_its_folder_or_a_file(tmp_path):
    (file, *_) = write_series(tmp_path / "S7", VOLUME)
    bare = file.rename(file.with_suffix(""))
    nib.save(VOLUME, tmp_path / "scan.nii")
    (tmp_path / "notes.txt").write_text("none")
    (tmp_path / "empty.DCM").touch()
    named = ["S7", bare.relative_to(tmp_path), "empty.DCM", "scan.nii", "notes.txt", "x.dcm"]
    assert [is_series(tmp_path / name) for name in named] == [True] * 3 + [False] * 3


def test_state_of_a_series_follows_each_of_its_slices(tmp_path):
    files = write_series(tmp_path / "S7", VOLUME)
    before = scan_state(tmp_path / "S7")
    assert scan_state(files[0]) == before
    files[5].write_bytes(files[5].read_bytes() + b"\0")
    changed = scan_state(tmp_path / "S7")
    files[6].unlink()
    assert len({before, changed, scan_state(tmp_path / "S7")}) == 3


@pytest.fixture
def table(tmp_path):
    """A table of four subjects, whose scans are series in folders of their own."""
    rows = pd.DataFrame(ROWS, columns=["subject", "session", "group"])
    rows["path"] = rows["subject"] + "/" + rows["session"]
    for path in rows["path"]:
        write_series(tmp_path / path, VOLUME)
    return rows


def ingest(folder, rows, modality="brain"):
    rows.to_csv(folder / "ward.csv", index=False)
    settings = {"splits": SPLITS, "labels": LABELS, "modality": modality}
    return ingest_manifest(folder / "ward.csv", folder, **settings)


def test_table_of_series(tmp_path, table):
    """Named by their folder, by a file, or beside volumes; what is no scan has its reason."""
    table.loc[0, "path"] = "S0/v0/2-0003.dcm"
    nib.save(VOLUME, tmp_path / "scan.nii")
    table.loc[1, "path"] = "scan.nii"
    write_series(tmp_path / "odd/localizer", VOLUME, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    make_dicom(tmp_path / "odd/film.dcm", ramp_film())
    (tmp_path / "odd/empty").mkdir()
    odd = ["localizer", "film.dcm", "empty", "absent"]
    more = pd.DataFrame({"subject": "S0", "session": odd, "path": [f"odd/{name}" for name in odd]})
    cohort = ingest(tmp_path, pd.concat([table, more.assign(group="AD")], ignore_index=True))
    assert len(cohort.manifest) == len(table)
    assert set(cohort.manifest["path"]) == {str(tmp_path / path) for path in table["path"]}
    told = cohort.exclusions.set_index("session")[["rule", "reason"]]
    assert told.loc["localizer"].tolist() == ["other_series", "a localizer"]
    assert told.loc["filmdcm"].tolist() == ["wrong_kind", "not MRI by the modality of its header"]
    assert told.loc["empty"].tolist() == ["no_file", "there is no DICOM image"]
    assert told.loc["absent"].tolist() == ["no_file", "there is no file of this path"]


def test_one_series_under_two_names_is_of_nobody(tmp_path, table):
    (tmp_path / "link").symlink_to(tmp_path / "S1/v1")
    table.loc[len(table)] = ("S2", "v9", "AD", "link")
    cohort = ingest(tmp_path, table)
    assert cohort.exclusions["rule"].tolist() == ["shared_content"] * 2


def test_folder_is_no_film(tmp_path, table):
    table.loc[1:, "path"] = [f"{number}.dcm" for number in table.index[1:]]
    for path in table["path"][1:]:
        make_dicom(tmp_path / path, ramp_film())
    cohort = ingest(tmp_path, table, "chest")
    assert cohort.exclusions["rule"].tolist() == ["no_file"]


def test_bytes_of_a_series_are_those_of_its_slices(tmp_path, table):
    write_cohort(ingest(tmp_path, table), tmp_path / "ingest")
    facts = cohort_facts(tmp_path / "ingest", [tmp_path / "ward.csv"], volumes=True)
    slices = sum(path.stat().st_size for path in tmp_path.glob("S*/*/*.dcm"))
    assert facts["archive"]["image_bytes"] == slices


DAY = "2006-03-09_10_22_33.0"


def loni(folder: Path, description: str, number: int, **tags: object) -> str:
    """A series as LONI lays it out; the slice that stands for it."""
    place = folder / "023_S_0030" / description / DAY / f"S{number}"
    names = [
        file.rename(place / f"ADNI_023_S_0030_MR_{description}_br_raw_{slice_:03}_S1_I{number}.dcm")
        for slice_, file in enumerate(write_series(place, VOLUME, **tags))
    ]
    return str(names[0].relative_to(folder))


def test_originals_of_loni(tmp_path):
    first = loni(tmp_path, "MP-RAGE", 7)
    again = loni(tmp_path, "MP-RAGE_REPEAT", 8)
    loni(tmp_path, "Localizer", 5)
    volume = first.replace("S7", "S6").replace("_000_S1_I7.dcm", "_I7.nii")
    (tmp_path / volume).parent.mkdir()
    (tmp_path / volume).touch()
    images = list_images(tmp_path, "original").sort_values("rank")
    assert images[images["rule"] == ""]["source"].tolist() == [volume, first, again]
    assert images["rule"].tolist().count("other_series") == 1
    assert set(list_images(tmp_path)["rule"]) == {"other_series"}


def test_series_of_an_exam_that_are_none_leave_it_to_the_next(tmp_path):
    """The one that would be preferred is derived; the image's number comes from its slices."""
    archive = Archive()
    for rid in (2, 4, 6, 8):
        for visit, day, code in (("bl", "2006-01-02", 2), ("m12", "2007-01-02", 3)):
            archive.exam(rid, visit, day, description="MP-RAGE")
            archive.diagnosis(rid, visit, code)
    archive.exam(30, "bl", "2006-03-09", description=None)
    archive.diagnosis(30, "bl", 2)
    archive.write(tmp_path / "ADNI", tmp_path / "tables")
    loni(tmp_path / "ADNI", "MP-RAGE", 7, ImageType=["DERIVED", "PRIMARY", "MPR"])
    used = loni(tmp_path / "ADNI", "MP-RAGE_REPEAT", 8)
    cohort = ingest_adni(tmp_path / "ADNI", tmp_path / "tables", splits=SPLITS, series="original")
    (row,) = cohort.manifest[cohort.manifest["subject"] == "023S0030"].to_dict("records")
    assert row["path"] == str(tmp_path / "ADNI" / used)
    (left_out,) = cohort.exclusions[cohort.exclusions["subject"] == "023S0030"]["reason"]
    assert left_out == "derived from other images, no original"
    listed = cohort_list(cohort, cohort.exclusions, {}).set_index("subject")
    assert listed.loc["023S0030", "image"] == "I8"
