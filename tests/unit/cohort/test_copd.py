import hashlib
import hmac
import re
import shutil
from datetime import date, timedelta
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pydicom
import pytest
from helpers.film_files import make_dicom, ramp_film
from helpers.studies import COPD
from PIL import Image
from pydicom.data import get_testdata_file

from pipeline.cohort.copd import NO_PAIR, ingest_copd
from pipeline.cohort.flow_page import write_cohort_page
from pipeline.cohort.ingest import write_cohort
from pipeline.cohort.pseudonyms import read_key
from pipeline.cohort.spirometry import SpirometryColumns, match_tests, read_spirometry
from pipeline.stage.errors import InputError

START = date(2015, 3, 1)
SEEDED = {"seed": 0, "fractions": {"train": 0.5, "validation": 0.2, "test": 0.3}}
HEADER = "PatientID,TestDate,FEV1,FVC,FEV1_FVC,FEV1_PctPred,Transplant\n"
KEY = bytes(range(32))


class Archive:
    """A folder of films and a spirometry table, filled by the tests."""

    def __init__(self, folder):
        self.folder = folder
        self.films = folder / "films"
        self.films.mkdir(parents=True)
        self.tests = []
        self.key = folder / "key"
        self.key.write_text(KEY.hex())

    def film(self, patient, day=0, name=None, **tags):
        name = name or f"{patient}/{day}.dcm"
        tags.setdefault("StudyDate", f"{START + timedelta(days=day):%Y%m%d}")
        return make_dicom(self.films / name, ramp_film(8, 8), PatientID=patient, **tags)

    def test(self, patient, day=0, ratio="0.8", transplant="0"):
        when = day if isinstance(day, str) else (START + timedelta(days=day)).isoformat()
        self.tests.append(f"{patient},{when},2.0,3.0,{ratio},80,{transplant}\n")

    def ingest(self, splits=SEEDED, **options):
        table = self.folder / "spirometry.csv"
        table.write_text(HEADER + "".join(self.tests), encoding="utf-8")
        return ingest_copd(self.films, table, splits=splits, pseudonym_key=self.key, **options)


@pytest.fixture
def archive(tmp_path):
    return Archive(tmp_path / "Ångström, 'Zoë' \"$(x)\"")


def name_of(patient):
    return hmac.new(KEY, patient.encode(), hashlib.sha256).hexdigest()[:12]


def reasons(cohort, item="film"):
    rows = cohort.exclusions[cohort.exclusions["item"] == item]
    return dict(zip(rows["source"], rows["reason"], strict=True))


def test_single_films_train_and_pairs_evaluate(archive):
    archive.film("one")
    archive.test("one", 3, "0.69")
    for number in range(5):
        patient = f"MRN{number}"
        for day, ratio in ((0, "0.8"), (400, "0.6"), (401, "0.65"), (11000, "0.7")):
            archive.film(patient, day)
            archive.test(patient, day, ratio)
    cohort = archive.ingest()
    manifest = cohort.manifest
    assert cohort.exclusions.empty
    train = manifest[manifest["split"] == "train"]
    assert train[["subject", "session", "diagnosis"]].to_numpy().tolist() == [
        [name_of("one"), "d0000", "COPD"]
    ]
    assert manifest.groupby("split")["subject"].nunique().to_dict() == {
        "test": 3, "train": 1, "validation": 2
    }  # fmt: skip
    of_one = manifest[manifest["subject"] == name_of("MRN0")].set_index("session")
    assert list(of_one.index) == ["d0000", "d0400", "d0401", "d11000"]
    assert of_one["label"].tolist() == [0, 1, 1, 0]  # a ratio of 0.7 itself is normal
    assert of_one["day"].tolist() == [0, 400, 401, 11000]
    assert len(cohort.pairs) == 5 * 4
    assert set(manifest["date"]) == {""}
    assert not re.search("MRN|2015", manifest.drop(columns="path").to_csv())


