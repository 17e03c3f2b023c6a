"""Ingest of a plain manifest."""

import pandas as pd
import pytest

from pipeline.cohort.ingest import read_cohort, write_cohort
from pipeline.cohort.plain import ingest_manifest
from pipeline.stage.errors import InputError

LABELS = {"column": "class", "healthy": [0], "diseased": [1]}
SPLITS = {"seed": 0, "fractions": {"train": 0.0, "validation": 0.5, "test": 0.5}}
ROWS = [
    *((f"P{n}", session, day, label) for n in range(4) for session, day, label in
      (("a", 10, 0), ("b", 20, 1), ("c", 30, 1))),
    ("H", "a", 0, 0),
    ("D", "a", 0, 1),
]  # fmt: skip


@pytest.fixture
def rows(tmp_path):
    table = pd.DataFrame(ROWS, columns=["subject", "session", "day", "class"])
    table["path"] = table["subject"] + "/" + table["session"] + ".nii"
    for path in table["path"]:
        (tmp_path / "images" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / path).touch()
    return table


def ingest(folder, rows, **settings):
    rows.to_csv(folder / "manifest.csv", index=False)
    arguments = {"splits": SPLITS, "labels": LABELS} | settings
    return ingest_manifest(folder / "manifest.csv", folder / "images", **arguments)


def test_age_and_sex(tmp_path, rows):
    told = rows.assign(age="71", sex="f")
    told.loc[:3, "age"] = ["89+", "200", "old", ""]
    told.loc[4, "age"] = "45,5"
    told.loc[:3, "sex"] = ["Male", "O", "2", ""]
    found = ingest(tmp_path, told).manifest.set_index(["subject", "session"])
    ages, sexes = found["age"], found["sex"]
    assert (ages["P0", "a"], sexes["P0", "a"]) == (89, "M")
    assert ages.isna().sum() == 3
    assert ages.eq(45).sum() == 1
    assert (ages["H", "a"], sexes["H", "a"]) == (71, "F")
    assert sexes.value_counts().to_dict() == {"F": len(rows) - 4, "": 2, "M": 1, "O": 1}


@pytest.mark.parametrize("column", ["sex", "age"])
def test_age_and_sex_may_tell_the_groups(tmp_path, rows, column):
    told = rows.rename(columns={"class": column})
    cohort = ingest(tmp_path, told, labels=LABELS | {"column": column})
    assert len(cohort.pairs) == len(ingest(tmp_path, rows).pairs)


def test_first_visit_is_the_baseline(tmp_path, rows):
    cohort = ingest(tmp_path, rows)
    assert len(cohort.manifest) == len(rows)
    assert len(cohort.exclusions) == 0
    pairs = cohort.pairs[["subject", "baseline", "followup"]].to_numpy().tolist()
    assert pairs == [[f"P{n}", "a", later] for n in range(4) for later in "bc"]
    visits = cohort.manifest.set_index(["subject", "session"])
    assert visits.loc["P0", "day"].tolist() == [0, 10, 20]
    assert visits.loc[("P0", "b"), "path"] == str(tmp_path / "images/P0/b.nii")
    assert visits.loc["H", "split"].tolist() == ["train"]


def test_without_days_sessions_are_in_natural_order(tmp_path, rows):
    rows = rows.drop(columns="day")
    rows["session"] = rows["session"].map({"a": "m6", "b": "m12", "c": "m120"})
    cohort = ingest(tmp_path, rows)
    assert set(cohort.pairs["baseline"]) == {"m6"}
    assert sorted(set(cohort.manifest["day"])) == [0, 1, 2]


def test_dates_give_days_and_are_not_kept(tmp_path, rows):
    rows["date"] = [f"2010-01-{day + 1:02d}" for day in rows.pop("day")]
    cohort = ingest(tmp_path, rows)
    assert cohort.manifest.loc[cohort.manifest["subject"] == "P1", "day"].tolist() == [0, 10, 20]
    assert (cohort.manifest["date"] == "").all()


def test_field_strengths_that_differ_are_no_pair(tmp_path, rows):
    rows["tesla"] = rows["session"].map({"a": 3, "b": 1.5, "c": 3.0})
    cohort = ingest(tmp_path, rows, columns={"field_strength": "Tesla"})
    assert set(cohort.pairs["followup"]) == {"c"}
    assert cohort.exclusions["reason"].str.contains("its field strength is not").sum() == 4


