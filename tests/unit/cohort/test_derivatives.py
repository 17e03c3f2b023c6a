"""Derivatives by their names; those of fMRIPrep, sMRIPrep and Clinica."""

import pandas as pd
import pytest
from helpers.made_up_bids import write_bids_dataset

from pipeline.cohort.bids import ingest_bids
from pipeline.cohort.derivatives import brain_mask, by_preference

LABELS = {"column": "group", "healthy": ["MCI"], "diseased": ["AD"]}
SPLITS = {"seed": 0, "fractions": {"train": 0.0, "validation": 0.5, "test": 0.5}}
SCAN = "sub-1/anat/sub-1_desc-preproc_T1w.nii.gz"
MNI = "sub-1/anat/sub-1_space-MNI152NLin2009cAsym_desc-preproc_T1w.nii.gz"
COARSE = "sub-1/anat/sub-1_space-MNI152NLin2009cAsym_res-2_desc-preproc_T1w.nii.gz"
OTHER = "sub-1/anat/sub-1_space-fsnative_desc-preproc_T1w.nii.gz"


@pytest.mark.parametrize(
    ("prepared", "usable"),
    [
        ("grid", [MNI, COARSE]),
        ("registered", [MNI, COARSE]),
        ("skull_stripped", [SCAN, OTHER, MNI, COARSE]),
    ],
)
def test_space_decides_what_is_taken(prepared, usable):
    images = pd.DataFrame({"source": [COARSE, MNI, OTHER, SCAN], "rule": "", "reason": ""})
    found = by_preference(images, prepared)
    assert found[found["rule"] == ""]["source"].tolist() == usable
    reasons = found.set_index("source")["reason"]
    if prepared == "grid":
        assert reasons[SCAN] == "of the space of its scan, not MNI152"
        assert reasons[OTHER] == "of the space fsnative, not MNI152"


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("sub-1_desc-preproc_T1w.nii.gz", "sub-1_desc-brain_mask.nii.gz"),
        ("sub-1_space-MNI_desc-preproc_T1w.nii.gz", "sub-1_space-MNI_desc-brain_mask.nii.gz"),
        ("sub-1_space-MNI_T1w.nii", "sub-1_space-MNI_label-brain_mask.nii"),
    ],
)
def test_mask_is_that_of_the_same_entities(tmp_path, image, mask):
    assert brain_mask(tmp_path / image) is None
    (tmp_path / mask).touch()
    assert brain_mask(tmp_path / image) == tmp_path / mask
    assert brain_mask(tmp_path / f"x{image}") is None


def test_name_that_is_not_of_bids_has_no_mask(tmp_path):
    assert brain_mask(tmp_path / "brain.mgz") is None


def derive(spaces):
    def write(path, subject, session):
        for space in spaces:
            path.with_name(path.name.replace("_T1w", f"{space}_desc-preproc_T1w")).touch()

    return write


def test_images_of_derivatives_have_the_tables_of_the_dataset(tmp_path):
    write_bids_dataset(tmp_path / "bids")
    write_bids_dataset(tmp_path / "fmriprep", derive(["", "_space-MNI152NLin6Asym"]))
    for path in (tmp_path / "fmriprep").rglob("*"):
        if path.suffix in (".tsv", ".json"):
            path.unlink()
    cohort = ingest_bids(
        *(tmp_path / "bids", tmp_path / "fmriprep"), splits=SPLITS, labels=LABELS, prepared="grid"
    )
    whole = ingest_bids(tmp_path / "bids", splits=SPLITS, labels=LABELS).manifest
    columns = ["subject", "session", "label", "day", "field_strength", "site", "split"]
    pd.testing.assert_frame_equal(cohort.manifest[columns], whole[columns])
    assert cohort.manifest["path"].str.contains("fmriprep/.*_space-MNI152NLin6Asym").all()


def test_folders_of_clinica_are_read(tmp_path):
    write_bids_dataset(tmp_path / "bids")

    def write(path, subject, session):
        folder = path.parent.with_name("t1_linear")
        folder.mkdir(exist_ok=True)
        stem = path.name.replace("_T1w", "_space-MNI152NLin2009cSym_desc-Crop_res-1x1x1_T1w")
        (folder / stem).touch()

    write_bids_dataset(tmp_path / "caps/subjects", write)
    cohort = ingest_bids(
        *(tmp_path / "bids", tmp_path / "caps/subjects"),
        splits=SPLITS,
        labels=LABELS,
        prepared="registered",
    )
    assert len(cohort.manifest) == 14
    assert cohort.manifest["path"].str.contains("/t1_linear/").all()