def test_which_films_count(archive):
    tags = {
        "ap.dcm": {"ViewPosition": "AP"},
        "lateral.dcm": {"ViewPosition": "LL"},
        "unknown.dcm": {"ViewPosition": None},
        "oblique.dcm": {"ViewPosition": "RLO"},
        "ct.dcm": {"Modality": "CT"},
        "no date.dcm": {"StudyDate": "unknown"},
        "no study.dcm": {"StudyInstanceUID": None},
        "described.dcm": {"ViewPosition": None, "SeriesDescription": "Thorax PA"},
    }
    for name, extra in tags.items():
        if name == "no date.dcm":
            with pytest.warns(UserWarning):
                archive.film("zoë", name=name, **extra)
        else:
            archive.film("zoë", name=name, **extra)
    archive.film("", name="no id.dcm")
    shutil.copy(get_testdata_file("dicomdirtests/DICOMDIR", download=False), archive.films)
    with ZipFile(archive.films / "films.zip", "w") as packed:
        packed.write(archive.film("zoë", name="inside.dcm"))
    (archive.films / "inside.dcm").unlink()
    (archive.films / "empty").touch()
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):  # no part of the archive
        (archive.films / name).write_bytes(b"window")
    (archive.films / "text.dcm").write_text("no film")
    cut = archive.film("zoë", name="cut.dcm")
    cut.write_bytes(cut.read_bytes()[:300])
    archive.test("zoë")
    cohort = archive.ingest()
    assert [path.rsplit("/", 1)[1] for path in cohort.manifest["path"]] == ["described.dcm"]
    assert cohort.manifest["subject"].tolist() == [name_of("zoë")]
    assert cohort.manifest["view_reason"].tolist() == ["series description"]
    found = reasons(cohort)
    assert "cut.dcm" in found
    del found["cut.dcm"]
    assert found == {
        "ap.dcm": "not a PA film: AP, by its ViewPosition",
        "lateral.dcm": "not a PA film: LATERAL, by its ViewPosition",
        "unknown.dcm": "not known to be a PA film: "
        "neither ViewPosition nor descriptions nor file name name one view",
        "oblique.dcm": "not a PA film: another ViewPosition",
        "ct.dcm": "not a film by its modality",
        "no date.dcm": "the date is missing or not a date",
        "no study.dcm": "StudyInstanceUID or SOPInstanceUID is missing",
        "no id.dcm": "PatientID is missing",
        "empty": "the file is empty",
        "DICOMDIR": "a DICOM file without an image",
        "films.zip": "a zip archive; unpack it beside the films",
        "text.dcm": "not a DICOM, PNG or JPEG file",
    }


def test_studies_of_several_films_and_copies_of_an_image(archive):
    archive.film("a", name="1.dcm", StudyInstanceUID="1.2")
    archive.film("a", name="2.dcm", StudyInstanceUID="1.2")
    archive.film("a", name="3.dcm", StudyInstanceUID="1.2", ViewPosition="LL")
    archive.film("b", name="4.dcm", SOPInstanceUID="1.2.3")
    archive.film("b", name="5.dcm", SOPInstanceUID="1.2.3")
    archive.film("c", name="6.dcm", StudyInstanceUID="1.3")
    archive.film("c", name="7.dcm", StudyInstanceUID="1.3", ViewPosition="LL")
    for patient in "abc":
        archive.test(patient)
    cohort = archive.ingest()
    assert sorted(path[-5:] for path in cohort.manifest["path"]) == ["4.dcm", "6.dcm"]
    found = reasons(cohort)
    assert found["1.dcm"] == found["2.dcm"] == "the study has several PA films"
    assert found["5.dcm"] == "the same image as 4.dcm"


