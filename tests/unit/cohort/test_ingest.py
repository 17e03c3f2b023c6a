import os
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest
from helpers.made_up_adni import write_adni_archive
from helpers.made_up_copd import write_copd_archive

from pipeline.cohort.ingest import (
    fingerprint,
    ingest_dataset,
    planned_cohort,
    read_cohort,
    write_cohort,
)
from pipeline.cohort.spirometry import SpirometryColumns
from pipeline.stage.errors import InputError

SPLITS = {"seed": 0, "fractions": {"train": 0.4, "validation": 0.3, "test": 0.3}}


@pytest.fixture
def adni(tmp_path):
    images, tables = tmp_path / "ADNI", tmp_path / "tables"
    write_adni_archive(images, tables, subjects=60, seed=3)
    archive = {"images": str(images), "tables": str(tables)}
    return {"source": "adni", "archive": archive, "splits": SPLITS}


@pytest.fixture
def copd(tmp_path):
    write_copd_archive(tmp_path, single=6, paired=6)
    archive = {
        "films": str(tmp_path / "films"),
        "films_table": None,
        "spirometry": str(tmp_path / "spirometry.csv"),
    }
    key = str(tmp_path / "key")
    columns = asdict(SpirometryColumns())
    labels = {"ratio_threshold": 0.7, "max_days": 30, "columns": columns, "pseudonym_key": key}
    return {"source": "copd", "archive": archive, "splits": SPLITS, "labels": labels}


def test_each_source_ends_in_a_manifest(adni, copd):
    for settings in (adni, copd):
        cohort = ingest_dataset(settings)
        assert set(cohort.manifest["split"]) == {"train", "validation", "test"}
        assert set(cohort.pairs["split"]) == {"validation", "test"}


def test_cohort_is_read_as_it_was_written(adni, tmp_path):
    cohort = ingest_dataset(adni)
    write_cohort(cohort, tmp_path / "ingest")
    again = read_cohort(tmp_path / "ingest")
    for name in ("manifest", "exclusions", "pairs"):
        pd.testing.assert_frame_equal(
            getattr(again, name), getattr(cohort, name), check_dtype=name == "manifest"
        )
    row = cohort.manifest.iloc[0]
    assert again.paths[row.subject, row.session] == row.path


def test_fingerprint_changes_with_the_archive_and_the_settings(adni, tmp_path):
    first = fingerprint(adni)
    assert fingerprint(adni) == first
    table = tmp_path / "tables/MRIMETA.csv"
    table.write_text(table.read_text() + "\n")
    second = fingerprint(adni)
    image = next((tmp_path / "ADNI").rglob("*.nii"))
    os.utime(image, (1, 1))
    third = fingerprint(adni)
    image.unlink()
    fourth = fingerprint(adni)
    fifth = fingerprint(adni | {"splits": SPLITS | {"seed": 1}})
    assert len({first, second, third, fourth, fifth}) == 5


def test_fingerprint_changes_with_the_key_alone(copd):
    first = fingerprint(copd)  # makes the key
    ingest_dataset(copd)
    assert fingerprint(copd) == first
    Path(copd["labels"]["pseudonym_key"]).write_text("ab" * 32)
    assert fingerprint(copd) != first


def test_columns_of_the_spirometry_are_those_of_the_configuration(copd):
    expected = ingest_dataset(copd).manifest
    table = Path(copd["archive"]["spirometry"])
    table.write_text(table.read_text().replace("FEV1_FVC", "Tiffeneau").replace("TestDate", "Day"))
    with pytest.raises(InputError, match="no column TestDate"):
        ingest_dataset(copd)
    copd["labels"]["columns"] |= {"ratio": "Tiffeneau", "date": "Day"}
    pd.testing.assert_frame_equal(ingest_dataset(copd).manifest, expected)


def test_path_that_snakemake_would_take_for_a_pattern_is_refused(copd):
    film = next(Path(copd["archive"]["films"]).rglob("*.dcm"))
    film.rename(film.with_name("film{y}.dcm"))
    with pytest.raises(InputError, match=r"^1 image with braces in the path, such as .*film\{y\}"):
        ingest_dataset(copd)


def test_ready_archive_is_read_once(adni, tmp_path, monkeypatch):
    first = planned_cohort(adni, tmp_path / "cache")
    monkeypatch.setattr("pipeline.cohort.ingest.ingest_dataset", None)
    pd.testing.assert_frame_equal(planned_cohort(adni, tmp_path / "cache").manifest, first.manifest)


def test_fingerprint_sees_images_that_a_manifest_names_elsewhere(tmp_path):
    images, elsewhere, table = (tmp_path / name for name in ("images", "elsewhere", "table.csv"))
    images.mkdir()
    image = elsewhere / "scan.nii"
    table.write_text(f"subject,session,path\nS1,a,{image}\nS1,b,../elsewhere/other.nii\nS2,a,\n")
    archive = {"table": str(table), "images": str(images)}
    settings = {"source": "manifest", "archive": archive, "splits": SPLITS}
    found = [fingerprint(settings)]
    elsewhere.mkdir()
    image.write_bytes(b"1")
    found.append(fingerprint(settings))
    os.utime(image, (1, 1))
    found += [fingerprint(settings), fingerprint(settings)]
    (elsewhere / "other.nii").touch()
    found.append(fingerprint(settings))
    assert found[2] == found[3]
    assert len(set(found)) == 4


def test_fingerprint_sees_what_lies_behind_links_to_folders(tmp_path):
    """A BIDS dataset may be made of links to the folders of its subjects; one may lead back up."""
    subject = tmp_path / "elsewhere/sub-01"
    subject.mkdir(parents=True)
    table = subject / "sub-01_sessions.tsv"
    table.write_text("session_id\tgroup\nses-1\tMCI\n")
    dataset = tmp_path / "bids"
    dataset.mkdir()
    (dataset / "sub-01").symlink_to(subject)
    (subject / "again").symlink_to(tmp_path / "elsewhere")
    settings = {"source": "bids", "archive": {"dataset": str(dataset)}, "splits": SPLITS}
    first = fingerprint(settings)
    assert fingerprint(settings) == first
    table.write_text("session_id\tgroup\nses-1\tAD\n")
    assert fingerprint(settings) != first