def test_rows_that_cannot_be_used_are_listed(tmp_path, rows):
    (tmp_path / "images/H/a.nii").rename(tmp_path / "images/H/b.nii")
    rows["class"] = rows["class"].astype(str)
    more = pd.DataFrame([("H", "b", 3, "2", "H/b.nii")], columns=rows.columns)
    rows = pd.concat([rows, more], ignore_index=True)
    with pytest.raises(InputError, match=r"no training image of class 0") as error:
        ingest(tmp_path, rows)
    assert "1  image: There is no such file" in str(error.value)
    assert "1  image: Neither healthy nor diseased" in str(error.value)


def test_row_without_a_name_is_left_out(tmp_path, rows):
    rows.loc[0, "subject"] = "--"
    rows.loc[4, "session"] = ""
    cohort = ingest(tmp_path, rows)
    assert cohort.exclusions["rule"].tolist() == ["no_subject", "no_visit"]


NAMES = {"P0": "OAS2_0001", "P1": "NACC-17", "P2": "Zoë 2", "P3": "sub-P3", "a": "v-1", "b": "v 2"}


def test_names_become_letters_and_digits_and_are_kept(tmp_path, rows):
    expected = ingest(tmp_path, rows)
    rows[["subject", "session"]] = rows[["subject", "session"]].replace(NAMES)
    (tmp_path / "train").write_text("H\nD\n")
    (tmp_path / "validation").write_text("OAS2_0001\nNACC17\n")
    (tmp_path / "test").write_text("Zoë 2\nsub-P3\n")
    lists = {name: str(tmp_path / name) for name in ("train", "validation", "test")}
    manifest = ingest(tmp_path, rows, splits={"lists": lists}).manifest
    assert len(manifest) == len(expected.manifest)
    assert set(manifest["split"]) == {"train", "validation", "test"}
    names = manifest[["subject", "archive_subject"]].drop_duplicates().to_numpy().tolist()
    assert sorted(names) == [
        *(["D", ""], ["H", ""], ["NACC17", "NACC-17"], ["OAS20001", "OAS2_0001"], ["P3", ""]),
        ["Zoe2", "Zoë 2"],
    ]
    names = manifest[["session", "archive_session"]].drop_duplicates().to_numpy().tolist()
    assert sorted(names) == [["c", ""], ["v1", "v-1"], ["v2", "v 2"]]


@pytest.mark.parametrize(
    ("column", "one", "other", "row"),
    [
        ("subject", "S0", "s0", 4),
        ("subject", "S_0", "S-0", 4),
        ("subject", "Zoë", "Zoe", 4),
        ("session", "M1", "m1", 1),
        ("session", "1.0", "10", 1),
    ],
)
def test_names_that_fall_together_are_shown(tmp_path, rows, column, one, other, row):
    rows.loc[0, column], rows.loc[row, column] = one, other
    said = rf"^manifest.csv:2 and manifest.csv:{row + 2}: the {column}s '{one}' and '{other}' would"
    with pytest.raises(InputError, match=said):
        ingest(tmp_path, rows)


def test_missing_column_is_named(tmp_path, rows):
    with pytest.raises(InputError, match="has no column path"):
        ingest(tmp_path, rows.rename(columns={"path": "file"}))
    cohort = ingest(tmp_path, rows.rename(columns={"path": "file"}), columns={"path": "file"})
    assert len(cohort.manifest) == len(rows)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("day", "soon", "day is not a number of days"),
        ("day", "inf", "day is not a number of days"),
        ("day", "nan", "day is not a number of days"),
        ("day", "1e300", "day is not a number of days"),
        ("date", "3/44/2010", "date is not a date as the others are"),
        ("date", "2010-01-01 or so", "date is not a date as the others are"),
        ("field_strength", "inf", "field_strength is not a field strength in tesla"),
        ("field_strength", "-1", "field_strength is not a field strength in tesla"),
        ("field_strength", "15000", "field_strength is not a field strength in tesla"),
        ("field_strength", "3T", "field_strength is not a field strength in tesla"),
        ("score", "-inf", "score is not a number"),
        ("score", "nan", "score is not a number"),
    ],
)
def test_row_with_an_impossible_value_is_left_out(tmp_path, rows, column, value, said):
    """One wrong row stops no other."""
    rows = rows.assign(date="", field_strength="", score="").astype(object)
    rows.loc[1, column] = value
    cohort = ingest(tmp_path, rows)
    told = cohort.exclusions[["source", "rule", "reason"]].to_numpy().tolist()
    assert told == [["manifest.csv:3", "bad_value", said]]
    assert len(cohort.manifest) == len(rows) - 1
    assert cohort.manifest.loc[cohort.manifest["subject"] == "P0", "day"].tolist() == [0, 20]


def test_a_value_that_is_missing_leaves_nothing_out(tmp_path, rows):
    """R writes NA, SAS a point."""
    rows["score"], rows["date"], rows["field_strength"] = "NA", ".", "n/a"
    cohort = ingest(tmp_path, rows)
    assert len(cohort.manifest) == len(rows)
    assert cohort.manifest["score"].isna().all()