def test_which_tests_count(archive):
    for patient in ("far", "edge", "late", "transplant", "shared"):
        archive.film(patient)
    archive.film("shared", 4)
    archive.film("none")
    archive.test("far", 30)
    archive.test("edge", -29, "0.5")
    archive.test("late", 20, "")
    archive.test("transplant", 0)
    archive.test("transplant", "", transplant="1")
    archive.test("shared", 3)
    archive.test("stranger", 0)
    archive.test("edge", "March 2015")
    archive.test("edge", 0, "n/a")
    archive.test("edge", 0, "1.2")
    archive.test("", 0)
    cohort = archive.ingest()
    sessions = cohort.manifest.set_index("subject")[["session", "label"]]
    assert sessions.loc[name_of("edge")].tolist() == ["d0000", 1]
    assert set(sessions.index) == {name_of("edge"), name_of("shared")}
    assert cohort.manifest["path"].str.endswith("shared/4.dcm").any()
    assert reasons(cohort) == {
        "far/0.dcm": "no usable spirometry within the day limit",
        "late/0.dcm": "the subject has no usable spirometry",
        "none/0.dcm": "the subject has no usable spirometry",
        "transplant/0.dcm": "the subject has a lung transplant",
        "shared/0.dcm": "every spirometry within the day limit has a nearer film",
    }
    assert reasons(cohort, "test") == {
        "spirometry.csv:2": "no usable PA film within the day limit",
        "spirometry.csv:4": "FEV1/FVC is missing",
        "spirometry.csv:5": "the subject has a lung transplant",
        "spirometry.csv:6": "the date of the test is missing",
        "spirometry.csv:8": "the subject has no usable PA film",
        "spirometry.csv:9": "the date of the test is not a date",
        "spirometry.csv:10": "FEV1/FVC is not a number",
        "spirometry.csv:11": "FEV1/FVC is not between 0 and 1",
        "spirometry.csv:12": "the patient's id is missing",
    }


def test_every_file_and_row_is_accounted_for(archive):
    rng = np.random.default_rng(3)
    for patient in range(12):
        for day in rng.integers(0, 90, 3):
            archive.film(f"p{patient}", int(day), f"p{patient}/{rng.integers(1e9)}")
        for day in rng.integers(0, 90, 4):
            archive.test(f"p{patient}", int(day), f"{rng.uniform(0.5, 0.9):.2f}")
    cohort = archive.ingest()
    excluded = cohort.exclusions["item"].value_counts()
    assert len(cohort.manifest) + excluded["film"] == 36
    assert len(cohort.manifest) + excluded["test"] == 48
    assert (cohort.exclusions["reason"] != "").all()
    in_pairs = set(cohort.pairs["subject"])
    assert set(cohort.manifest.loc[cohort.manifest["split"] != "train", "subject"]) == in_pairs
    pd.testing.assert_frame_equal(archive.ingest().manifest, cohort.manifest)


def test_films_without_a_pair_and_their_tests_are_excluded(archive):
    for day in (0, 100):
        archive.film("a", day)
        archive.test("a", day)
    cohort = archive.ingest()
    assert cohort.manifest.empty
    assert reasons(cohort) == {"a/0.dcm": NO_PAIR, "a/100.dcm": NO_PAIR}
    assert set(reasons(cohort, "test").values()) == {f"its film is not used: {NO_PAIR}"}
    assert set(cohort.exclusions["session"]) == {"d0000", "d0100", ""}


def test_splits_from_lists(archive):
    for patient in "abcd":
        for day, ratio in ((0, "0.8"), (100, "0.6")):
            archive.film(patient, day)
            archive.test(patient, day, ratio)
    archive.film("e")
    archive.test("e")
    lists = {"train": "a\n", "validation": name_of("b") + "\ne\n", "test": "c # comment\n"}
    for split, text in lists.items():
        (archive.folder / split).write_text(text)
    cohort = archive.ingest({"lists": {split: str(archive.folder / split) for split in lists}})
    splits = cohort.manifest.drop_duplicates("subject").set_index("subject")["split"].to_dict()
    expected = {"a": "train", "b": "validation", "c": "test"}
    assert splits == {name_of(patient): split for patient, split in expected.items()}
    found = reasons(cohort)
    assert found["d/0.dcm"] == "the subject is in none of the lists of the splits"
    assert found["e/0.dcm"] == "the subject has one film, and its split needs pairs"


