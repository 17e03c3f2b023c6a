"""From an archive to the pairs that are scored: who was left out, and where."""

from pathlib import Path

import pandas as pd

from pipeline.cohort.ingest import read_cohort
from pipeline.dataset.packed import PackedDataset
from pipeline.stage.exclusions import count_rules, read_exclusions

LABELS = {0: "healthy", 1: "diseased"}


def cohort_flow(results: Path, name: str) -> pd.DataFrame:
    """Number of images, pairs and subjects after each step.

    Returns
    -------
    DataFrame
        Columns step, images, pairs, subjects.
    """
    cohort = read_cohort(results / name / "ingest")
    packed = PackedDataset.open(results / name / "packed")
    rows = [("chosen from the archive", cohort.manifest, cohort.pairs)]
    for label, title in LABELS.items():
        train = packed.train_index[packed.train_index["label"] == label]
        rows.append((f"training, {title}", train, None))
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
    """How often each rule excluded something; columns stage, item, rule (its title), count."""
    counts = count_rules(read_exclusions(results / name / "exclusions.csv"))
    return counts.drop(columns="rule").rename(columns={"title": "rule"})
