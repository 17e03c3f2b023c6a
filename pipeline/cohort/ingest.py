"""One way into every archive: settings of a data set in, cohort out."""

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.cohort.adni import ingest_adni
from pipeline.cohort.bids import ingest_bids
from pipeline.cohort.flow import UNITS
from pipeline.cohort.manifest import Cohort, read_manifest
from pipeline.cohort.plain import images_elsewhere, ingest_manifest
from pipeline.cohort.pseudonyms import pseudonym, read_key
from pipeline.cohort.scans import scan_state
from pipeline.cohort.shared_list import keep_listed, read_cohort_list
from pipeline.cohort.spirometry import SpirometryColumns
from pipeline.cohort.sufficiency import check_cohort
from pipeline.stage.errors import InputError
from pipeline.stage.exclusions import read_exclusions
from pipeline.stage.files import atomic_directory, write_csv, write_parquet
from pipeline.stage.wording import number_of
from pipeline.stages import STAGES

# Settings by their keywords.
SHARED = ("columns", "splits", "labels", "date_format", "prepared", "series", "modality")

log = logging.getLogger(__name__)


def ingest_dataset(settings: dict[str, Any], fetched: Path | None = None) -> Cohort:
    """Read an archive.

    Parameters
    ----------
    settings
        The part of a data set's configuration that decides who is studied: source, archive, splits
        and, where they are said, columns, labels, date_format, prepared, series, modality and
        cohort, whose ``list`` is a file of `pipeline.cohort.shared_list`: no other images are used.
    fetched
        Table of the films that were fetched from a server, where the archive is one.

    Raises
    ------
    InputError
        If a table lacks a column, a subject is in two splits, nobody is left to study, or a path
        holds braces.
    """
    cohort = _read_archive(settings, fetched)
    braces = [path for path in cohort.manifest["path"] if "{" in path and "}" in path]
    if braces:
        raise InputError(
            f"{number_of(len(braces), 'image')} with braces in the path, such as {braces[0]}: "
            "Snakemake takes them for its wildcards; rename what has them"
        )
    if "cohort" not in settings:
        return cohort
    source, listed = settings["source"], read_cohort_list(Path(settings["cohort"]["list"]))
    return keep_listed(cohort, listed, UNITS[source], source)


def _read_archive(settings: dict[str, Any], fetched: Path | None) -> Cohort:
    archive = {
        key: path and Path(path) for key, path in settings["archive"].items() if key != "orthanc"
    }
    if settings["source"] != "copd":
        readers = {"adni": ingest_adni, "bids": ingest_bids, "manifest": ingest_manifest}
        shared = {key: settings[key] for key in SHARED if key in settings}
        return readers[settings["source"]](**archive, **shared)
    # What reads films holds 40 MB; who plans a study that was read before needs none of it.
    from pipeline.cohort.copd import ingest_copd

    labels = settings["labels"]
    cohort = ingest_copd(
        archive["films"],
        archive["spirometry"],
        splits=settings["splits"],
        pseudonym_key=Path(labels["pseudonym_key"]),
        ratio_threshold=labels["ratio_threshold"],
        max_days=labels["max_days"],
        columns=SpirometryColumns(**labels["columns"]),
        films_table=archive["films_table"],
        fetched=fetched,
        date_format=settings.get("date_format"),
    )
    check_cohort(cohort, "COPD")
    return cohort


def cohort_hash(cohort: Cohort) -> str:
    """Hash of who is studied, and why the others are not."""
    tables = (cohort.manifest, cohort.pairs, cohort.exclusions)
    texts = "\n".join(table.to_csv(index=False) for table in tables)
    return hashlib.sha256(texts.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def write_cohort(cohort: Cohort, folder: Path) -> None:
    """Write ``manifest.parquet``, ``pairs.parquet`` and ``exclusions.csv``."""
    write_parquet(cohort.pairs, folder / "pairs.parquet")
    write_csv(cohort.exclusions, folder / "exclusions.csv")
    write_parquet(cohort.manifest, folder / "manifest.parquet")


def read_cohort(folder: Path) -> Cohort:
    """Read what `write_cohort` wrote."""
    return Cohort(
        manifest=read_manifest(folder / "manifest.parquet"),
        exclusions=read_exclusions(folder / "exclusions.csv"),
        pairs=pd.read_parquet(folder / "pairs.parquet"),
    )


def _contents(path: Path) -> Iterator[str]:
    """What tells one state of an archive from another: tables by content, images by their stat."""
    for file in _files(path) if path.is_dir() else [path]:
        if file.suffix in (".csv", ".json", ".tsv", ".txt"):
            yield f"{file} {hashlib.sha256(file.read_bytes()).hexdigest()}"
        else:
            stat = file.stat()
            yield f"{file} {stat.st_size} {stat.st_mtime_ns}"


def _files(folder: Path) -> Iterator[Path]:
    """All files of a folder, also behind links to folders, of which each is entered once."""
    entered = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        if (there := os.path.realpath(parent)) in entered:
            folders.clear()
            continue
        entered.add(there)
        folders.sort()
        yield from (file for name in sorted(names) if (file := Path(parent, name)).is_file())


def fingerprint(settings: dict[str, Any]) -> str:
    """Hash of everything that an ingest of these settings may look at: when to read again."""
    version = STAGES["ingest"].version
    digest = hashlib.sha256(json.dumps([version, settings], sort_keys=True).encode())
    lists = settings["splits"].get("lists", {}).values()
    key = settings.get("labels", {}).get("pseudonym_key")
    if key:  # subjects are named by it; made here if there is none yet, lest it be a change later
        digest.update(pseudonym(read_key(Path(key)), "").encode())
    archive = settings["archive"]
    named = []
    if settings["source"] == "manifest":
        named = images_elsewhere(archive["table"], archive["images"], settings.get("columns"))
    for path in filter(None, [*archive.values(), *lists]):
        for line in _contents(Path(path)):
            digest.update(line.encode("utf-8", "surrogateescape"))
    for path in named:
        digest.update(scan_state(path).encode())
    return digest.hexdigest()[:16]


def planned_cohort(settings: dict[str, Any], cache: Path) -> Cohort:
    """The cohort of a ready archive, read once for each state of it and kept in `cache`."""
    folder = cache / fingerprint(settings)
    if not (folder / "manifest.parquet").is_file():
        with atomic_directory(folder) as temporary:
            write_cohort(ingest_dataset(settings), temporary)
    return read_cohort(folder)