def test_png_films(archive):
    for name in ("a PA.png", "b.png", "lat.png", "stranger.png"):
        Image.fromarray(ramp_film(8, 8)).save(archive.films / name)
    table = archive.films / "films.csv"
    table.write_text(
        "path,patient_id,date,view\na PA.png,a,2015-03-01,\nb.png,b,2015030,PA\n"
        "lat.png,a,2015-03-01,\ngone.png,a,2015-03-01,PA\n"
    )
    for patient in "ab":
        archive.test(patient)
    cohort = archive.ingest(films_table=table)
    assert cohort.manifest["subject"].tolist() == [name_of("a")]
    assert cohort.manifest["view_reason"].tolist() == ["file name"]
    assert reasons(cohort) == {
        "b.png": "the date is missing or not a date",
        "lat.png": "not a PA film: LATERAL, by its file name",
        "stranger.png": "a PNG or JPEG film that is not in the films table",
        "films.csv:5": "the archive has no PNG or JPEG film of this name",
    }


def frame(*rows):
    days = [pd.Timestamp(START) + pd.Timedelta(days=day) for _, day in rows]
    return pd.DataFrame({"subject": [subject for subject, _ in rows], "date": days})


def test_nearest_test_and_ties_to_the_earlier():
    films = frame(("a", 0), ("a", 10), ("b", 0))
    tests = frame(("a", 5), ("a", -4), ("a", 11), ("b", 2), ("b", -2))
    assert match_tests(films, tests, 29) == {1: 2, 0: 1, 2: 4}


def test_neither_film_nor_test_gets_a_second_choice():
    assert match_tests(frame(("a", 0), ("a", 1)), frame(("a", 1), ("a", 20)), 29) == {1: 0}
    # Nor does a test whose film has a nearer one: the film of day 10 goes without.
    assert match_tests(frame(("a", 0), ("a", 10)), frame(("a", 1), ("a", 2)), 29) == {0: 0}


def test_tests_of_several_distances_and_their_reasons(archive):
    archive.film("a", 0)
    archive.film("a", 1)
    archive.test("a", 1, "0.5")
    archive.test("a", 20, "0.5")
    cohort = archive.ingest()
    assert reasons(cohort)["a/0.dcm"] == "every spirometry within the day limit has a nearer film"
    assert reasons(cohort, "test") == {
        "spirometry.csv:3": "the nearest film has a nearer spirometry"
    }
    assert cohort.manifest["path"].str.endswith("a/1.dcm").all()


def table_of(folder, *rows, header=HEADER):
    path = folder / "spirometry.csv"
    path.write_text(header + "".join(f"{row}\n" for row in rows))
    return path


