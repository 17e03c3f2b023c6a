"""What is told of a cohort when its archive is no longer at hand: counts, hashes, its list."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.cohort.ingest import read_cohort
from pipeline.cohort.scans import is_series, series_files
from pipeline.cohort.shared_list import cohort_list, compare_lists, read_cohort_list
from pipeline.stage.exclusions import read_exclusions
from pipeline.stage.files import sha256, write_csv
from pipeline.stage.wording import number_of

log = logging.getLogger(__name__)


def cohort_facts(ingest: Path, tables: Iterable[Path], *, volumes: bool = False) -> dict[str, Any]:
    """Facts of a cohort, for the report and the record of the run.

    Parameters
    ----------
    ingest
        Folder of the ingest.
    tables
        Tables of the archive, or folders of CSV tables.
    volumes
        The images are volumes, which may be series of DICOM slices.

    Returns
    -------
    dict
        ``archive`` as it was read (``tables_sha256`` by path, number and ``image_bytes`` of the raw
        ``images`` that were chosen, of a series those of its folder), numbers of ``subjects``,
        ``images`` and ``pairs``, and ``manifest_sha256``.
    """
    cohort = read_cohort(ingest)
    files = [
        file
        for path in tables
        for file in (sorted(path.glob("*.csv")) if path.is_dir() else [path])
    ]
    sizes = [
        sum(file.stat().st_size for file in series_files(path))
        if volumes and is_series(path)
        else Path(path).stat().st_size
        for path in cohort.manifest["path"]
    ]
    return {
        "archive": {
            "tables_sha256": {str(file): sha256(file) for file in files},
            "images": len(sizes),
            "image_bytes": sum(sizes),
        },
        "subjects": int(cohort.manifest["subject"].nunique()),
        "images": len(cohort.manifest),
        "pairs": len(cohort.pairs),
        "manifest_sha256": sha256(ingest / "manifest.parquet"),
    }


def list_study(
    ingest: Path, exclusions: Path, packed: Path, destination: Path, *, replayed: Path | None
) -> pd.DataFrame | None:
    """Write the list of a study, and compare it with the one that it replays.

    Parameters
    ----------
    ingest, packed
        Folders of the data set.
    exclusions
        Table of everything left out.
    destination
        CSV written; see `cohort_list`.
    replayed
        List that the study was configured with, if any.

    Returns
    -------
    DataFrame or None
        As of `compare_lists`; None if no list is replayed.
    """
    contents = pd.read_parquet(packed / "contents.parquet")
    hashes = {(row.subject, row.session): row.content for row in contents.itertuples()}
    made = cohort_list(read_cohort(ingest), read_exclusions(exclusions), hashes)
    write_csv(made, destination)
    if replayed is None:
        return None
    differences = compare_lists(read_cohort_list(replayed), made)
    for text, count in differences["difference"].value_counts().items():
        log.warning("%s, %s: %s", replayed.name, text, number_of(count, "image"))
    return differences
