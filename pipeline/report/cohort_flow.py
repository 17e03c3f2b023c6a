"""From an archive to the pairs that are scored: who was left out, and where."""

from pathlib import Path

import pandas as pd

from pipeline.cohort.ingest import read_cohort
from pipeline.dataset.packed import PackedDataset
from pipeline.stage.exclusions import count_reasons


def cohort_flow(results: Path, name: str, disease: dict[str, str]) -> pd.DataFrame:
    """Number of images, pairs and subjects after each step.

    `disease` holds the names of the ``healthy`` and the ``diseased`` group.

    Returns
    -------
    DataFrame
        Columns step, images, pairs, subjects.
    """
    cohort = read_cohort(results / name / "ingest")
    packed = PackedDataset.open(results / name / "packed")
    rows = [("chosen from the archive", cohort.manifest, cohort.pairs)]
    for label, group in enumerate(("healthy", "diseased")):
        train = packed.train_index[packed.train_index["label"] == label]
        rows.append((f"training, {disease[group]}", train, None))
    for split in ("validation", "test"):
        rows.append((split, None, packed.pairs_index[packed.pairs_index["split"] == split]))
    return pd.DataFrame(
        [
            {
                "step": step,
                "images": "" if images is None else len(images),
                "pairs": "" if pairs is None else len(pairs),
                "subjects": (pairs if images is None else images)["subject"].nunique(),
            }
            for step, images, pairs in rows
        ]
    )


def left_out(results: Path, name: str) -> pd.DataFrame:
    """How often each reason excluded something; columns stage, item, reason, count."""
    path = results / name / "exclusions.csv"
    return count_reasons(pd.read_csv(path, dtype=str, keep_default_na=False))
