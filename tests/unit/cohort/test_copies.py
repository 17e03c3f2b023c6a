"""One image under several names."""

import numpy as np
import pandas as pd
import pytest
from helpers.film_files import ramp_film
from helpers.made_up_adni import Archive
from helpers.made_up_bids import write_bids_dataset
from PIL import Image

from pipeline.cohort.adni import ingest_adni
from pipeline.cohort.bids import ingest_bids
from pipeline.cohort.copd import ingest_copd
from pipeline.cohort.copies import find_copies, reject_copies, same_files
from pipeline.cohort.plain import ingest_manifest
from pipeline.stage.content import content_hash

LABELS = {"column": "group", "healthy": ["MCI"], "diseased": ["AD"]}
SPLITS = {"seed": 0, "fractions": {"train": 0.0, "validation": 0.5, "test": 0.5}}


def told(cohort):
    rows = cohort.exclusions[cohort.exclusions["rule"].isin(["shared_content", "copy"])]
    return {row.source: (row.rule, row.reason) for row in rows.itertuples()}


def test_shared_by_subjects_all_go_and_of_one_subject_the_first_stays():
    rows = [("a", "x"), ("b", "x"), ("a", "x"), ("c", "y"), ("c", "y"), ("d", ""), ("e", "")]
    images = pd.DataFrame(rows, columns=["subject", "content"]).assign(rule="", reason="")
    reject_copies(images, images["content"], pd.Series([f"row {n}" for n in range(len(rows))]))
    assert images[["rule", "reason"]].to_numpy().tolist() == [
        ["shared_content", "the same image as row 1"],
        ["shared_content", "the same image as row 0"],
        ["shared_content", "the same image as row 1"],
        ["", ""],
        ["copy", "the same image as row 3"],
        ["", ""],
        ["", ""],
    ]


@pytest.mark.parametrize(
    ("gone", "left_out"),
    [
        ({}, {("a", "2"), ("b", "1"), ("c", "1")}),
        # The user's list tells of which subject an image is.
        ({("c", "1"): {"rule": "dropped"}}, {("a", "2")}),
        # A stage's or a check's exclusion of it does not.
        ({("c", "1"): {"rule": "suspect"}}, {("a", "2"), ("b", "1"), ("c", "1")}),
        ({("a", "1"): {"rule": "suspect"}}, {("a", "1"), ("b", "1"), ("c", "1")}),
    ],
)
def test_copies_of_a_data_set(gone, left_out):
    rows = [("a", "2", 10), ("a", "1", 0), ("b", "1", 0), ("c", "1", 0), ("d", "1", 0)]
    manifest = pd.DataFrame(rows, columns=["subject", "session", "day"])
    contents = {("a", "1"): "x", ("a", "2"): "x", ("b", "1"): "y", ("c", "1"): "y"}
    assert set(find_copies(manifest, contents, gone)) == left_out


def test_content_is_shape_and_values():
    image = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert content_hash(image) == content_hash(np.asfortranarray(image))
    others = [image.reshape(4, 3), image + 1, image[::-1]]
    assert len({content_hash(other) for other in [image, *others]}) == 4


def test_paths_that_lead_to_one_file(tmp_path):
    (tmp_path / "a").touch()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    a, b, gone = same_files(tmp_path / name for name in ("a", "b", "gone"))
    assert a == b != ""
    assert gone == ""


