"""Ingest of ADNI: every rule on a small archive, and the account of a larger one."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.made_up_adni import Archive, ptid, write_adni_archive

from pipeline.cohort.adni import ingest_adni, rid_of
from pipeline.cohort.manifest import MANIFEST_COLUMNS, Cohort
from pipeline.stage.errors import InputError

SEEDED = {"seed": 0, "fractions": {"train": 0.64, "validation": 0.16, "test": 0.2}}
# Subjects that make every cohort complete: training images of both classes and a pair in
# validation and in test. The cases under test are subject 30, in training.
BACKGROUND = {"train": (901, 902), "validation": (903,), "test": (904,)}


@pytest.fixture
def archive() -> Archive:
    made = Archive()
    for rid in (rid for rids in BACKGROUND.values() for rid in rids):
        for visit, day, code in (("bl", "2006-01-02", 2), ("m12", "2007-01-02", 3)):
            made.exam(rid, visit, day)
            made.diagnosis(rid, visit, code)
    return made


@pytest.fixture
def ingest(tmp_path):
    """Write an archive and ingest it; keyword arguments are further listed subjects."""

    def run(archive: Archive, **lists: str) -> Cohort:
        archive.write(tmp_path / "ADNI", tmp_path / "tables")
        lists = {"train": "30", **lists}
        for split, rids in BACKGROUND.items():
            text = "\n".join(map(str, rids)) + "\n" + lists.get(split, "")
            (tmp_path / f"{split}.txt").write_text(text)
        files = {split: str(tmp_path / f"{split}.txt") for split in BACKGROUND}
        return ingest_adni(tmp_path / "ADNI", tmp_path / "tables", splits={"lists": files})

    return run


def of_subject(cohort: Cohort, rid: int = 30) -> dict[str, dict]:
    rows = cohort.manifest[cohort.manifest["subject"] == ptid(rid).replace("_", "")]
    return rows.set_index("session").to_dict("index")


def reasons(cohort: Cohort, item: str, rid: int = 30) -> list[str]:
    table = cohort.exclusions
    mine = table["subject"] == ptid(rid).replace("_", "")
    return table.loc[mine & (table["item"] == item), "reason"].tolist()


def test_manifest_row(archive, ingest, tmp_path):
    archive.exam(30, "bl", "2006-03-09")
    archive.diagnosis(30, "bl", 2)
    archive.exam(30, "m06", "2006-09-12", tesla=3.0)
    archive.diagnosis(30, "m06", 3)
    cohort = ingest(archive)
    assert list(cohort.manifest.columns) == list(MANIFEST_COLUMNS)
    rows = of_subject(cohort)
    assert list(rows) == ["bl", "m06"]
    bl, m06 = rows["bl"], rows["m06"]
    assert (bl["label"], bl["diagnosis"], bl["field_strength"]) == (0, "MCI", 1.5)
    assert (m06["label"], m06["diagnosis"], m06["field_strength"]) == (1, "AD", 3.0)
    assert (bl["date"], bl["day"], m06["day"]) == ("2006-03-09", 0, 187)
    assert (bl["site"], bl["split"]) == ("023", "train")
    assert Path(bl["path"]).is_file()
    assert Path(bl["path"]).is_relative_to(tmp_path / "ADNI" / "023_S_0030")
    assert reasons(cohort, "exam") + reasons(cohort, "image") == []


def test_pairs(archive, ingest):
    cohort = ingest(archive)
    assert cohort.pairs.to_dict("records") == [
        {"subject": "023S0903", "split": "validation", "baseline": "bl", "followup": "m12"},
        {"subject": "023S0904", "split": "test", "baseline": "bl", "followup": "m12"},
    ]


@pytest.mark.parametrize(
    ("phase", "code", "diagnosis"),
    [
        *[("ADNI1", code, diagnosis) for code, diagnosis in [(2, "MCI"), (3, "AD")]],
        *[("ADNIGO", code, "MCI") for code in (2, 4, 8)],
        *[("ADNI2", code, "AD") for code in (3, 5, 6)],
    ],
)
def test_diagnosis_codes(archive, ingest, phase, code, diagnosis):
    archive.exam(30, "m12", "2006-03-09", phase=phase, tesla=3.0)
    archive.diagnosis(30, "m12", code, phase)
    assert of_subject(ingest(archive))["m12"]["diagnosis"] == diagnosis


@pytest.mark.parametrize(
    ("phase", "code"), [("ADNI1", 1), ("ADNIGO", 1), ("ADNI2", 7), ("ADNI2", 9)]
)
def test_healthy_visits_are_excluded(archive, ingest, phase, code):
    archive.exam(30, "m12", "2006-03-09", phase=phase)
    archive.diagnosis(30, "m12", code, phase)
    cohort = ingest(archive)
    why = "the diagnosis is neither MCI nor AD: CN"
    assert reasons(cohort, "exam") == reasons(cohort, "image") == [why]
    assert reasons(cohort, "diagnosis") == ["the exam of the visit is not used"]


def test_diagnosis_is_that_of_the_visit_not_of_the_baseline(archive, ingest):
    archive.merge(30, "AD")
    archive.exam(30, "m06", "2006-03-09")
    archive.diagnosis(30, "bl", 3)
    archive.diagnosis(30, "m06", 2)
    cohort = ingest(archive)
    assert of_subject(cohort)["m06"]["diagnosis"] == "MCI"
    assert reasons(cohort, "diagnosis") == ["no exam at this visit"]


@pytest.mark.parametrize("code", ["", "-4", "4", "x"])
def test_row_without_diagnosis(archive, ingest, code):
    archive.exam(30, "m12", "2006-03-09")
    archive.diagnosis(30, "m12", code)
    cohort = ingest(archive)
    why = ["the visit has no unambiguous diagnosis"]
    assert reasons(cohort, "exam") == reasons(cohort, "image") == why
    assert reasons(cohort, "diagnosis") == ["the row has no diagnosis"]


@pytest.mark.parametrize(
    ("dx_bl", "diagnosis"), [("EMCI", "MCI"), ("LMCI", "MCI"), ("MCI", "MCI"), ("AD", "AD")]
)
def test_undiagnosed_m03_takes_the_baseline_diagnosis(archive, ingest, dx_bl, diagnosis):
    archive.merge(30, "")
    archive.merge(30, dx_bl)
    archive.exam(30, "m03", "2011-03-09", phase="ADNI2", tesla=3.0)
    assert of_subject(ingest(archive))["m03"]["diagnosis"] == diagnosis


@pytest.mark.parametrize("dx_bl", ["CN", "SMC"])
def test_undiagnosed_m03_of_other_subjects(archive, ingest, dx_bl):
    archive.merge(30, dx_bl)
    archive.exam(30, "m03", "2011-03-09", phase="ADNI2", tesla=3.0)
    assert reasons(ingest(archive), "exam") == [f"the diagnosis is neither MCI nor AD: {dx_bl}"]


def test_only_undiagnosed_m03_takes_the_baseline_diagnosis(archive, ingest):
    archive.merge(30, "LMCI")
    archive.exam(30, "m03", "2011-03-09", phase="ADNI2")
    archive.diagnosis(30, "m03", 5, "ADNI2")
    archive.exam(30, "m06", "2011-06-09", phase="ADNI2")
    cohort = ingest(archive)
    assert of_subject(cohort)["m03"]["diagnosis"] == "AD"
    assert reasons(cohort, "exam") == ["the visit has no unambiguous diagnosis"]


@pytest.mark.parametrize("visit", ["m03", "m06"])
def test_of_contradictory_diagnoses_the_first_counts(archive, ingest, caplog, visit):
    archive.merge(30, "LMCI")
    archive.exam(30, visit, "2006-03-09")
    archive.diagnosis(30, visit, 3)
    archive.diagnosis(30, visit, 2, "ADNIGO")
    archive.diagnosis(30, visit, 5, "ADNIGO")
    cohort = ingest(archive)
    assert of_subject(cohort)[visit]["diagnosis"] == "AD"
    table = "DXSUM_PDXCONV_ADNIALL_12Mar2020.csv"
    assert reasons(cohort, "diagnosis") == [
        f"the row contradicts {table}:10, which counts",
        f"the row repeats {table}:10",
    ]
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [
        f"{table}: rows left out as an earlier one of their visit says otherwise: 1"
    ]


def test_repeated_diagnosis(archive, ingest):
    archive.exam(30, "m06", "2006-03-09")
    archive.diagnosis(30, "m06", 2)
    archive.diagnosis(30, "m06", 4, "ADNIGO")
    cohort = ingest(archive)
    assert list(of_subject(cohort)) == ["m06"]
    repeats = "the row repeats DXSUM_PDXCONV_ADNIALL_12Mar2020.csv:10"
    assert reasons(cohort, "diagnosis") == [repeats]


@pytest.mark.parametrize("visit", ["bl", "sc", "scmri", "SC"])
def test_screening_is_the_baseline(archive, ingest, visit):
    archive.exam(30, visit, "2006-03-09")
    archive.diagnosis(30, "bl", 2)
    assert list(of_subject(ingest(archive))) == ["bl"]


@pytest.mark.parametrize("phase", ["ADNI3", ""])
def test_other_protocols(archive, ingest, phase):
    archive.exam(30, "m12", "2018-03-09", phase=phase)
    archive.diagnosis(30, "m12", 2, phase)
    cohort = ingest(archive)
    why = f"the protocol is not ADNI1, ADNIGO or ADNI2: {phase}"
    assert reasons(cohort, "exam") == reasons(cohort, "image") == [why]
    assert reasons(cohort, "diagnosis") == [why]


@pytest.mark.parametrize(
    ("day", "reason"),
    [
        ("", "the exam has no date"),
        ("-4", "the exam has no date"),
        ("2006-02-31", "the date of the exam cannot be read"),
    ],
)
def test_exam_without_date(archive, ingest, day, reason):
    archive.exam(30, "m12", day, description=None)
    archive.image(30, "2006-03-09")
    archive.diagnosis(30, "m12", 2)
    cohort = ingest(archive)
    assert reasons(cohort, "exam") == [reason]
    assert reasons(cohort, "image") == ["no exam on this day in the MRI tables"]


def test_american_dates(archive, ingest):
    archive.exam(30, "m12", "3/9/2006", description=None)
    archive.image(30, "2006-03-09")
    archive.diagnosis(30, "m12", 2)
    assert of_subject(ingest(archive))["m12"]["date"] == "2006-03-09"


@pytest.mark.parametrize("rid", ["", "x", "-4", "1.5"])
def test_row_without_subject(archive, ingest, rid):
    for table in ("MRI3META", "DXSUM_PDXCONV_ADNIALL"):
        archive.rows[table].append({"Phase": "ADNI1", "RID": rid, "VISCODE2": "bl"})
    excluded = ingest(archive).exclusions
    assert excluded["item"].tolist() == ["exam", "diagnosis"]
    assert set(excluded["reason"]) == {"the row has no RID"}


def test_row_without_visit(archive, ingest):
    archive.exam(30, "", "2006-03-09")
    archive.diagnosis(30, "", 2)
    cohort = ingest(archive)
    for item in ("exam", "image", "diagnosis"):
        assert reasons(cohort, item) == ["the row has no visit code"]


def test_exam_in_both_tables_is_at_low_field(archive, ingest):
    archive.exam(30, "sc", "2006-03-09", tesla=3.0)
    archive.exam(30, "bl", "2006-03-09", tesla=1.5, description=None)
    archive.diagnosis(30, "bl", 2)
    cohort = ingest(archive)
    assert of_subject(cohort)["bl"]["field_strength"] == 1.5
    assert reasons(cohort, "exam") == ["the exam is in MRIMETA too and counts as 1.5 T"]
    source = cohort.exclusions.query("subject == '023S0030'")["source"].item()
    assert source == "MRI3META.csv:2"
    assert reasons(cohort, "image") == []


def test_repeated_row(archive, ingest):
    for _ in range(2):
        archive.exam(30, "m06", "2006-03-09", description=None)
    archive.image(30, "2006-03-09")
    archive.diagnosis(30, "m06", 2)
    cohort = ingest(archive)
    assert list(of_subject(cohort)) == ["m06"]
    assert reasons(cohort, "exam") == ["the row repeats an earlier one"]
    assert cohort.exclusions["source"].tolist() == ["MRIMETA.csv:11"]


def test_an_excluded_row_does_not_displace_a_usable_one(archive, ingest):
    archive.exam(30, "m06", "2006-03-09", phase="ADNI3", description=None)
    archive.exam(30, "m06", "2006-03-09")
    archive.diagnosis(30, "m06", 2)
    cohort = ingest(archive)
    assert list(of_subject(cohort)) == ["m06"]
    assert reasons(cohort, "exam") == ["the protocol is not ADNI1, ADNIGO or ADNI2: ADNI3"]
    assert reasons(cohort, "image") == []


def test_one_day_under_two_visits(archive, ingest):
    archive.exam(30, "m06", "2006-03-09")
    archive.exam(30, "m12", "2006-03-09", description=None)
    for visit in ("m06", "m12"):
        archive.diagnosis(30, visit, 2)
    cohort = ingest(archive)
    assert list(of_subject(cohort)) == ["m06"]
    assert reasons(cohort, "exam") == ["an exam of this day stands under another visit"]


def test_two_exams_on_one_visit(archive, ingest):
    archive.exam(30, "bl", "2006-04-01")
    archive.exam(30, "sc", "2006-03-09")
    archive.diagnosis(30, "bl", 2)
    cohort = ingest(archive)
    assert of_subject(cohort)["bl"]["date"] == "2006-03-09"
    why = ["an earlier exam of the visit is used"]
    assert reasons(cohort, "exam") == reasons(cohort, "image") == why


def test_of_exams_at_two_field_strengths_that_at_low_field_is_used(archive, ingest):
    """Eight converters on both scanners at each visit, the order of the days now this, now that."""
    visits = {"bl": ("2006-03-09", "2006-03-16", 2), "m12": ("2007-03-09", "2007-03-16", 3)}
    converters = range(31, 39)
    for rid in converters:
        for visit, (first, second, code) in visits.items():
            low, high = (second, first) if (rid % 2 == 0) == (visit == "bl") else (first, second)
            archive.exam(rid, visit, low)
            archive.exam(rid, visit, high, tesla=3.0)
            archive.diagnosis(rid, visit, code)
    cohort = ingest(archive, test="\n".join(map(str, converters)))
    pairs = cohort.pairs.set_index("subject")
    for rid in converters:
        assert pairs.loc[f"023S{rid:04d}"].tolist() == ["test", "bl", "m12"]
        used = of_subject(cohort, rid)
        assert [visit["field_strength"] for visit in used.values()] == [1.5, 1.5]
        why = ["the exam of the visit at 1.5 T is used"] * 2
        assert reasons(cohort, "exam", rid) == reasons(cohort, "image", rid) == why


def test_an_exam_without_image_does_not_displace_a_later_one(archive, ingest):
    archive.exam(30, "bl", "2006-03-09", description=None)
    archive.exam(30, "bl", "2006-04-01", tesla=3.0)
    archive.diagnosis(30, "bl", 2)
    cohort = ingest(archive)
    assert of_subject(cohort)["bl"]["date"] == "2006-04-01"
    assert reasons(cohort, "exam") == ["the exam has no usable image"]


def test_preferred_image(archive, ingest):
    archive.exam(30, "bl", "2006-03-09", description="MPR____N3")
    archive.image(30, "2006-03-09", "MT1__GradWarp__N3m")
    archive.image(30, "2006-03-09", "MPR__GradWarp__B1_Correction__N3")
    archive.diagnosis(30, "bl", 2)
    cohort = ingest(archive)
    assert "MT1__GradWarp__N3m" in of_subject(cohort)["bl"]["path"]
    assert reasons(cohort, "image") == ["another image of the exam is preferred"] * 2


def test_image_of_another_description(archive, ingest):
    archive.exam(30, "bl", "2006-03-09", description="MPR-R____N3")
    archive.diagnosis(30, "bl", 2)
    cohort = ingest(archive)
    assert reasons(cohort, "exam") == ["the exam has no usable image"]
    assert reasons(cohort, "image") == ["the description is not among those used: MPR-R____N3"]


def test_image_without_exam(archive, ingest):
    path = archive.image(30, "2006-03-09")
    cohort = ingest(archive)
    (row,) = cohort.exclusions.to_dict("records")
    assert row == {
        "stage": "ingest",
        "item": "image",
        "subject": "023S0030",
        "session": "",
        "baseline": "",
        "source": path,
        "rule": "not_listed",
        "reason": "no exam on this day in the MRI tables",
    }


def test_subjects_without_image_are_named_from_the_tables(archive, ingest):
    archive.merge(30, "LMCI", PTID="114_S_0030")
    archive.exam(30, "bl", "2006-03-09", description=None)
    archive.diagnosis(30, "bl", 2)
    archive.exam(31, "bl", "2006-03-09", description=None)
    excluded = ingest(archive).exclusions
    exams = excluded[excluded["item"] == "exam"]
    assert exams["subject"].tolist() == ["114S0030", ""]


def test_subject_in_no_list(archive, ingest):
    archive.exam(30, "bl", "2006-03-09")
    archive.diagnosis(30, "bl", 2)
    cohort = ingest(archive, train="")
    why = ["the subject is in no list of the splits"]
    assert reasons(cohort, "exam") == reasons(cohort, "image") == why
    assert reasons(cohort, "diagnosis") == ["the exam of the visit is not used"]


@pytest.mark.parametrize("split", ["validation", "test"])
def test_evaluated_visits_in_no_pair(archive, ingest, split):
    days = {"bl": "2006-03-09", "m06": "2006-09-09", "m12": "2007-03-09", "m24": "2008-03-09"}
    for visit, code, tesla in (("bl", 2, 1.5), ("m06", 2, 1.5), ("m12", 3, 1.5), ("m24", 3, 3.0)):
        archive.exam(30, visit, days[visit], tesla=tesla)
        archive.diagnosis(30, visit, code)
    cohort = ingest(archive, **{"train": "", split: "30"})
    assert list(of_subject(cohort)) == ["bl", "m12"]
    start = f"visit of a {split} subject in no pair, "
    assert reasons(cohort, "exam") == [
        start + "it is neither the baseline nor a diseased visit",
        start + "its field strength is not that of the baseline",
    ]
    assert sorted(reasons(cohort, "image")) == sorted(reasons(cohort, "exam"))
    mine = cohort.pairs[cohort.pairs["subject"] == "023S0030"]
    assert mine["followup"].tolist() == ["m12"]


def test_subject_in_two_lists(archive, ingest):
    with pytest.raises(InputError, match="a subject is in two splits"):
        ingest(archive, test="023S0030")


def test_no_pairs_tells_the_rule(archive, ingest):
    for name in ("MRIMETA", "MRI3META"):
        archive.rows[name].clear()
    for rid in (rid for rids in BACKGROUND.values() for rid in rids):
        archive.exam(rid, "bl", "2006-01-02", description=None)
        archive.exam(rid, "m12", "2007-01-02", tesla=3.0, description=None)
    with pytest.raises(InputError) as error:
        ingest(archive)
    assert "no validation pair, no test pair is left" in str(error.value)
    assert "4  no diseased visit has the field strength of the baseline" in str(error.value)


def test_nothing_left_tells_the_rule(archive, ingest):
    for row in archive.rows["MRIMETA"]:
        row["Phase"] = "ADNI3"
    with pytest.raises(InputError) as error:
        ingest(archive)
    assert "no training image of class 0 (healthy)" in str(error.value)
    assert "usable images: none" in str(error.value)
    assert "8  exam: Of another protocol" in str(error.value)


@pytest.mark.parametrize(
    ("change", "columns"),
    [
        (str.lower, None),
        (lambda header: header.replace('"VISCODE2",', "").replace("VISCODE", "viscode"), None),
        (
            lambda header: header.replace("EXAMDATE", "ScanDate").replace("VISCODE2", "Visit"),
            {"EXAMDATE": "SCANDATE", "VISCODE2": "visit"},
        ),
    ],
    ids=["lower case", "VISCODE alone", "column map"],
)
def test_spellings_of_columns(archive, ingest, tmp_path, change, columns):
    """Of one table: the others keep theirs."""
    usual = ingest(archive)
    path = tmp_path / "tables/MRIMETA.csv"
    header, *lines = path.read_text().splitlines()
    if change(header).count(",") < header.count(","):  # VISCODE2 is the fifth column
        lines = [",".join(np.delete(line.split(","), 4)) for line in lines]
    path.write_text("\n".join([change(header), *lines]) + "\n")
    files = {split: str(tmp_path / f"{split}.txt") for split in BACKGROUND}
    cohort = ingest_adni(
        tmp_path / "ADNI", tmp_path / "tables", splits={"lists": files}, columns=columns
    )
    pd.testing.assert_frame_equal(cohort.manifest, usual.manifest)
    assert len(cohort.pairs) == 2


def write_as_since_2024(tables):
    """The tables as LONI hands them out now: a prefix, PHASE, a code or flags of the diagnosis."""
    for path in sorted(tables.glob("*.csv")):
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
        name = path.stem.partition("_")[0]
        if name == "DXSUM":
            code = rows["DXCURREN"].where(rows["Phase"] == "ADNI1", rows.pop("DXCHANGE"))
            late = rows.index % 2 == 1
            rows["DIAGNOSIS"] = code.where(late, "")
            for number, flag in enumerate(("DXNORM", "DXMCI", "DXAD"), 1):
                rows[flag] = np.where(code == str(number), "1", "-4")
            rows = rows.drop(columns="DXCURREN")
        rows = rows.rename(columns={"Phase": "PHASE"})
        rows.to_csv(path.with_name(f"All_Subjects_{name}_07Oct2024.csv"), index=False)
        path.unlink()


def test_tables_since_2024_tell_the_same(tmp_path):
    images, tables = tmp_path / "ADNI", tmp_path / "tables"
    write_adni_archive(images, tables, subjects=60, seed=0)
    before = ingest_adni(images, tables, splits=SEEDED)
    write_as_since_2024(tables)
    now = ingest_adni(images, tables, splits=SEEDED)
    pd.testing.assert_frame_equal(now.manifest, before.manifest)
    assert len(now.exclusions) == len(before.exclusions)


def test_table_of_today_whose_name_is_misspelt_is_named(archive, tmp_path):
    archive.write(tmp_path / "ADNI", tmp_path / "tables")
    wrong = tmp_path / "tables/All_Subjects_ADNI_MERGE_07Oct2024.csv"
    (tmp_path / "tables/ADNIMERGE.csv").rename(wrong)
    with pytest.raises(InputError, match=rf"nearest: {re.escape(wrong.name)}"):
        ingest_adni(tmp_path / "ADNI", tmp_path / "tables", splits=SEEDED)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("ADNIMERGE.csv", "DX_bl"),
        ("DXSUM_PDXCONV_ADNIALL_12Mar2020.csv", "DXCHANGE"),
        ("MRIMETA.csv", "Phase"),
        ("MRI3META.csv", "EXAMDATE"),
    ],
)
def test_missing_column(archive, tmp_path, table, column):
    archive.write(tmp_path / "ADNI", tmp_path / "tables")
    path = tmp_path / "tables" / table
    path.write_text(path.read_text().replace(f'"{column}"', '"X"'))
    with pytest.raises(InputError, match=f"{table} has no column {column}"):
        ingest_adni(tmp_path / "ADNI", tmp_path / "tables", splits=SEEDED)


@pytest.mark.parametrize("table", ["ADNIMERGE", "DXSUM_PDXCONV_ADNIALL", "MRIMETA", "MRI3META"])
def test_missing_table(archive, tmp_path, table):
    archive.write(tmp_path / "ADNI", tmp_path / "tables")
    for path in (tmp_path / "tables").glob(f"{table}*"):
        path.unlink()
    with pytest.raises(InputError, match=f"holds no table {table}.csv"):
        ingest_adni(tmp_path / "ADNI", tmp_path / "tables", splits=SEEDED)


def test_vitals_are_not_needed(tmp_path):
    write_adni_archive(tmp_path / "ADNI", tmp_path / "tables", subjects=60, seed=0)
    (tmp_path / "tables" / "VITALS.csv").unlink()
    assert len(ingest_adni(tmp_path / "ADNI", tmp_path / "tables", splits=SEEDED).pairs) > 0


def test_path_with_odd_characters(tmp_path):
    folder = tmp_path / 'it\'s "ADNI" $(x)'
    write_adni_archive(folder / "ADNI", folder / "tables", subjects=60, seed=0)
    cohort = ingest_adni(folder / "ADNI", folder / "tables", splits=SEEDED)
    assert all(Path(path).is_file() for path in cohort.manifest["path"])


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> tuple[Archive, Cohort]:
    folder = tmp_path_factory.mktemp("large")
    archive = write_adni_archive(folder / "ADNI", folder / "tables", subjects=300, seed=1)
    return archive, ingest_adni(folder / "ADNI", folder / "tables", splits=SEEDED)


def test_every_row_and_file_is_accounted_for(large):
    archive, cohort = large
    exclusions, manifest = cohort.exclusions, cohort.manifest
    assert not exclusions["source"].duplicated().any()
    assert (exclusions["reason"] != "").all()
    count = exclusions.groupby("item").size()
    exams = len(archive.rows["MRIMETA"]) + len(archive.rows["MRI3META"])
    assert count["exam"] + len(manifest) == exams
    assert count["image"] + len(manifest) == len(archive.images)
    diagnosed = (manifest["session"] != "m03").sum()
    assert count["diagnosis"] + diagnosed == len(archive.rows["DXSUM_PDXCONV_ADNIALL"])
    used = {Path(path).name for path in manifest["path"]}
    left_out = {Path(path).name for path in exclusions["source"]}
    assert not used & left_out


def test_seeded_splits(large):
    _, cohort = large
    manifest, pairs = cohort.manifest, cohort.pairs
    assert manifest.groupby("subject")["split"].nunique().max() == 1
    evaluated = manifest[manifest["split"] != "train"]
    paired = {*pairs[["subject", "baseline"]].itertuples(index=False, name=None)}
    paired |= {*pairs[["subject", "followup"]].itertuples(index=False, name=None)}
    assert {*evaluated[["subject", "session"]].itertuples(index=False, name=None)} == paired
    strength = manifest.set_index(["subject", "session"])[["field_strength", "label"]]
    baseline = strength.loc[[*pairs[["subject", "baseline"]].itertuples(index=False, name=None)]]
    followup = strength.loc[[*pairs[["subject", "followup"]].itertuples(index=False, name=None)]]
    assert (baseline["field_strength"].to_numpy() == followup["field_strength"].to_numpy()).all()
    assert set(baseline["label"]) == {0}
    assert set(followup["label"]) == {1}


def test_seeded_splits_ignore_the_order_of_rows(large, tmp_path):
    archive, cohort = large
    archive = Archive({name: rows[::-1] for name, rows in archive.rows.items()}, archive.images)
    archive.write(tmp_path / "ADNI", tmp_path / "tables")
    again = ingest_adni(tmp_path / "ADNI", tmp_path / "tables", splits=SEEDED)
    columns = [name for name in MANIFEST_COLUMNS if name != "path"]
    assert cohort.manifest[columns].equals(again.manifest[columns])
    assert cohort.pairs.equals(again.pairs)


@pytest.mark.parametrize("text", ["30", "0030", "023_S_0030", "023S0030"])
def test_rid_of(text):
    assert rid_of(text) == 30


@pytest.mark.parametrize("text", ["", "S_0030", "023_S_30", "-4", "３０", "023_S_0030x"])
def test_rid_of_other_text(text):
    with pytest.raises(ValueError, match="expected a RID"):
        rid_of(text)


@pytest.mark.parametrize("rid", ["inf", "1e300", "9" * 30, "nan", "30.5"])
def test_impossible_rid_is_none(archive, ingest, rid):
    archive.exam(30, "bl", "2006-03-09")
    archive.diagnosis(30, "bl", 2)
    archive.rows["MRIMETA"].append(archive.rows["MRIMETA"][-1] | {"RID": rid})
    excluded = ingest(archive).exclusions
    assert excluded["reason"].tolist() == ["the row has no RID"]


@pytest.mark.parametrize(
    ("age", "whole"), [("70.5", 70), ("inf", None), ("-4", None), ("1e9", None)]
)
def test_impossible_age_is_unknown(archive, ingest, age, whole):
    archive.exam(30, "bl", "2006-03-09")
    archive.diagnosis(30, "bl", 2)
    archive.merge(30, "LMCI", AGE=age, EXAMDATE="2006-03-09")
    found = of_subject(ingest(archive))["bl"]["age"]
    assert found == whole if whole else np.isnan(found)


def test_content_that_was_not_fetched_is_told(archive, ingest, tmp_path):
    archive.exam(30, "bl", "2006-03-09")
    archive.diagnosis(30, "bl", 2)
    image = Path(of_subject(ingest(archive))["bl"]["path"])
    image.unlink()
    image.symlink_to(".git/annex/objects/none")
    lists = {split: str(tmp_path / f"{split}.txt") for split in BACKGROUND}
    told = ingest_adni(tmp_path / "ADNI", tmp_path / "tables", splits={"lists": lists}).exclusions
    row = told.set_index("source").loc[str(image.relative_to(tmp_path / "ADNI"))]
    assert row["rule"] == "no_file"
    assert "datalad get" in row["reason"]


@pytest.mark.parametrize("format", [None, "%m/%d/%Y", "%d/%m/%Y"])
def test_format_of_the_dates(archive, ingest, tmp_path, format):
    archive.exam(30, "bl", "2006-03-09")
    archive.diagnosis(30, "bl", 2)
    ingest(archive)
    for table in (tmp_path / "tables").glob("MRI*.csv"):
        pattern = r"(\d{4})-(\d\d)-(\d\d)"
        written = r"\3/\2/\1" if format == "%d/%m/%Y" else r"\2/\3/\1"
        table.write_text(re.sub(pattern, written, table.read_text()))
    lists = {split: str(tmp_path / f"{split}.txt") for split in BACKGROUND}
    folders = (tmp_path / "ADNI", tmp_path / "tables")
    cohort = ingest_adni(*folders, splits={"lists": lists}, date_format=format)
    assert of_subject(cohort)["bl"]["date"] == "2006-03-09"
