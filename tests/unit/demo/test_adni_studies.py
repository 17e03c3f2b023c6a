"""The archive of the MRI demonstration, made from a made-up anatomy, through the real ingest."""

import hashlib
from dataclasses import replace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.filebasedimages import ImageFileError
from scipy import ndimage

from pipeline.cohort.adni import ingest_adni
from pipeline.demo import adni_studies
from pipeline.demo.anatomy import GRID_ORIGIN, GRID_SHAPE, GRID_SPACING, STRUCTURES, Anatomy

pytestmark = pytest.mark.slow
SPLITS = {"seed": 0, "fractions": {"train": 0.4, "validation": 0.3, "test": 0.3}}
COUNTS = {"converters": 2, "stable_mci": 1, "ad_at_baseline": 1, "field_mismatch": 1}


def blob(radius, centre=(35, 47, 50)):
    distance = np.linalg.norm(np.indices(GRID_SHAPE) - np.reshape(centre, (3, 1, 1, 1)), axis=0)
    return (distance < radius).astype(np.float32)


def made_up_anatomies():
    # Of each structure a blob on either side, one behind the other.
    regions = {
        f"{side} {name}": blob(4, (35 + sign * 9, 32 + 5 * number, 47))
        for number, name in enumerate(STRUCTURES)
        for side, sign in (("left", -1), ("right", 1))
    }
    regions["brain"] = blob(23)
    affine = np.diag([GRID_SPACING] * 3 + [1.0])
    affine[:3, 3] = GRID_ORIGIN
    return [Anatomy(ndimage.gaussian_filter(blob(26), 1) - 0.5 * blob(5), affine, regions)]


def brighter_anatomy():
    """One that its voxels tell from the made-up one."""
    (anatomy,) = made_up_anatomies()
    return replace(anatomy, image=2 * anatomy.image)


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """Write an archive; the packaged heads take half a minute to label, a made-up one none."""

    def run(**settings):
        folder = tmp_path_factory.mktemp("demo")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(adni_studies, "load_anatomies", made_up_anatomies)
            patch.setattr(adni_studies, "load_held_out_anatomy", brighter_anatomy)
            adni_studies.make_demo_adni(
                folder / "ADNI", folder / "tables", folder / "truth", **({"seed": 1} | settings)
            )
        return folder

    return run


@pytest.fixture(scope="module")
def archive(make):
    return make(**COUNTS)


@pytest.fixture(scope="module")
def cohort(archive):
    return ingest_adni(archive / "ADNI", archive / "tables", splits=SPLITS)


def reasons(cohort, rid):
    table = cohort.exclusions
    return set(table.loc[table["subject"].str.endswith(f"S{rid}"), "reason"])


def test_every_kind_of_subject_comes_out_of_the_ingest(cohort):
    found = {
        subject[3:]: "".join(rows.sort_values("day")["label"].astype(str))
        for subject, rows in cohort.manifest.groupby("subject")
    }
    assert {"S1000": "01", "S2000": "00", "S3000": "1"}.items() <= found.items()
    assert found["S1001"] in ("01", "001")
    assert found["S4000"] in ("01", "011")
    assert set(cohort.pairs["subject"].str[3:]) <= {"S1000", "S1001", "S4000"}


def test_a_visit_at_another_field_strength_is_in_no_pair(archive):
    splits = {"seed": 0, "fractions": {"train": 0.0, "validation": 0.5, "test": 0.5}}
    cohort = ingest_adni(archive / "ADNI", archive / "tables", splits=splits)
    pairs = cohort.pairs[cohort.pairs["subject"].str.endswith("S4000")]
    assert pairs[["baseline", "followup"]].to_numpy().tolist() == [["bl", "m12"]]
    assert any("field strength" in reason for reason in reasons(cohort, 4000))


def test_an_undiagnosed_visit_takes_the_diagnosis_of_the_baseline(cohort):
    mine = cohort.manifest[cohort.manifest["subject"].str.endswith("S2000")]
    assert list(mine.sort_values("day")["session"]) == ["bl", "m03"]
    assert set(mine["diagnosis"]) == {"MCI"}