def test_per_cent(tmp_path):
    path = table_of(tmp_path, "a,2015-03-01,2,3,70,80,0", "a,2015-03-02,2,3,55.5,80,")
    tests = read_spirometry(path, SpirometryColumns())
    assert tests["ratio"].tolist() == [0.7, 0.555]
    assert not tests["transplant"].any()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a,2015-03-01,2,3,70,80,0", "a,2015-03-02,2,3,0.7,80,0"], "FEV1_FVC is a per cent at"),
        (["a,2015-03-01,2,3,0.7,80,maybe"], "spirometry.csv:2: Transplant is neither"),
        (["a,01/03/2015,2,3,0.7,80,0"], "write them as YYYY-MM-DD"),
    ],
)
def test_bad_tables(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        read_spirometry(table_of(tmp_path, *rows), SpirometryColumns())


def test_missing_column_is_named(tmp_path):
    path = table_of(tmp_path, header=HEADER.replace("FEV1_FVC", "FEV1FVC"))
    with pytest.raises(InputError, match=r"no column FEV1_FVC \(nearest: FEV1FVC\)"):
        read_spirometry(path, SpirometryColumns())


def test_archive_that_is_not_there(archive, tmp_path):
    with pytest.raises(InputError, match="there are no files below"):
        archive.ingest()
    archive.films.rmdir()
    with pytest.raises(InputError, match=r"films: .* is not a folder"):
        archive.ingest()


def test_key_is_made_once_and_private(tmp_path):
    path = tmp_path / "secret" / "key"
    key = read_key(path)
    assert len(key) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key(path) == key
    assert read_key(tmp_path / "other") != key


@pytest.mark.parametrize("text", ["", "secret", "ab12"])
def test_bad_key(tmp_path, text):
    (tmp_path / "key").write_text(text)
    with pytest.raises(InputError, match=r"pseudonym_key: .*key"):
        read_key(tmp_path / "key")


def test_age_sex_and_grade_of_each_film(archive):
    for number, (percent, grade) in enumerate(
        [("80", "1"), ("79.9", "2"), ("30", "3"), ("29", "4")]
    ):
        archive.film(f"S{number}", PatientBirthDate="19500301", PatientSex="F", name=f"{grade}.dcm")
        archive.tests.append(f"S{number},{START},2.0,3.0,0.5,{percent},0\n")
    archive.film("old", PatientBirthDate="19200101", PatientSex="UNSURE", name="old.dcm")
    archive.test("old")  # 0.8 of FVC, 80 % of the predicted FEV1
    archive.film("unknown", PatientBirthDate=None, name="unknown.dcm")
    archive.tests.append(f"unknown,{START},2.0,3.0,0.5,,0\n")
    for patient in ("P0", "P1"):
        archive.film(patient, 0)
        archive.film(patient, 400)
        archive.test(patient, 0, "0.8")
        archive.test(patient, 400, "0.5")
    images = archive.ingest().manifest.set_index("subject")
    for number, grade in enumerate("1234"):
        row = images.loc[name_of(f"S{number}")]
        assert (row["age"], row["sex"], row["grade"]) == (65, "F", grade)
    row = images.loc[name_of("old")]
    assert (row["age"], row["sex"], row["grade"]) == (90, "", "")
    row = images.loc[name_of("unknown")]
    assert np.isnan(row["age"])
    assert row["grade"] == ""


def test_dates_before_birth_are_left_out(archive):
    archive.film("A", 0, PatientBirthDate="20150302")
    archive.film("B", 0, PatientBirthDate="20150210")
    archive.test("A", 2)
    archive.test("B", -25)
    cohort = archive.ingest()
    assert reasons(cohort)["A/0.dcm"] == "the film is dated before the patient's birth"
    assert reasons(cohort, "test")["spirometry.csv:3"] == (
        "the test is dated before the patient's birth"
    )


def test_contradictory_tests_of_a_day_are_left_out(archive):
    for patient, ratios in {"a": "85", "b": "55", "c": "87", "d": "8"}.items():
        archive.film(patient)
        for ratio in ratios:
            archive.test(patient, 0, f"0.{ratio}")
    archive.test("d", 1, "0.5")  # another day
    for number in range(6):
        for day, ratio in ((0, "0.8"), (400, "0.6")):
            archive.film(f"pair{number}", day)
            archive.test(f"pair{number}", day, ratio)
    archive.film("ill")
    archive.test("ill", 0, "0.5")
    cohort = archive.ingest()
    told = cohort.exclusions[cohort.exclusions["rule"] == "contradiction"]
    assert dict(zip(told["source"], told["reason"], strict=True)) == {
        "spirometry.csv:2": "the tests of the day contradict each other: spirometry.csv:2, 3",
        "spirometry.csv:3": "the tests of the day contradict each other: spirometry.csv:2, 3",
    }
    assert reasons(cohort)["a/0.dcm"] == "the subject has no usable spirometry"
    used = cohort.manifest.set_index("subject")["score"]
    assert used[name_of("b")] == 0.5
    assert used[name_of("c")] == 0.8
    assert used[name_of("d")] == 0.8


def test_grade_needs_a_possible_value(tmp_path):
    values = ["85", "inf", "nan", "999", "-4", ""]
    rows = [f"a,2015-03-0{n},2,3,0.6,{value},0" for n, value in enumerate(values, 1)]
    tests = read_spirometry(table_of(tmp_path, *rows), SpirometryColumns())
    assert tests["grade"].tolist() == ["1", "", "", "", "", ""]


def test_thirty_films_of_a_day_have_names_that_files_can_have(archive):
    for number in range(30):
        archive.film("a", 3, name=f"{number}.dcm")
        archive.test("a", 3, f"0.6{number:02d}")
    archive.film("b")
    archive.test("b")
    cohort = archive.ingest()
    assert cohort.manifest.groupby("subject").size().to_dict() == {name_of("a"): 1, name_of("b"): 1}
    named = pd.concat([cohort.manifest["session"], cohort.exclusions["session"]])
    assert named.str.fullmatch("[A-Za-z0-9]*").all()
    # Nothing is lost: a film that is used has one test, and all others are told.
    assert 2 * len(cohort.manifest) + len(cohort.exclusions) == 2 * 31


def test_what_is_made_from_an_original_is_no_further_film(archive):
    study = {"StudyInstanceUID": "1.2"}
    kinds = {
        "enhanced": ["DERIVED", "PRIMARY"],
        "copied": ["DERIVED", "SECONDARY"],
        "original": ["ORIGINAL", "PRIMARY"],
    }
    for number, (name, kind) in enumerate(kinds.items()):
        uid = f"1.2.{number}"
        archive.film("a", name=f"{name}.dcm", SOPInstanceUID=uid, ImageType=kind, **study)
    archive.film("b", name="only.dcm", ImageType=["DERIVED", "SECONDARY"])
    archive.test("a")
    archive.test("b")
    cohort = archive.ingest()
    names = sorted(path.rsplit("/", 1)[1] for path in cohort.manifest["path"])
    assert names == ["only.dcm", "original.dcm"]
    why = "the study has the original of this film"
    assert reasons(cohort) == {"enhanced.dcm": why, "copied.dcm": why}


def test_of_several_films_on_a_day_one_has_the_test(archive):
    for number in range(3):
        archive.film("a", name=f"{number}.dcm")
        archive.test("a", 0, f"0.6{number}")
    archive.film("a", 20)
    archive.test("a", 20, "0.8")
    cohort = archive.ingest()
    used = cohort.manifest.set_index("session")
    assert used["score"].to_dict() == {"d0000": 0.60, "d0020": 0.8}
    why = "every spirometry within the day limit has a nearer film"
    assert reasons(cohort) == {"1.dcm": why, "2.dcm": why}


@pytest.mark.parametrize("uid", ["StudyInstanceUID", "SOPInstanceUID"])
def test_one_uid_in_all_files(archive, uid):
    for number in range(8):
        for day, ratio in ((0, "0.8"), (400, "0.6")):
            path = archive.film(f"p{number}", day, **{uid: "1.2.3"})
            film = pydicom.dcmread(path)
            film.PixelData = bytes([number, day % 251]) + film.PixelData[2:]
            film.save_as(path)
            archive.test(f"p{number}", day, ratio)
    cohort = archive.ingest()
    assert len(cohort.manifest) == 16
    assert cohort.exclusions.empty


def test_copies_have_the_same_pixels(archive):
    whole = archive.film("a", name="2.dcm", SOPInstanceUID="1.2.3", StudyInstanceUID="1.2")
    film = pydicom.dcmread(whole)
    film.PixelData = bytes(2) + film.PixelData[2:]  # not that of b and c
    film.save_as(whole)
    shutil.copy(whole, archive.films / "3.dcm")
    cut = archive.films / "1.dcm"
    cut.write_bytes(whole.read_bytes()[:-60])
    archive.test("a")
    for patient in "bc":
        archive.film(patient, name=f"{patient}.dcm", SOPInstanceUID="4.5.6")
        archive.test(patient)
    cohort = archive.ingest()
    assert [path.rsplit("/", 1)[1] for path in cohort.manifest["path"]] == ["2.dcm"]
    assert reasons(cohort) == {
        "1.dcm": "the pixel data are truncated",
        "3.dcm": "the same image as 2.dcm",
        "b.dcm": "the same image as c.dcm",
        "c.dcm": "the same image as b.dcm",
    }


def test_many_films_lost_as_copies_or_further_films_are_told(archive, caplog):
    for number in range(10):
        archive.film("a", name=f"{number}.dcm", StudyInstanceUID="1.2")
    archive.film("b")
    archive.test("b")
    cohort = archive.ingest()
    told = "films that go because of this: 10 of 11: The study has several PA films"
    assert told in caplog.messages[0]
    write_cohort(cohort, archive.folder / "ingest")
    exclusions = archive.folder / "ingest" / "exclusions.csv"
    page = archive.folder / "page.html"
    about = {**COPD, "data": "real"}
    write_cohort_page(archive.folder / "ingest", exclusions, page, source="copd", about=about)
    assert told in page.read_text()


def test_missing_codes_tell_no_unit(tmp_path):
    days = [f"2015-03-{day:02d}" for day in range(1, 29)]
    for ratios, codes, unit in (
        (["0.8", "0.55"], ["999", "-9", "inf", "1000000"], 1),
        (["80", "55"], ["999", "-9", "-inf", "9999"], 100),
    ):
        rows = [f"a,{day},2,3,{ratio},80,0" for day, ratio in zip(days, ratios * 14, strict=True)]
        rows[5:9] = [f"a,2015-03-06,2,3,{code},80,0" for code in codes]
        tests = read_spirometry(table_of(tmp_path, *rows), SpirometryColumns())
        assert tests["ratio"].iloc[:2].tolist() == [float(ratio) / unit for ratio in ratios]
        left_out = tests[tests["rule"] != ""]
        assert left_out["source"].tolist() == [f"spirometry.csv:{line}" for line in range(7, 11)]
        assert set(left_out["rule"]) == {"bad_value"}


def test_the_bulk_tells_the_unit(tmp_path):
    rows = [f"a,2015-03-{day:02d},2,3,0.{50 + day},80,0" for day in range(1, 29)]
    rows[3] = "a,2015-03-04,2,3,54,80,0"
    tests = read_spirometry(table_of(tmp_path, *rows), SpirometryColumns())
    assert tests.loc[3, "reason"] == "FEV1/FVC is in another unit than in the rest of the table"
    assert (tests["rule"] != "").sum() == 1
    rows[3] = "a,2015-03-04,2,3,54 %,80,0"
    tests = read_spirometry(table_of(tmp_path, *rows), SpirometryColumns())
    assert tests.loc[3, "ratio"] == 0.54
    assert (tests["rule"] == "").all()


def test_spirometry_of_a_german_spreadsheet(tmp_path):
    rows = ["a;15.01.2010;2,1;3,0;70 %;80,5;0", "b;03.01.2010;2,1;3,0;55,5 %;79,9;1"]
    header = HEADER.replace(",", ";")
    tests = read_spirometry(table_of(tmp_path, *rows, header=header), SpirometryColumns())
    assert tests["ratio"].tolist() == [0.7, 0.555]
    assert tests["grade"].tolist() == ["1", "2"]
    assert tests["date"].tolist() == [pd.Timestamp(2010, 1, 15), pd.Timestamp(2010, 1, 3)]
    assert (tests["rule"] == "").all()


def test_date_format_of_the_tables(archive):
    archive.film("a")
    archive.test("a", "03/01/2015", "0.5")
    with pytest.raises(InputError, match="date_format"):
        archive.ingest()
    assert len(archive.ingest(date_format="%m/%d/%Y").manifest) == 1
    assert archive.ingest(date_format="%d/%m/%Y").manifest.empty


def test_repeated_test_is_one(archive):
    archive.film("a", 0, "1.dcm", StudyInstanceUID="1.1")
    archive.film("a", 0, "2.dcm", StudyInstanceUID="1.2")
    for _ in range(2):
        archive.test("a", 0, "0.5")
    cohort = archive.ingest()
    assert reasons(cohort, "test")["spirometry.csv:3"] == "the row repeats spirometry.csv:2"
    assert "every spirometry within the day limit has a nearer film" in reasons(cohort).values()


def test_repeated_and_contradictory_rows_of_the_films_table(archive):
    for name in ("a.png", "b.png"):
        Image.fromarray(ramp_film(8, 8)).save(archive.films / name)
    table = archive.folder / "films.csv"
    table.write_text(
        "path,patient_id,date,view\na.png,a,2015-03-01,PA\na.png,a,2015-03-01,PA\n"
        "b.png,b,2015-03-01,PA\nb.png,c,2015-03-01,PA\n"
    )
    for patient in "abc":
        archive.test(patient)
    cohort = archive.ingest(films_table=table)
    assert cohort.manifest["subject"].tolist() == [name_of("a")]
    why = "the rows of the film contradict each other: films.csv:4, 5"
    assert reasons(cohort) == {"films.csv:3": "the row repeats films.csv:2", "b.png": why}


def test_ids_that_lost_their_zeros(archive, caplog):
    for patient in ("0012", "0013", "0014"):
        archive.film(patient, name=f"{patient[-1]}.dcm")
        archive.test(patient.lstrip("0"), 0, "0.5")
    with pytest.raises(InputError) as error:
        archive.ingest()
    assert str(error.value) == (
        "films find no lung function test: 3, such as 2.dcm (that of spirometry.csv:2 differs in "
        "leading zeros) and 3.dcm (that of spirometry.csv:3 differs in leading zeros); write the "
        "names alike"
    )
    archive.film("a", name="a.dcm")
    archive.test("a", 0, "0.5")
    cohort = archive.ingest()
    assert cohort.manifest["subject"].tolist() == [name_of("a")]
    assert "films find no lung function test: 3" in caplog.text
    assert "001" not in caplog.text
    why = "the patient's id is written otherwise: that of {} differs in leading zeros"
    assert reasons(cohort)["2.dcm"] == why.format("spirometry.csv:2")
    assert reasons(cohort, "test")["spirometry.csv:2"] == why.format("2.dcm")


def test_file_names_in_another_composition(archive, caplog):
    for name in ("Zoe\u0308.png", "b.png"):  # as macOS packs them
        Image.fromarray(ramp_film(8, 8)).save(archive.films / name)
    table = archive.folder / "films.csv"
    rows = ["Zo\u00eb.png,a,2015-03-01,PA", "b.png,b,2015-03-01,PA"]
    table.write_text("path,patient_id,date,view\n" + "\n".join(rows))
    for patient in "ab":
        archive.test(patient)
    cohort = archive.ingest(films_table=table)
    assert cohort.manifest["subject"].tolist() == [name_of("b")]
    assert reasons(cohort)["films.csv:2"] == (
        "the archive has no PNG or JPEG film of this name: that of Zoe\u0308.png differs in how "
        "accented letters are composed"
    )
    assert "rows of the films table find no film: 1" in caplog.text
    table.write_text("path,patient_id,date,view\n" + rows[0])
    (archive.films / "b.png").unlink()
    with pytest.raises(InputError, match="rows of the films table find no film: 1"):
        archive.ingest(films_table=table)
