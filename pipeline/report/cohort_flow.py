"""From an archive to the pairs that are scored: who was left out, and where."""

from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.dataset.packed import PackedDataset
from pipeline.stage.exclusions import count_rules, read_exclusions


def cohort_flow(
    facts: dict[str, Any], packed: PackedDataset, disease: dict[str, str]
) -> pd.DataFrame:
    """Number of images, pairs and subjects after each step.

    Parameters
    ----------
    facts
        Of the cohort, as of `pipeline.cohort.facts.cohort_facts`.
    packed
        Data set.
    disease
        Names of the ``healthy`` and the ``diseased`` group.

    Returns
    -------
    DataFrame
        Columns step, images, pairs, subjects.
    """
    train, pairs = packed.train_index, packed.pairs_index
    steps = [
        (f"training, {disease[group]}", "images", train[train["label"] == label])
        for label, group in enumerate(("healthy", "diseased"))
    ]
    steps += [(split, "pairs", pairs[pairs["split"] == split]) for split in ("validation", "test")]
    counts = {key: facts[key] for key in ("images", "pairs", "subjects")}
    rows = [{"step": "chosen from the archive", **counts}]
    for step, what, found in steps:
        row = {"step": step, "images": "", "pairs": "", "subjects": found["subject"].nunique()}
        rows.append(row | {what: len(found)})
    return pd.DataFrame(rows)


def doubtful_pairs(packed: PackedDataset) -> pd.DataFrame:
    """Pairs whose registration somebody should look at; they are used all the same."""
    pairs = packed.pairs_index
    return pairs.loc[pairs["warning"] != "", ["subject", "baseline", "followup", "warning"]]


def left_out(exclusions: Path) -> pd.DataFrame:
    """How often each rule excluded something; columns stage, item, rule (its title), count."""
    counts = count_rules(read_exclusions(exclusions))
    return counts.drop(columns="rule").rename(columns={"title": "rule"})
