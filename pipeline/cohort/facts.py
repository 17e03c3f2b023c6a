"""What is told of a cohort when its archive is no longer at hand: counts and hashes."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.cohort.ingest import read_cohort
from pipeline.stage.files import sha256


def cohort_facts(ingest: Path, tables: Iterable[Path]) -> dict[str, Any]:
    """Facts of a cohort, for the report and the record of the run.

    Parameters
    ----------
    ingest
        Folder of the ingest.
    tables
        Tables of the archive, or folders of CSV tables.

    Returns
    -------
    dict
        ``archive`` as it was read (``tables_sha256`` by path, number and ``image_bytes`` of the raw
        ``images`` that were chosen), numbers of ``subjects``, ``images`` and ``pairs``, and
        ``manifest_sha256``.
    """
    cohort = read_cohort(ingest)
    files = [
        file
        for path in tables
        for file in (sorted(path.glob("*.csv")) if path.is_dir() else [path])
    ]
    sizes = [Path(path).stat().st_size for path in cohort.manifest["path"]]
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
