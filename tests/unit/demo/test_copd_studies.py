"""The simulated archive of chest films: files, headers, tests, truth and repeatability."""

import csv
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRLittleEndian

from pipeline.cohort.copd import ingest_copd
from pipeline.demo import copd_studies, film_writer
from pipeline.demo.chest_disease import FIELD_STEP
from pipeline.demo.copd_studies import FAULTS, make_demo_copd
from pipeline.demo.film_writer import TRANSFER_SYNTAXES
from pipeline.dicom.film import read_film
from pipeline.stage.errors import ImageError
from pipeline.stage.layout import true_field

SETTINGS = {"seed": 4, "normal": 5, "copd": 4, "paired": 5, "faulty": 1, "height": 96}
SUBJECTS = 5 + 4 + 5 + len(FAULTS)


def _make(folder: Path, **changes) -> Path:
    paths = (folder / name for name in ("films", "spirometry.csv", "truth", "key"))
    make_demo_copd(*paths, **SETTINGS | changes)
    return folder


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    return _make(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def headers(archive) -> list[pydicom.Dataset]:
    found = []
    for path in sorted((archive / "films").rglob("*.dcm")):
        try:
            found.append(pydicom.dcmread(path, stop_before_pixels=True))
        except InvalidDicomError:
            assert path.name == "notes.dcm"
    return found


@pytest.fixture(scope="module")
def tests(archive) -> pd.DataFrame:
    return pd.read_csv(archive / "spirometry.csv", parse_dates=["TestDate"])


@pytest.fixture(scope="module")
def gaps(headers, tests) -> pd.DataFrame:
    """Nearest test of each PA film."""
    rows = []
    for header in headers:
        if header.SeriesDescription != "CHEST PA":
            continue
        mine = tests[tests["PatientID"] == header.PatientID]
        days = (mine["TestDate"] - pd.Timestamp(header.StudyDate)).dt.days
        rows.append(
            {
                "patient": header.PatientID,
                "nearest": days.abs().min(),
                "ties": int((days.abs() == days.abs().min()).sum()),
            }
        )
    return pd.DataFrame(rows)


def test_same_seed_same_bytes_other_seed_other_films(archive, tmp_path):
    assert _contents(_make(tmp_path / "again")) == _contents(archive)
    other = _contents(_make(tmp_path / "other", seed=5, normal=1, copd=1, paired=1, faulty=0))
    films = {name for name in _contents(archive) if name.endswith(".dcm")}
    assert {Path(name).name for name in films & set(other)} == {"notes.dcm"}


def test_nothing_half_written_remains_when_it_fails(tmp_path, monkeypatch):
    def broken(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(copd_studies, "_write_truth", broken)
    with pytest.raises(OSError, match="full"):
        _make(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_files_lie_in_folders_that_are_no_names(archive, headers):
    for header in headers:
        assert Path(header.filename) == (
            archive / "films" / header.StudyInstanceUID / f"{header.SOPInstanceUID}.dcm"
        )
        assert header.StudyInstanceUID.is_valid
        assert header.SOPInstanceUID.is_valid
    assert "SIMULATED" in (archive / "films" / "README.txt").read_text()


def test_headers_are_those_of_radiographs(headers):
    kinds = Counter(
        (header.Modality, header.PhotometricInterpretation, header.BitsStored) for header in headers
    )
    assert {modality for modality, _, _ in kinds} == {"CR", "DX"}
    assert {polarity for _, polarity, _ in kinds} == {"MONOCHROME1", "MONOCHROME2"}
    assert {bits for _, _, bits in kinds} == {12, 14, 15, 16}
    assert 0 < sum("RescaleSlope" in header for header in headers) < len(headers)
    views = Counter(header.get("ViewPosition", "none") for header in headers)
    assert set(views) == {"PA", "AP", "LL", "none"}
    assert views["PA"] > len(headers) / 2
    for header in headers:
        assert header.ImagerPixelSpacing[0] * header.Rows == pytest.approx(430, rel=1e-3)


def test_both_polarities_show_the_lungs_dark(headers):
    for header in headers:
        if header.get("ViewPosition", "PA") != "PA" or _is_truncated(header):
            continue
        pixels = pydicom.dcmread(header.filename).pixel_array.astype(float)
        assert pixels.max() < 2**header.BitsStored
        if header.PhotometricInterpretation == "MONOCHROME1":
            pixels = pixels.max() - pixels
        rows, columns = pixels.shape
        spine = pixels[
            int(0.45 * rows) : int(0.55 * rows), int(0.46 * columns) : int(0.54 * columns)
        ]
        lung = pixels[int(0.45 * rows) : int(0.55 * rows), int(0.2 * columns) : int(0.3 * columns)]
        assert spine.mean() > lung.mean()


def _is_truncated(header: pydicom.Dataset) -> bool:
    try:
        read_film(Path(header.filename))
    except ImageError as error:
        assert "truncated" in str(error)
        return True
    return False


def test_one_film_is_truncated(headers):
    assert sum(map(_is_truncated, headers)) == SETTINGS["faulty"]


def test_films_are_kept_as_archives_do_without_loss(archive, headers, tmp_path, monkeypatch):
    syntaxes = {header.file_meta.TransferSyntaxUID for header in headers}
    assert syntaxes == set(TRANSFER_SYNTAXES)
    monkeypatch.setattr(film_writer, "TRANSFER_SYNTAXES", {ExplicitVRLittleEndian: 1.0})
    plain = _make(tmp_path)
    for header in headers:
        if not _is_truncated(header):
            film = Path(header.filename)
            other = plain / film.relative_to(archive)
            np.testing.assert_array_equal(read_film(film), read_film(other))
            syntax = pydicom.dcmread(other, stop_before_pixels=True).file_meta.TransferSyntaxUID
            assert syntax == ExplicitVRLittleEndian


def test_every_identifying_string_is_listed(archive, headers):
    listed = set((archive / "truth" / "identifiers.txt").read_text().splitlines())
    assert "" not in listed
    for header in headers:
        for keyword in (
            "PatientID",
            "PatientName",
            "PatientBirthDate",
            "PatientAddress",
            "OtherPatientIDs",
            "ReferringPhysicianName",
            "InstitutionName",
        ):
            assert str(header[keyword].value) in listed
        assert any(line in header.AccessionNumber for line in listed)


def test_spirometry_has_the_awkward_rows(tests, headers, gaps):
    with_ratio = tests.dropna(subset="FEV1_FVC")
    assert len(tests) - len(with_ratio) == SETTINGS["faulty"]
    np.testing.assert_allclose(with_ratio.FEV1 / with_ratio.FVC, with_ratio.FEV1_FVC, atol=0.01)
    assert tests.loc[tests.Transplant == 1, "PatientID"].nunique() == SETTINGS["faulty"]
    assert (gaps.groupby("patient").nearest.min() > 30).sum() == SETTINGS["faulty"]  # late test
    assert gaps.nearest.isna().sum() == SETTINGS["faulty"]  # no test
    assert (gaps.ties > 1).sum() >= 1


def test_two_pa_films_in_one_study_only_where_planned(headers):
    studies = Counter(h.StudyInstanceUID for h in headers if h.SeriesDescription == "CHEST PA")
    assert sum(count > 1 for count in studies.values()) == SETTINGS["faulty"]


def test_every_subject_has_films_and_pairs_have_a_true_field(archive, headers, tests):
    assert len({header.PatientID for header in headers}) == SUBJECTS
    fields = sorted((archive / "truth").rglob("*.nii.gz"))
    assert len({path.parent for path in fields}) == SETTINGS["paired"]
    totals = [path for path in fields if path.name.endswith("_total.nii.gz")]
    assert len(totals) * 2 == len(fields)
    for path in totals:
        total = nib.load(path)
        disease = nib.load(path.with_name(path.name.replace("total", "disease")))
        columns, rows = total.shape[:2]
        assert total.shape == (columns, rows, 1, 1, 2)
        assert total.header.get_intent()[0] == "vector"
        np.testing.assert_array_equal(np.diag(total.affine)[:2], FIELD_STEP)
        film = headers[0]
        assert (columns - 1) * FIELD_STEP >= film.Columns - 1 > (columns - 2) * FIELD_STEP
        assert (rows - 1) * FIELD_STEP >= film.Rows - 1 > (rows - 2) * FIELD_STEP
        # Somewhere each subject's disease is at work.
        assert np.linalg.norm(disease.get_fdata(), axis=-1).max() > 0.008 * film.Rows
        change = np.abs(total.get_fdata() - disease.get_fdata()).max()
        assert 0 < change < 0.03 * film.Rows


def test_pairs_find_their_true_fields_under_the_names_of_the_manifest(archive):
    splits = {"seed": 0, "fractions": {"train": 0.0, "validation": 0.5, "test": 0.5}}
    files = (archive / "films", archive / "spirometry.csv")
    cohort = ingest_copd(*files, splits=splits, pseudonym_key=archive / "key")
    assert cohort.pairs["subject"].nunique() == SETTINGS["paired"]
    for pair in cohort.pairs.itertuples():
        for kind in ("total", "disease"):
            assert true_field(archive / "truth", pair.subject, pair.followup, kind).is_file()


def test_table_is_plain_csv(archive):
    with (archive / "spirometry.csv").open(newline="") as stream:
        columns = next(csv.reader(stream))
    assert columns == [
        "PatientID",
        "TestDate",
        "FEV1",
        "FVC",
        "FEV1_FVC",
        "FEV1_PctPred",
        "Transplant",
    ]
