"""Ingest of BIDS datasets."""

import numpy as np
import pytest
from helpers.made_up_bids import write_bids_dataset

from pipeline.cohort.bids import ingest_bids, read_visits
from pipeline.stage.errors import InputError

LABELS = {"column": "group", "healthy": ["MCI"], "diseased": ["ad"]}
SPLITS = {"seed": 0, "fractions": {"train": 0.0, "validation": 0.5, "test": 0.5}}


@pytest.fixture
def dataset(tmp_path):
    write_bids_dataset(tmp_path / "bids")
    return tmp_path / "bids"


def ingest(dataset, labels=LABELS, **settings):
    return ingest_bids(dataset, splits=SPLITS, labels=labels, **settings)


def test_visits_are_labelled_dated_and_paired(dataset):
    cohort = ingest(dataset)
    visits = cohort.manifest.set_index(["subject", "session"])
    assert visits.loc["C0", "label"].to_dict() == {"M00": 0, "M12": 1}
    assert visits.loc["C0", "day"].to_dict() == {"M00": 0, "M12": 365}
    assert visits.loc["C3", "day"].to_dict() == {"M00": 0, "M12": 2}  # numbers of the visits
    assert visits.loc["C2", "field_strength"].tolist() == [1.5, 1.5]
    assert visits.loc["C0", "field_strength"].tolist() == [3.0, 3.0]
    assert visits.loc[("C1", "M00"), "site"] == "A0"
    assert (visits["sex"] == "F").all()
    assert visits.loc[("C1", "M00"), "age"] == 71
    assert np.isnan(visits.loc[("C1", "M12"), "age"])  # the participant's is of the first visit
    assert set(visits.loc["S0"].index) == {"M00", "M06", "M12"}
    assert (cohort.manifest["date"] == "").all()
    pairs = cohort.pairs[["subject", "baseline", "followup"]].to_numpy().tolist()
    assert pairs == [[f"C{n}", "M00", "M12"] for n in range(4)]
    assert sorted(cohort.pairs["split"]) == ["test", "test", "validation", "validation"]


def test_age_of_a_visit_goes_before_the_participants(dataset):
    path = dataset / "sub-C1/sub-C1_sessions.tsv"
    head, *rows = path.read_text().splitlines()
    told = [f"{head}\tage", f"{rows[0]}\t70.9", f"{rows[1]}\tn/a", f"{rows[2]}\t93"]
    path.write_text("\n".join(told) + "\n")
    ages = ingest(dataset).manifest.set_index(["subject", "session"]).loc["C1", "age"]
    assert ages.to_dict() == {"M00": 70, "M12": 90}  # above 89 all are one


def test_age_is_unknown_where_the_first_visit_is_not_used(dataset):
    (dataset / "sub-S0/ses-M00/anat/sub-S0_ses-M00_T1w.nii.gz").unlink()
    (dataset / "sub-S0/ses-M00/anat/sub-S0_ses-M00_T1w.nii.gz").symlink_to("nowhere")
    found = ingest(dataset).manifest.set_index("subject").loc["S0"]
    assert found["age"].isna().all()


def test_first_visit_without_dates_is_that_of_the_least_number(dataset):
    table = dataset / "sub-C3/sub-C3_sessions.tsv"
    for old, new in (("M00", "2"), ("M06", "6"), ("M12", "12")):
        folder = (dataset / f"sub-C3/ses-{old}").rename(dataset / f"sub-C3/ses-{new}")
        image = folder / f"anat/sub-C3_ses-{old}_T1w.nii.gz"
        image.rename(image.with_name(f"sub-C3_ses-{new}_T1w.nii.gz"))
        table.write_text(table.read_text().replace(f"ses-{old}", f"ses-{new}"))
    found = ingest(dataset).manifest.set_index(["subject", "session"]).loc["C3"]
    assert found["day"].to_dict() == {"12": 2, "2": 0}
    assert found["age"].dropna().to_dict() == {"2": 73}


def test_age_and_sex_that_contradict_each_other_are_unknown(dataset):
    add_line(dataset / "participants.tsv", "sub-C0\tA1\t55\tmale")
    found = ingest(dataset).manifest.set_index("subject").loc["C0"]
    assert found["age"].isna().all()
    assert (found["sex"] == "").all()


@pytest.mark.parametrize("column", ["sex", "age"])
def test_age_and_sex_may_tell_the_groups(dataset, column):
    sessions = list(dataset.glob("sub-*/sub-*_sessions.tsv"))
    for path in sessions:
        path.write_text(path.read_text().replace("group", column))
    cohort = ingest(dataset, LABELS | {"column": column})
    assert len(cohort.pairs) == 4


