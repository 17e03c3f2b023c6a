"""Against the real server, Debian's `orthanc`."""

import subprocess

import pandas as pd
import pytest
from helpers.film_files import make_dicom, ramp_film
from helpers.orthanc import (
    PASSWORD,
    USER,
    failing_before,
    free_port,
    has_orthanc,
    running_orthanc,
    tls_before,
)
from pydicom import dcmread
from pydicom.uid import JPEGLosslessSV1

from pipeline.cohort import orthanc
from pipeline.cohort.copd import ingest_copd
from pipeline.cohort.orthanc import Orthanc, fetch_films
from pipeline.cohort.pseudonyms import pseudonym, read_key
from pipeline.demo.copd_studies import make_demo_copd
from pipeline.demo.film_writer import compress_film
from pipeline.dicom.film import read_film, read_header
from pipeline.stage.errors import ImageError, InputError

pytestmark = pytest.mark.skipif(not has_orthanc(), reason="there is no Orthanc here")

SPLITS = {"seed": 0, "fractions": {"train": 0.4, "validation": 0.3, "test": 0.3}}
QUERY = {"Modality": "CR\\DX", "StudyDescription": "*chest*"}


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("ORTHANC_USER", USER)
    monkeypatch.setenv("ORTHANC_PASSWORD", PASSWORD)
    monkeypatch.setattr(orthanc, "BACKOFF", 0.01)
    with running_orthanc(tmp_path / "server") as running:
        yield running


@pytest.fixture
def study(tmp_path):
    """A study of the site's, with what it keeps of the films."""
    return Study(tmp_path / "study")


class Study:
    def __init__(self, folder):
        self.films = folder / "films"
        self.fetched = folder / "fetched.csv"
        self.patients = folder / "patients.csv"
        self.key = folder / "key"

    def fetch(self, url, query=QUERY):
        secrets = {"patients": self.patients, "pseudonym_key": self.key}
        fetch_films(self.films, self.fetched, url=url, query=query, **secrets)
        return pd.read_csv(self.fetched, dtype=str, keep_default_na=False)

    def there(self):
        return {path: path.stat().st_mtime_ns for path in self.films.rglob("*.dcm")}

    def subject(self, patient):
        return pseudonym(read_key(self.key), patient)


def film(folder, patient, day="20150301", **tags):
    name = folder / "archive" / f"{patient} {day} {len(tags)}.dcm"
    texts = {"StudyDescription": "Chest PA", "SeriesInstanceUID": "1.2.3"} | tags
    return make_dicom(name, ramp_film(8, 8), PatientID=patient, StudyDate=day, **texts)


def test_films_come_anonymised_and_the_rest_stays(server, study, tmp_path):
    ours = film(
        tmp_path, "Zoë 7", ViewPosition=None, ImageType=["DERIVED", "PRIMARY"], OtherPatientIDs="7"
    )
    server.store(ours)
    server.store(film(tmp_path, "foot", StudyDescription="Foot"))
    table = study.fetch(server.url)
    assert table["reason"].tolist() == [""]
    [path] = study.there()
    assert path.parent.name == table["subject"][0] == study.subject("Zoë 7")
    header, source = read_header(path), read_header(ours)
    assert header.patient_id == path.parent.name
    assert header.study_date == source.study_date  # the nearest spirometry is found by it
    assert header.derived == source.derived == 1
    assert (header.view, header.view_reason) == ("PA", "ViewPosition")  # was in the description
    assert header.sop_uid.startswith("2.25.")
    assert header.study_uid.startswith("2.25.")
    assert (read_film(path) == read_film(ours)).all()
    texts = dcmread(path)
    assert "StudyDescription" not in texts
    assert "PatientName" not in texts
    assert "OtherPatientIDs" not in texts
    # Nothing is left on the server that was not there; the ids stay in the site's own table.
    assert server.films() == 2
    assert "Zoë 7" in study.patients.read_text(encoding="utf-8")
    assert study.patients.stat().st_mode & 0o777 == 0o600
    assert "Zoë" not in study.fetched.read_text(encoding="utf-8")


