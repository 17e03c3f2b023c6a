"""Who is studied, known while jobs are planned: of ready archives and of those that jobs make."""

import os
import shutil

import pytest
from helpers.configurations import changed, effective, shipped
from helpers.made_up_adni import write_adni_archive

from pipeline.cohort.ingest import write_cohort
from pipeline.stage.errors import InputError
from pipeline.study.cohorts import Cohorts
from pipeline.study.config import parse_config

ADNI = {"source": "adni", "archive": {"images": "ADNI", "tables": "tables"}}
SERVER = {"url": "https://host:8042", "query": {"Modality": "CR"}, "patients": "patients.csv"}


def not_asked(name):
    raise AssertionError(f"{name} is not made by a job")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_adni_archive(tmp_path / "ADNI", tmp_path / "tables", subjects=40, seed=1)
    return tmp_path


def cohorts_of(config, made_manifest=not_asked):
    return Cohorts(parse_config(config), made_manifest)


@pytest.fixture
def ready(folder):
    return {"datasets": {"mine": ADNI}}


def test_ready_archive_is_read_once_for_each_state(ready, folder):
    first = cohorts_of(ready)
    assert len(first("mine").manifest) > 10
    assert first("mine") is first("mine")
    (kept,) = (folder / ".snakemake/cohorts").glob("*/manifest.parquet")
    written = kept.stat().st_mtime_ns
    again = cohorts_of(ready)
    assert again("mine").manifest.equals(first("mine").manifest)
    assert kept.stat().st_mtime_ns == written
    os.utime(next((folder / "ADNI").rglob("*.nii")), (1, 1))
    cohorts_of(ready)("mine")
    assert len(list(kept.parents[1].iterdir())) == 2


def test_ingest_runs_again_where_another_cohort_is_read(ready, folder):
    state = cohorts_of(ready).state("mine")
    (folder / "ADNI/list of downloads.txt").write_text("all of them")
    image = folder / cohorts_of(ready)("mine").manifest["path"][0]
    os.utime(image, (1, 1))  # jobs that read it look at its time themselves
    assert cohorts_of(ready).state("mine") == state
    image.unlink()
    assert cohorts_of(ready).state("mine") != state


def test_archive_that_cannot_be_read_is_named(ready, folder):
    shutil.rmtree(folder / "tables")
    (folder / "tables").mkdir()
    with pytest.raises(InputError, match=r"^datasets\.mine: "):
        cohorts_of(ready)("mine")


class NotYet(Exception):
    """What Snakemake raises for a job that is not done."""


def test_made_archive_is_asked_for_when_its_job_is_done(ready, folder):
    known = cohorts_of(ready)("mine")
    demo = effective("config.yaml")
    done = []

    def made_manifest(name):
        if name not in done:
            raise NotYet
        return f"results/{name}/ingest/manifest.parquet"

    cohorts = cohorts_of(demo, made_manifest)
    with pytest.raises(NotYet):
        cohorts("adni")
    assert cohorts.state("adni") is None
    done.append("adni")
    write_cohort(known, folder / "results/adni/ingest")
    assert cohorts("adni").pairs.equals(known.pairs)
    assert cohorts("adni") is cohorts("adni")


def test_tables_make_an_ingest_run_again(ready, folder):
    assert "tables/ADNIMERGE.csv" in cohorts_of(ready).files_read("mine")
    lists = {"train": "a.txt", "validation": "b.txt", "test": "c.txt"}
    by_list = {"datasets": {"mine": {**ADNI, "splits": {"lists": lists}}}}
    assert cohorts_of(by_list).files_read("mine")[-3:] == list(lists.values())


def test_what_a_job_makes_makes_an_ingest_run_again():
    demo = cohorts_of(shipped("config.yaml"))
    lists = [f"demo/adni/splits/{split}.txt" for split in ("train", "validation", "test")]
    assert demo.files_read("adni") == ["demo/adni/ADNI", "demo/adni/tables", *lists]
    assert demo.files_read("copd") == ["demo/copd/films", "demo/copd/spirometry.csv"]
    config = changed(shipped("config/paper.yaml"), {"datasets.copd.archive.orthanc": SERVER})
    fetched = ["results/copd/fetched.csv", "data/copd/spirometry.csv"]
    assert cohorts_of(config).files_read("copd") == fetched


def test_tables_of_other_sources(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("bids/participants.tsv", "bids/sub-1/sub-1_sessions.tsv", "bids/other.tsv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    own = {
        "title": "mine",
        "disease": {"name": "FTD", "healthy": "controls", "diseased": "FTD"},
        "labels": {"column": "group", "healthy": ["control"], "diseased": ["FTD"]},
    }
    table = {"table": "table.csv", "images": "images"}
    config = {
        "datasets": {
            "bids": {**own, "source": "bids", "archive": {"dataset": "bids"}},
            "plain": {**own, "source": "manifest", "modality": "chest", "archive": table},
        }
    }
    cohorts = cohorts_of(config)
    assert cohorts.files_read("bids") == ["bids/participants.tsv", "bids/sub-1/sub-1_sessions.tsv"]
    assert cohorts.files_read("plain") == ["table.csv"]