def test_every_image_and_row_is_used_or_excluded(dataset):
    cohort = ingest(dataset)
    reasons = cohort.exclusions.set_index("source")["reason"]
    assert reasons["participants.tsv:9"] == "the participant has no T1w image"
    assert reasons["sub-S0_sessions.tsv:5"] == "the visit has no T1w image"
    image = "sub-{0}/ses-{1}/anat/sub-{2}_ses-{1}{3}_T1w.nii.gz"
    assert reasons[image.format("H0", "M00", "H0", "")] == (
        "group is neither healthy nor diseased: CN"
    )
    assert reasons[image.format("S0", "M36", "S0", "")] == "no value in the column group"
    assert "different visits" in reasons[image.format("S1", "M12", "S0", "")]
    assert reasons[image.format("S1", "M12", "S1", "_run-2")] == "another T1w of the visit is used"
    assert (
        "neither the baseline nor a diseased visit" in reasons[image.format("C0", "M06", "C0", "")]
    )
    images = cohort.exclusions["item"] == "image"
    assert images.sum() + len(cohort.manifest) == len(list(dataset.rglob("*_T1w.nii.gz")))


def test_diagnosis_from_participants_and_mapped_columns(dataset):
    table = dataset / "participants.tsv"
    lines = table.read_text().splitlines()
    group = {"S1": "AD"}
    lines = [
        lines[0].replace("site", "centre") + "\tDX",
        *(f"{line}\t{group.get(line[4:6], 'MCI')}" for line in lines[1:]),
    ]
    table.write_text("\n".join(lines))
    with pytest.raises(InputError, match="no validation pair") as error:
        ingest(dataset, LABELS | {"column": "dx"}, columns={"site": "Centre"})
    assert "6  the subject has no diseased visit" in str(error.value)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"column": "diagnosis"}, "has a column 'diagnosis'"),
        ({"healthy": ["AD"]}, "'ad' cannot be healthy and diseased"),
    ],
)
def test_wrong_labels(dataset, labels, said):
    with pytest.raises(InputError, match=said):
        ingest(dataset, LABELS | labels)