def test_what_is_there_is_not_fetched_again(server, study, tmp_path):
    server.store(film(tmp_path, "a"))
    study.fetch(server.url)
    first = study.there()
    server.store(film(tmp_path, "b"))
    assert len(study.fetch(server.url)) == 2
    again = study.there()
    assert len(again) == 2
    assert first.items() <= again.items()


def test_interrupted_fetch_goes_on(server, study, tmp_path, monkeypatch):
    for patient in "abc":
        server.store(film(tmp_path, patient))
    anonymise = Orthanc.anonymise

    def until_the_second(self, *arguments):
        if study.there():
            raise KeyboardInterrupt
        return anonymise(self, *arguments)

    monkeypatch.setattr(Orthanc, "anonymise", until_the_second)
    with pytest.raises(KeyboardInterrupt):
        study.fetch(server.url)
    first = study.there()
    assert len(first) == 1
    assert not study.fetched.exists()
    assert study.patients.exists()
    monkeypatch.undo()
    monkeypatch.setenv("ORTHANC_USER", USER)
    monkeypatch.setenv("ORTHANC_PASSWORD", PASSWORD)
    assert study.fetch(server.url)["reason"].tolist() == ["", "", ""]
    assert first.items() < study.there().items()


def test_study_that_vanishes_does_not_stop_the_others(server, study, tmp_path, monkeypatch):
    for patient in ("here", "also here"):
        server.store(film(tmp_path, patient))
    gone = server.store(film(tmp_path, "gone"))
    find_films = Orthanc.find_films

    def find_and_lose(self, query):
        films = find_films(self, query)
        server.remove_study(gone)
        return films

    monkeypatch.setattr(Orthanc, "find_films", find_and_lose)
    table = study.fetch(server.url)
    assert sorted(table["reason"]) == ["", "", table["reason"].max()]
    assert "vanished" in table["reason"].max()
    assert len(study.there()) == 2
    tests = tmp_path / "spirometry.csv"
    tests.write_text(
        "PatientID,TestDate,FEV1_FVC,FEV1_PctPred,Transplant\nhere,2015-03-01,0.8,90,0\n"
    )
    options = {"splits": SPLITS, "pseudonym_key": study.key, "fetched": study.fetched}
    cohort = ingest_copd(study.films, tests, **options)
    assert cohort.manifest["subject"].tolist() == [study.subject("here")]
    films = cohort.exclusions[cohort.exclusions["item"] == "film"]
    assert len(films) == 2
    assert films["reason"].str.contains("vanished").sum() == 1


def test_films_that_the_query_finds_no_more_are_left_out(server, study, tmp_path):
    server.store(film(tmp_path, "a"))
    server.store(film(tmp_path, "a", "20160301"))
    study.fetch(server.url)
    study.fetch(server.url, QUERY | {"StudyDate": "20160101-"})
    assert len(study.there()) == 2
    tests = tmp_path / "spirometry.csv"
    tests.write_text("PatientID,TestDate,FEV1_FVC,FEV1_PctPred,Transplant\na,2016-03-01,0.8,90,0\n")
    options = {"splits": SPLITS, "pseudonym_key": study.key, "fetched": study.fetched}
    cohort = ingest_copd(study.films, tests, **options)
    assert len(cohort.manifest) == 1
    assert cohort.exclusions["reason"].tolist() == ["not found by the query of the server"]


def test_film_without_a_patient_and_copies_are_told(server, study, tmp_path):
    server.store(film(tmp_path, "a", SOPInstanceUID="1.2.3.4", StudyInstanceUID="1.2"))
    server.store(film(tmp_path, "a", SOPInstanceUID="1.2.3.4", StudyInstanceUID="1.3"))
    server.store(film(tmp_path, ""))
    reasons = sorted(study.fetch(server.url)["reason"])
    assert reasons == ["", "PatientID is missing", reasons[2]]
    assert reasons[2].startswith("a copy")


def test_wrong_password(server, study, monkeypatch):
    monkeypatch.setenv("ORTHANC_PASSWORD", "wrong")
    with pytest.raises(InputError, match=r"refuses .* set ORTHANC_USER and ORTHANC_PASSWORD"):
        study.fetch(server.url)