@pytest.mark.parametrize(
    ("rid", "reason"),
    [
        (5000, "the protocol is not ADNI1, ADNIGO or ADNI2: ADNI3"),
        (5001, "the exam has no date"),
        (5002, "the exam has no usable image"),
        (5003, "the diagnosis is neither MCI nor AD: CN"),
        (5004, "no exam on this day in the MRI tables"),
        (5005, "the visit has no unambiguous diagnosis"),
        (1000, "an earlier exam of the visit is used"),
        (1000, "the exam is in MRIMETA too and counts as 1.5 T"),
        (1000, "the description is not among those used: Localizer"),
        (2000, "another image of the exam is preferred"),
    ],
)
def test_faults_are_excluded(cohort, rid, reason):
    assert reason in reasons(cohort, rid)
    if rid >= 5000:
        assert not cohort.manifest["subject"].str.endswith(f"S{rid}").any()


def test_the_truncated_image_is_used_and_cannot_be_read(cohort):
    mine = cohort.manifest[cohort.manifest["subject"].str.endswith("S5006")]
    with pytest.raises((ImageFileError, OSError, ValueError)):
        nib.load(mine["path"].item()).get_fdata()


def test_every_ad_visit_and_no_other_has_its_true_fields(archive, cohort):
    diseased = cohort.manifest[cohort.manifest["label"] == 1]
    visits = set(zip(diseased["subject"], diseased["session"], strict=True))
    visits.add(("002S4000", "m24"))  # at another field strength: an AD visit, whether used or not
    expected = {
        f"sub-{subject}/ses-{session}_{kind}.nii.gz"
        for subject, session in visits
        for kind in ("total", "disease")
    }
    truth = archive / "truth"
    assert {str(path.relative_to(truth)) for path in truth.rglob("*.nii.gz")} == expected
    field = nib.load(truth / sorted(expected)[0])
    assert field.shape[3:] == (1, 3)
    assert field.get_data_dtype() == np.float32
    assert 1 < np.abs(field.get_fdata()).max() < 10


def test_files_are_named_as_in_the_archive(archive):
    for path in (archive / "ADNI").rglob("*.nii"):
        ptid, description, time, series, name = path.relative_to(archive / "ADNI").parts
        assert name.startswith(f"ADNI_{ptid}_MR_{description}_Br_")
        assert name.split("_I")[0].endswith(series)
        assert pd.notna(pd.to_datetime(time, format="%Y-%m-%d_%H_%M_%S.%f"))


def test_tables_have_whole_codes_and_iso_dates(archive):
    rows = pd.read_csv(archive / "tables" / "DXSUM_PDXCONV_ADNIALL.csv", dtype=str)
    codes = rows["DXCURREN"].fillna(rows["DXCHANGE"])
    assert codes.isin(list("12345678")).all()
    assert (rows["DXCURREN"].notna() == (rows["Phase"] == "ADNI1")).all()
    assert rows["EXAMDATE"].str.fullmatch(r"\d{4}-\d{2}-\d{2}").all()
    present = {path.name for path in (archive / "tables").glob("*.csv")}
    assert len(present) == 5


def test_the_archive_says_what_it_is(archive):
    for name in ("ADNI", "tables", "truth"):
        assert "not ADNI data" in (archive / name / "README.txt").read_text()


def test_another_count_leaves_the_other_subjects_as_they_are(archive, make):
    counts = dict.fromkeys(COUNTS, 0) | {"stable_mci": 1, "faulty": 0}
    alone = make(**counts)

    def contents(folder):
        files = (folder / "ADNI").glob("*_S_2000/MT1__GradWarp__N3m/*/*/*.nii")
        return sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)

    assert contents(alone) == contents(archive)
    assert len(contents(alone)) == 2


def test_subjects_of_the_test_split_and_no_others_have_the_head_held_out(make, tmp_path):
    lists = {split: tmp_path / f"{split}.txt" for split in ("train", "validation", "test")}
    common = make(**COUNTS)
    folder = make(**COUNTS, held_out=1, splits=lists)
    listed = {split: path.read_text().split() for split, path in lists.items()}
    assert [name[-4:] for name in listed["test"]] == ["1001"]
    assert [name[-4:] for name in listed["validation"]] == ["1000", "4000"]
    assert [name[-4:] for name in listed["train"]] == ["2000", "3000", "5006"]
    cohort = ingest_adni(folder / "ADNI", folder / "tables", splits={"lists": lists})
    assert set(cohort.manifest["split"]) == set(lists)
    assert set(cohort.pairs["split"]) == {"validation", "test"}
    changed = {
        path.relative_to(folder).parts[1]
        for path in folder.glob("ADNI/**/*.nii")
        if path.read_bytes() != (common / path.relative_to(folder)).read_bytes()
    }
    assert changed == set(listed["test"])