def test_folder_without_images(dataset, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no T1w image"):
        ingest(tmp_path / "empty")


@pytest.mark.parametrize("value", ["Infinity", "NaN", "-3", "3000", "[3]", "1e999", '"3"'])
def test_impossible_field_strength_is_unknown(dataset, value):
    """The file nearest to the image that tells one is believed: here that of the dataset."""
    beside = dataset / "sub-C2/ses-M00/anat/sub-C2_ses-M00_T1w.json"
    beside.write_text(f'{{"MagneticFieldStrength": {value}}}')
    visits = ingest(dataset).manifest.set_index(["subject", "session"])
    assert visits.loc[("C2", "M00"), "field_strength"] == 3


def test_field_strengths_are_what_scanners_are_called_by(dataset):
    """Headers of one scanner tell 3 or 2.89362: its visits are a pair all the same."""
    image = dataset / "sub-C1/ses-M12/anat/sub-C1_ses-M12_T1w.json"
    image.write_text('{"MagneticFieldStrength": 2.89362}')
    cohort = ingest(dataset)
    assert "C1" in set(cohort.pairs["subject"])
    assert set(cohort.manifest["field_strength"]) == {1.5, 3}


def add_line(table, line):
    table.write_text(table.read_text().rstrip("\n") + f"\n{line}\n")


def test_repeated_and_contradictory_rows(dataset):
    expected = ingest(dataset).manifest
    add_line(dataset / "participants.tsv", "sub-C0\tA1\t70\tfemale")
    add_line(dataset / "sub-C1/sub-C1_sessions.tsv", "ses-M06\t2010-07-03T10:00:00\tMCI")
    cohort = ingest(dataset)
    assert list(cohort.manifest["path"]) == list(expected["path"])
    told = cohort.exclusions.set_index("source")["reason"]
    assert told["sub-C1_sessions.tsv:5"] == "the row repeats sub-C1_sessions.tsv:3"
    add_line(dataset / "sub-S0/sub-S0_sessions.tsv", "ses-M06\t2010-07-03T10:00:00\tAD")
    told = ingest(dataset).exclusions.set_index("source")[["rule", "reason"]]
    why = "the rows of the visit contradict each other: sub-S0_sessions.tsv:3, 7"
    for source in (
        "sub-S0_sessions.tsv:3",
        "sub-S0_sessions.tsv:7",
        "sub-S0/ses-M06/anat/sub-S0_ses-M06_T1w.nii.gz",
    ):
        assert told.loc[source].tolist() == ["contradiction", why]


def test_contradictory_participants(dataset):
    table = dataset / "participants.tsv"
    groups = ["group", *["MCI"] * 7, "AD"]
    lines = [f"{a}\t{b}" for a, b in zip(table.read_text().splitlines(), groups, strict=True)]
    table.write_text("\n".join([*lines, "sub-H0\tA0\t70\tfemale\tAD"]) + "\n")
    sessions = dataset / "sub-H0/sub-H0_sessions.tsv"
    sessions.write_text(sessions.read_text().replace("CN", "n/a"))
    told = ingest(dataset).exclusions.set_index("source")["reason"]
    why = "the rows of the participant contradict each other: participants.tsv:8, 10"
    assert told["participants.tsv:8"] == told["participants.tsv:10"] == why
    assert told["sub-H0/ses-M00/anat/sub-H0_ses-M00_T1w.nii.gz"] == why


def test_content_that_was_not_fetched_is_told_by_the_ingest(dataset):
    image = dataset / "sub-S1/ses-M06/anat/sub-S1_ses-M06_T1w.nii.gz"
    image.unlink()
    image.symlink_to("../../../.git/annex/objects/none")
    told = ingest(dataset).exclusions.set_index("source")
    row = told.loc[image.relative_to(dataset).as_posix()]
    assert row["rule"] == "no_file"
    assert "datalad get" in row["reason"]


def test_participants_table_is_not_needed_where_the_visits_tell(dataset):
    expected = ingest(dataset).manifest
    (dataset / "participants.tsv").unlink()
    found = ingest(dataset).manifest
    assert list(found["path"]) == list(expected["path"])
    assert set(found["site"]) == {""}


def test_names_that_the_standard_does_not_allow(dataset):
    """OASIS and NACC name subjects so."""
    for old, new in {"C0": "OAS2_0001", "C1": "NACC-17", "C2": "ö 2"}.items():
        for path in sorted(dataset.glob(f"sub-{old}/**/*"), reverse=True):
            if path.is_file() and f"sub-{old}" in path.name:
                path.rename(path.with_name(path.name.replace(f"sub-{old}", f"sub-{new}")))
        (dataset / f"sub-{old}").rename(dataset / f"sub-{new}")
        people = dataset / "participants.tsv"
        people.write_text(people.read_text().replace(f"sub-{old}\t", f"sub-{new}\t"))
    cohort = ingest(dataset)
    names = cohort.manifest[["subject", "archive_subject"]].drop_duplicates()
    assert dict(names.to_numpy()) == {
        **{"OAS20001": "OAS2_0001", "NACC17": "NACC-17", "o2": "ö 2"},
        **{"C3": "", "S0": "", "S1": ""},
    }
    assert set(cohort.pairs["subject"]) == {"OAS20001", "NACC17", "o2", "C3"}
    assert set(cohort.manifest["site"]) == {"A0", "A1"}


def test_subjects_that_differ_in_case_only(dataset):
    (dataset / "sub-s0").mkdir()
    (dataset / "sub-s0/anat").mkdir()
    (dataset / "sub-s0/anat/sub-s0_T1w.nii.gz").touch()
    with pytest.raises(InputError, match="the subjects 'S0' and 's0' would be one name"):
        ingest(dataset)


def test_visits_that_the_tables_write_otherwise(dataset, caplog):
    for subject, old in (("S0", "ses-M06"), ("S1", "ses-M06")):
        table = dataset / f"sub-{subject}/sub-{subject}_sessions.tsv"
        table.write_text(table.read_text().replace(old, "M6"))
    told = ingest(dataset).exclusions.set_index("source")["reason"]
    assert told["sub-S0/ses-M06/anat/sub-S0_ses-M06_T1w.nii.gz"] == (
        "the name in the table is written otherwise: that of sub-S0_sessions.tsv:3 differs in "
        "leading zeros"
    )
    assert "images find no row with a diagnosis: 2" in caplog.text


def test_missing_values_of_participants_are_no_group(dataset):
    """Where neither table tells the group, the image is left out, and the others are used."""
    expected = ingest(dataset)
    table = dataset / "participants.tsv"
    header, *lines = table.read_text().splitlines()
    table.write_text("\n".join([f"{header}\tgroup", *(f"{line}\tn/a" for line in lines)]))
    cohort = ingest(dataset)
    assert list(cohort.manifest["path"]) == list(expected.manifest["path"])
    told = cohort.exclusions.set_index("source")
    image = told.loc["sub-S0/ses-M36/anat/sub-S0_ses-M36_T1w.nii.gz"]
    assert (image["rule"], image["reason"]) == ("no_diagnosis", "no value in the column group")


def test_all_that_the_tables_tell_of_the_visits(dataset):
    visits = read_visits(dataset).set_index(["subject", "session"])
    assert {"group", "acq_time", "site", "age"} <= set(visits.columns)
    assert len(visits) == len(list(dataset.glob("*/*/anat/*_T1w.nii.gz"))) - 2
    assert visits.loc[("C0", "M12"), ["group", "acq_time", "age"]].tolist() == [
        *("AD", "2011-01-03", "70")
    ]
    assert visits.loc[("S0", "M36"), "group"] == ""