def test_table_of_a_german_spreadsheet(tmp_path, rows):
    rows["date"] = [f"{day + 1:02d}.01.2010 08:30" for day in rows.pop("day")]
    rows["field_strength"] = "1,5"
    expected = ingest(tmp_path, rows).manifest
    rows.to_csv(tmp_path / "manifest.csv", index=False, sep=";", encoding="cp1252")
    found = ingest_manifest(
        tmp_path / "manifest.csv", tmp_path / "images", splits=SPLITS, labels=LABELS
    ).manifest
    pd.testing.assert_frame_equal(found, expected)
    assert found.loc[found["subject"] == "P1", "day"].tolist() == [0, 10, 20]
    assert (found["field_strength"] == 1.5).all()


def test_a_repeated_row_is_one(tmp_path, rows):
    cohort = ingest(tmp_path, pd.concat([rows, rows.iloc[[1, 4, 4]]]))
    assert len(cohort.manifest) == len(rows)
    told = cohort.exclusions[["source", "rule", "reason"]].to_numpy().tolist()
    assert told == [
        ["manifest.csv:16", "repeated", "the row repeats manifest.csv:3"],
        ["manifest.csv:17", "repeated", "the row repeats manifest.csv:6"],
        ["manifest.csv:18", "repeated", "the row repeats manifest.csv:6"],
    ]


@pytest.mark.parametrize(("column", "value"), [("day", 21), ("class", 0), ("path", "P0/c.nii")])
def test_contradictory_rows_name_their_lines_and_stop_no_others(tmp_path, rows, column, value):
    cohort = ingest(tmp_path, pd.concat([rows, rows.iloc[[1]].assign(**{column: value})]))
    told = cohort.exclusions.set_index("source")[["rule", "reason"]]
    why = "the rows of the image contradict each other: manifest.csv:3, 16"
    assert told.loc["manifest.csv:3"].tolist() == ["contradiction", why]
    assert told.loc["manifest.csv:16"].tolist() == ["contradiction", why]
    assert len(cohort.manifest) == len(rows) - 1


def relabelled(rows, healthy, diseased):
    return rows.assign(**{"class": rows["class"].map({0: healthy, 1: diseased})})


@pytest.mark.parametrize(
    ("healthy", "diseased", "labels"),
    [
        ("no", "yes", (False, True)),
        ("No", "YES", (False, True)),
        ("FALSE", "True", (False, True)),
        ("off", "on", (False, True)),
        ("0.0", "1.0", (0, 1)),
        ("00", "01", (0, 1)),
        ("0", "1", (0.0, 1.0)),
        ("0.0", "1.0", ("0", "1")),
        ("1.50", "2", (1.5, 2)),
    ],
)
def test_labels_mean_what_the_table_means(tmp_path, rows, healthy, diseased, labels):
    """As YAML hands them on."""
    expected = ingest(tmp_path, rows).manifest
    found = ingest(
        tmp_path,
        relabelled(rows, healthy, diseased),
        labels={"column": "class", "healthy": [labels[0]], "diseased": [labels[1]]},
    ).manifest
    drop = ["diagnosis"]
    pd.testing.assert_frame_equal(found.drop(columns=drop), expected.drop(columns=drop))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ((8, "020"), r"labels.healthy: 8 is nowhere in the column class, which holds 010, 020;"),
        (("010", True), r"labels.diseased: true is nowhere in .*, which holds 010, 020;"),
        (("10", "010"), "labels: '010' cannot be healthy and diseased"),
    ],
)
def test_labels_that_the_table_lacks_are_shown_beside_its_own(tmp_path, rows, labels, said):
    labels = {"column": "class", "healthy": [labels[0]], "diseased": [labels[1]]}
    with pytest.raises(InputError, match=said):
        ingest(tmp_path, relabelled(rows, "010", "020"), labels=labels)


def test_path_of_nearly_the_name_of_a_file(tmp_path, rows, caplog):
    (tmp_path / "images/P0/b.nii").rename(tmp_path / "images/P0/B.nii.gz")
    cohort = ingest(tmp_path, rows)
    reason = cohort.exclusions["reason"].tolist()
    folder = tmp_path / "images/P0"
    assert reason == [
        f"there is no file of this path: that of {folder / 'B.nii.gz'} differs in upper and lower "
        "case and the suffix .gz"
    ]
    assert "rows find no file: 1" in caplog.text
    with pytest.raises(InputError, match=r"rows find no file: 14, such as manifest\.csv:2"):
        ingest(tmp_path, rows.assign(path=rows["path"].str.upper().str.replace(".NII", ".NII.GZ")))


