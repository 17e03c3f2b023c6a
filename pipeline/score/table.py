"""Table 1: mean and standard deviation over the seeds, the paper's figures beside."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.files import atomic_path, write_csv
from pipeline.score.ncc import subject_average

METHODS = {"true deformation": "true deformation", "va-gan": "VA-GAN", "defi-gan": "DeFI-GAN"}
DECIMALS = 6  # the same to the last digit on every run
TITLES = {"adni": "ADNI", "copd": "COPD"}


def make_table(
    scores: Iterable[Path],
    destination_csv: Path,
    destination_md: Path,
    datasets: dict[str, dict[str, Any]],
) -> None:
    """Write Table 1 as CSV, and in the paper's layout as Markdown.

    Parameters
    ----------
    scores
        Tables of `score_model` and `score_truth`.
    destination_csv
        A row a data set and method: dataset, data (``demo`` or ``real``), method, seeds, pairs,
        subjects, ncc_mean, ncc_sd (unbiased, over seeds, of the subject-averaged NCC; empty for
        the true deformation and for one seed), paper_mean, paper_sd.
    destination_md
        Data sets as rows, methods as columns.
    datasets
        By name and in the wanted order: ``demo`` (bool) and ``published``, the paper's mean and
        standard deviation by method or None; never shown beside a demonstration.
    """
    frame = pd.concat([pd.read_parquet(path) for path in scores], ignore_index=True)
    if "field" in frame:
        frame = frame[frame["field"].isna() | (frame["field"] == "total")]
    rows = []
    for name, dataset in datasets.items():
        published = {} if dataset["demo"] else dataset["published"] or {}
        for method in METHODS:
            chosen = frame[(frame["dataset"] == name) & (frame["method"] == method)]
            if len(chosen):
                row = {"dataset": name, "data": "demo" if dataset["demo"] else "real"}
                paper = published.get(method, (None, None))
                rows.append(row | _summary(chosen, method, paper))
    table = pd.DataFrame(rows).astype({"paper_mean": float, "paper_sd": float})
    write_csv(table.round(DECIMALS), destination_csv)
    with atomic_path(destination_md) as temporary:
        temporary.write_text(_markdown(table), encoding="utf-8")


def _summary(
    scores: pd.DataFrame, method: str, paper: tuple[float | None, float | None]
) -> dict[str, Any]:
    by_seed = pd.Series({seed: subject_average(rows) for seed, rows in scores.groupby("seed")})
    return {
        "method": method,
        "seeds": 0 if method == "true deformation" else len(by_seed),
        "pairs": len(scores[["subject", "baseline", "followup"]].drop_duplicates()),
        "subjects": scores["subject"].nunique(),
        "ncc_mean": by_seed.mean(),
        "ncc_sd": by_seed.std(ddof=1),
        "paper_mean": paper[0],
        "paper_sd": paper[1],
    }


def _figure(mean: float, sd: float) -> str:
    return f"{mean:.3f}" if pd.isna(sd) else f"{mean:.3f} ± {sd:.3f}"


def _cell(row: pd.Series) -> str:
    text = _figure(row["ncc_mean"], row["ncc_sd"])
    if pd.notna(row["paper_mean"]):
        text += f" (paper: {_figure(row['paper_mean'], row['paper_sd'])})"
    return text


def _markdown(table: pd.DataFrame) -> str:
    methods = [method for method in METHODS if method in set(table["method"])]
    lines = [
        "| Data | " + " | ".join(METHODS[method] for method in methods) + " |",
        "|---" * (len(methods) + 1) + "|",
    ]
    for name, rows in table.groupby("dataset", sort=False):
        cells = {row["method"]: _cell(row) for _, row in rows.iterrows()}
        title = TITLES.get(name, name) + (" (demo)" if rows["data"].iloc[0] == "demo" else "")
        lines.append(f"| {title} | " + " | ".join(cells.get(m, "") for m in methods) + " |")
    notes = [
        "Normalised cross-correlation of observed and predicted differences on the test pairs: "
        "mean ± standard deviation over the seeds of training."
    ]
    if (table["data"] == "demo").any():
        notes.append(
            "Rows marked demo are simulated studies, not patients, and cannot be compared with the "
            "paper. The true deformation is the one that the simulation applied, sent through the "
            "same pipeline: the ceiling for any method."
        )
    return "\n".join([*lines, "", *notes]) + "\n"