def test_manifest(tmp_path):
    lines = ["subject,session,path,group"]
    for subject in ("P0", "P1", "P2", "P3", "H", "D"):
        for session, group in (("a", "MCI"), ("b", "AD")):
            if (subject, session) not in (("H", "b"), ("D", "a")):
                (tmp_path / f"{subject}{session}").touch()
                lines.append(f"{subject},{session},{subject}{session},{group}")
    (tmp_path / "link").symlink_to(tmp_path / "Da")
    (tmp_path / "Da").touch()
    lines += ["X,a,Da,MCI", "Y,a,./link,AD", "D,c,Db,AD"]
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    cohort = ingest_manifest(tmp_path / "manifest.csv", tmp_path, splits=SPLITS, labels=LABELS)
    assert told(cohort) == {
        "manifest.csv:12": ("shared_content", "the same image as manifest.csv:13"),
        "manifest.csv:13": ("shared_content", "the same image as manifest.csv:12"),
        "manifest.csv:14": ("copy", "the same image as manifest.csv:11"),
    }
    assert len(cohort.manifest) == 10


def test_bids(tmp_path):
    write_bids_dataset(tmp_path / "bids")
    image = "sub-{0}/ses-{1}/anat/sub-{0}_ses-{1}_T1w.nii.gz"
    shared, copied = (image.format(*visit) for visit in (("S1", "M06"), ("S0", "M06")))
    (tmp_path / "bids" / copied).unlink()
    (tmp_path / "bids" / copied).symlink_to(tmp_path / "bids" / shared)
    assert told(ingest_bids(tmp_path / "bids", splits=SPLITS, labels=LABELS)) == {
        shared: ("shared_content", f"the same image as {copied}"),
        copied: ("shared_content", f"the same image as {shared}"),
    }


def test_adni(tmp_path):
    archive = Archive()
    for rid in range(1, 9):
        for visit, day, code in (("bl", "2006-01-02", 2), ("m12", "2007-01-02", 3)):
            archive.exam(rid, visit, day)
            archive.diagnosis(rid, visit, code)
    archive.write(tmp_path / "ADNI", tmp_path / "tables")
    # Subjects 1 and 2 at the baseline, subject 3 at both visits.
    for target, link in ((0, 2), (4, 5)):
        path = tmp_path / "ADNI" / archive.images[link]
        path.unlink()
        path.symlink_to(tmp_path / "ADNI" / archive.images[target])
    splits = {"seed": 0, "fractions": {"train": 0.5, "validation": 0.25, "test": 0.25}}
    cohort = ingest_adni(tmp_path / "ADNI", tmp_path / "tables", splits=splits)
    assert {source: rule for source, (rule, _) in told(cohort).items()} == {
        archive.images[0]: "shared_content",
        archive.images[2]: "shared_content",
        archive.images[5]: "copy",
    }


def test_films(tmp_path):
    """A table may list one PNG under the names of two patients."""
    rows, tests = [], ["PatientID,TestDate,FEV1_FVC,Transplant"]
    (tmp_path / "films").mkdir()
    for patient in ("n0", "n1", "c0", "c1", "x", "y", *(f"p{n}" for n in range(4))):
        days = [("2015-03-01", "0.5" if patient[0] == "c" else "0.8")]
        days += [("2016-03-01", "0.5")] if patient[0] == "p" else []
        for day, ratio in days:
            name = f"{patient}-{day}.png"
            Image.fromarray(ramp_film(8, 8)).save(tmp_path / "films" / name)
            rows.append(f"{name},{patient},{day},PA")
            tests.append(f"{patient},{day},{ratio},0")
    link = tmp_path / "films/y-2015-03-01.png"
    link.unlink()
    link.symlink_to(tmp_path / "films/x-2015-03-01.png")
    (tmp_path / "films.csv").write_text("\n".join(["path,patient_id,date,view", *rows]))
    (tmp_path / "tests.csv").write_text("\n".join(tests))
    cohort = ingest_copd(
        *(tmp_path / "films", tmp_path / "tests.csv"),
        splits={"seed": 0, "fractions": {"train": 0.5, "validation": 0.2, "test": 0.3}},
        pseudonym_key=tmp_path / "key",
        films_table=tmp_path / "films.csv",
    )
    assert {source: rule for source, (rule, _) in told(cohort).items()} == {
        "x-2015-03-01.png": "shared_content",
        "y-2015-03-01.png": "shared_content",
    }