def test_listed_subjects_that_are_written_otherwise(tmp_path, rows, caplog):
    lists = {name: str(tmp_path / name) for name in ("train", "validation", "test")}
    for name, text in {"train": "H\nd\n", "validation": "P0\np1\n", "test": "P2\nP3"}.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match="no training image of class 1"):
        ingest(tmp_path, rows, splits={"lists": lists})
    assert "listed subjects are not found: 2, such as" in caplog.text
    assert "differs in upper and lower case" in caplog.text


@pytest.mark.parametrize("mark", ["NA", "n/a", "#N/A", "."])
def test_missing_diagnosis_is_no_other_class(tmp_path, rows, mark):
    rows["class"] = rows["class"].astype(str)
    rows.loc[1, "class"] = mark
    assert ingest(tmp_path, rows).exclusions["rule"].tolist() == ["no_diagnosis"]
    rows["class"] = rows["class"].replace({"0": "none", mark: "1"})
    labels = {"column": "class", "healthy": ["none"], "diseased": [1]}
    assert ingest(tmp_path, rows, labels=labels).exclusions.empty


def test_paths_that_can_be_none_stop_no_others(tmp_path, rows):
    rows.loc[0, "path"], rows.loc[4, "path"] = "p" * 300, f"{'p' * 300}/{'q' * 5000}.nii"
    cohort = ingest(tmp_path, rows)
    assert cohort.exclusions["rule"].tolist() == ["no_file"] * 2
    assert len(cohort.manifest) == len(rows) - 2


@pytest.mark.parametrize(
    ("told", "called"), [(2.89362, 3), (1.494, 1.5), (3, 3), (6.98, 7), (0.064, 0.064), (1.2, 1.2)]
)
def test_field_strength_is_what_a_scanner_is_called_by(tmp_path, rows, told, called):
    found = ingest(tmp_path, rows.assign(field_strength=told)).manifest
    assert (found["field_strength"] == called).all()


def test_row_without_a_path_is_no_scan_of_the_folder(tmp_path, rows):
    rows.loc[[0, 3], "path"] = ""
    told = ingest(tmp_path, rows, modality="brain").exclusions[["rule", "reason"]]
    assert told.to_numpy().tolist() == [["no_file", "the row has no path"]] * 2


def test_table_without_rows(tmp_path, rows):
    with pytest.raises(InputError, match="class, which holds nothing"):
        ingest(tmp_path, rows.iloc[:0])


def test_names_that_look_like_numbers_or_like_nothing_are_names(tmp_path, rows):
    """Neither do leading zeros go, nor is a subject called NA one that is missing."""
    rows["subject"] = rows["subject"].replace({"P0": "007", "P1": "NA", "H": "null", "D": "1e5"})
    rows["session"] = rows["session"].replace({"a": "01"})
    write_cohort(ingest(tmp_path, rows), tmp_path / "ingest")
    cohort = read_cohort(tmp_path / "ingest")
    assert set(cohort.manifest["subject"]) == {"007", "NA", "null", "1e5", "P2", "P3"}
    assert set(cohort.pairs["subject"]) == {"007", "NA", "P2", "P3"}
    assert set(cohort.pairs["baseline"]) == {"01"}


def test_two_sessions_of_the_same_date(tmp_path, rows):
    """Which of them is the first nobody knows, so the subject is in no pair."""
    rows["date"] = [f"2010-01-{day + 1:02d}" for day in rows.pop("day")]
    rows.loc[1, "date"] = rows.loc[0, "date"]
    cohort = ingest(tmp_path, rows)
    assert set(cohort.pairs["subject"]) == {"P1", "P2", "P3"}
    assert set(cohort.manifest.loc[cohort.manifest["subject"] == "P0", "split"]) == {"train"}
    rows["date"] = "2010-01-01"
    with pytest.raises(InputError, match="no validation pair") as refusal:
        ingest(tmp_path, rows)
    assert "4  the subject has more than one baseline visit" in str(refusal.value)


@pytest.mark.parametrize("bound", ["class", "score"])
def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path, rows, bound):
    """Spreadsheets write one; the first column is whatever stands first."""
    rows["score"] = 1
    rows = rows[[bound, *rows.columns.drop(bound)]]
    expected = ingest(tmp_path, rows).manifest
    rows.to_csv(tmp_path / "manifest.csv", index=False, encoding="utf-8-sig")
    found = ingest_manifest(
        tmp_path / "manifest.csv", tmp_path / "images", splits=SPLITS, labels=LABELS
    ).manifest
    pd.testing.assert_frame_equal(found, expected)