def test_password_from_netrc(server, study, tmp_path, monkeypatch):
    monkeypatch.delenv("ORTHANC_USER")
    netrc = tmp_path / "netrc"
    netrc.write_text(f'machine 127.0.0.1 login {USER} password "{PASSWORD}"\n')
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server.store(film(tmp_path, "a"))
    assert len(study.fetch(server.url)) == 1


def test_query_that_is_wrong_or_finds_nothing(server, study):
    with pytest.raises(InputError, match=r"no film on .* matches archive\.orthanc\.query"):
        study.fetch(server.url)
    with pytest.raises(InputError, match="Unknown DICOM tag; correct"):
        study.fetch(server.url, {"Modalty": "CR"})


def test_server_that_cannot_be_reached_or_is_none(server, study):
    with pytest.raises(InputError, match=r"cannot be reached.*goes on"):
        study.fetch(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(InputError, match="status 404"):
        study.fetch(f"{server.url}/elsewhere")


def test_server_that_is_busy_is_asked_again(server, study, tmp_path):
    server.store(film(tmp_path, "a"))
    with failing_before(server, refusals=3) as url:
        assert len(study.fetch(url)) == 1
    with failing_before(server, refusals=20) as url, pytest.raises(InputError, match="status 503"):
        study.fetch(url)


def test_compressed_film_comes_as_it_is(server, study, tmp_path):
    path = film(tmp_path, "a")
    expected = read_film(path)
    compress_film(path, JPEGLosslessSV1)
    server.store(path)
    study.fetch(server.url)
    [fetched] = study.there()
    assert dcmread(fetched).file_meta.TransferSyntaxUID == JPEGLosslessSV1
    assert (read_film(fetched) == expected).all()


def test_key_that_was_lost(server, study, tmp_path):
    server.store(film(tmp_path, "a"))
    study.fetch(server.url)
    study.key.unlink()
    with pytest.raises(InputError, match="named with another key"):
        study.fetch(server.url)


def test_certificates_are_verified(server, study, tmp_path, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    request = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost"
    request += " -addext subjectAltName=DNS:localhost -keyout key.pem -out certificate.pem"
    subprocess.run(request.split(), cwd=tmp_path, check=True, capture_output=True)
    certificate = tmp_path / "certificate.pem"
    server.store(film(tmp_path, "a"))
    with tls_before(server, certificate, tmp_path / "key.pem") as url:
        with pytest.raises(InputError, match=r"certificate of .* REQUESTS_CA_BUNDLE"):
            study.fetch(url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        assert len(study.fetch(url)) == 1


@pytest.mark.slow
def test_five_hundred_studies_of_the_demonstration(server, study, tmp_path):
    """From the server comes the cohort that comes from the folder, but for its order."""
    demo, tests, key = (tmp_path / name for name in ("demo", "tests.csv", "key"))
    subjects = {"normal": 250, "copd": 150, "paired": 46, "faulty": 2}
    make_demo_copd(demo, tests, tmp_path / "truth", key, seed=7, height=48, **subjects)
    for path in demo.rglob("*.dcm"):
        if is_whole(path):
            server.store(path)
        else:
            path.unlink()
    studies = {path.parent.name for path in demo.rglob("*.dcm")}
    assert len(studies) >= 500
    stored = server.films()
    study.key.parent.mkdir(parents=True)
    study.key.write_bytes(key.read_bytes())
    table = study.fetch(server.url, {"Modality": "CR\\DX", "StudyDescription": "CHEST"})
    assert table["reason"].eq("").all()
    assert len(table) == len(study.there()) == server.films() == stored
    options = {"splits": SPLITS, "pseudonym_key": key}
    fetched = ingest_copd(study.films, tests, fetched=study.fetched, **options)
    folder = ingest_copd(demo, tests, **options)
    columns = ["subject", "session", "label", "score", "day", "split", "age", "sex", "grade"]
    pd.testing.assert_frame_equal(fetched.manifest[columns], folder.manifest[columns])
    pd.testing.assert_frame_equal(fetched.pairs, folder.pairs)
    assert len(fetched.manifest) > 450


def is_whole(path):
    """Whether a film can be decoded: the server refuses files that break off."""
    try:
        read_film(path)
    except ImageError:
        return False
    return True
