"""What a film says of its patient never gets into results, logs or Snakemake's notes."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.deidentification import BIRTH, MARKED_UID, MARKER, mark
from helpers.film_files import make_dicom, ramp_film
from helpers.orthanc import PASSWORD, USER, has_orthanc, running_orthanc
from helpers.workflow import ROOT, run_snakemake
from pydicom import config, dcmread
from pydicom.dataset import Dataset

FIRST_DAY = date(1997, 8, 23)
PATIENTS = [f"{MARKER} {number}" for number in range(6)]


def marked_film(path: Path, patient: str, day: date, **tags) -> Path:
    """A PA film, every other text of which is marked."""
    film = dcmread(make_dicom(path, ramp_film()))
    own = {
        "PatientID": patient,
        "StudyDate": f"{day:%Y%m%d}",
        "ViewPosition": "PA",
        "SOPInstanceUID": f"{MARKED_UID}.1.{patient[-1]}.{day:%Y%m%d}",
        "StudyInstanceUID": f"{MARKED_UID}.2.{patient[-1]}.{day:%Y%m%d}",
        "SeriesInstanceUID": f"{MARKED_UID}.3.{patient[-1]}.{day:%Y%m%d}",
    }
    lut = Dataset()
    lut.LUTDescriptor, lut.LUTData = [4096, 0, 16], np.arange(4096, dtype="<u2").tobytes()
    lut.LUTExplanation = lut.ModalityLUTType = MARKER
    with config.disable_value_validation():
        mark(film)
        film.ModalityLUTSequence = [lut]
        for keyword, value in (own | tags).items():
            setattr(film, keyword, value)
        film.save_as(path)
    assert path.read_bytes().count(MARKER.encode()) > 1000
    return path


@pytest.fixture
def study(tmp_path):
    """Marked films of subjects with one film and with two, and their spirometry."""
    films, tests = tmp_path / "archive", []
    for number, patient in enumerate(PATIENTS):
        for visit in range(1 + (number > 3)):
            day = FIRST_DAY + timedelta(number + 400 * visit)
            marked_film(films / f"{number}-{visit}.dcm", patient, day)
            ratio = 0.5 if visit or number in (1, 3) else 0.8
            tests.append(f"{patient},{day + timedelta(3)},{ratio},80,0,{MARKER}\n")
    # Films that fall out, each by another way to a message.
    marked_film(films / "odd view.dcm", PATIENTS[0], FIRST_DAY, ViewPosition=MARKER)
    marked_film(films / "cut.dcm", PATIENTS[0], FIRST_DAY - timedelta(90), Rows=80)
    tests.append(f"{PATIENTS[0]},{FIRST_DAY - timedelta(90)},0.5,80,0,{MARKER}\n")
    header = "PatientID,TestDate,FEV1_FVC,FEV1_PctPred,Transplant,Comment\n"
    (tmp_path / "spirometry.csv").write_text(header + "".join(tests))
    return tmp_path


def run_films(folder: Path, **archive) -> None:
    """Ingest and prepare the films."""
    settings = yaml.safe_load((ROOT / "tests/integration/miniature.yaml").read_text())
    copd = settings["datasets"]["copd"]
    tables = {"films_table": None, "spirometry": "spirometry.csv", "orthanc": None}
    copd |= {"demo": None, "archive": tables | archive}
    copd["labels"]["pseudonym_key"] = "site/key"
    settings["datasets"] = {"copd": copd}
    (folder / "films.yaml").write_text(yaml.safe_dump(settings))
    run_snakemake(folder, "prepare_chest", "--configfile", folder / "films.yaml")


def check_nothing_tells(folder: Path) -> None:
    days = {BIRTH} | {FIRST_DAY + timedelta(number) for number in range(-100, 420)}
    traces = {MARKER, MARKED_UID, (folder / "site/key").read_text().strip()}
    traces |= {f"{day:%Y%m%d}" for day in days} | {f"{day}" for day in days}
    files = [
        path
        for part in ("results", "logs", ".snakemake")
        for path in (folder / part).rglob("*")
        if path.is_file()
    ]
    assert len(files) > 5
    for path in files:
        content = path.read_bytes().lower() + str(path.relative_to(folder)).lower().encode()
        assert not [trace for trace in traces if trace.lower().encode() in content], path


def prepared(folder: Path) -> int:
    shards = map(np.load, (folder / "results/copd/film").glob("*.npz"))
    return sum("/" not in key for shard in shards for key in shard)


@pytest.mark.slow
def test_marked_films_of_a_folder_leave_no_trace(study):
    run_films(study, films="archive")
    assert prepared(study) == 8
    check_nothing_tells(study)


@pytest.mark.slow
@pytest.mark.skipif(not has_orthanc(), reason="there is no Orthanc here")
def test_marked_films_of_a_server_leave_no_trace(study, monkeypatch):
    monkeypatch.setenv("ORTHANC_USER", USER)
    monkeypatch.setenv("ORTHANC_PASSWORD", PASSWORD)
    (study / "archive/cut.dcm").unlink()
    with running_orthanc(study / "server") as server:
        for path in sorted((study / "archive").glob("*.dcm")):
            server.store(path)
        query = {"Modality": "CR"}
        orthanc = {"url": server.url, "query": query, "patients": "site/patients.csv"}
        run_films(study, films="site/films", orthanc=orthanc)
    assert prepared(study) == 8
    check_nothing_tells(study)
    for path in (study / "site/films").rglob("*.dcm"):
        assert MARKER.encode() not in path.read_bytes()
        assert MARKED_UID.encode() not in path.read_bytes()
