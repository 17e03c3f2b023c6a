"""Table 1: mean and standard deviation over the seeds, the paper's figures beside.

What the subjects of the test split say about others is told by 95 % bootstrap intervals over
subjects; how two methods compare, by their paired difference within each subject.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from pipeline.method.ncc import subject_average
from pipeline.method.registry import METHODS, reference_method
from pipeline.score.scored import TRUE_DEFORMATION, scored_titles
from pipeline.score.uncertainty import mean_interval, wilcoxon_p
from pipeline.stage.about import About
from pipeline.stage.errors import InputError
from pipeline.stage.files import atomic_path, write_csv

Figures = tuple[float | None, float | None]  # mean and standard deviation over seeds


class Shown(About):
    """What Table 1 has to know of a data set."""

    published: Mapping[str, Figures] | None


DECIMALS = 6  # the same to the last digit on every run


def make_table(
    scores: Iterable[Path],
    destination_csv: Path,
    destination_md: Path,
    datasets: Mapping[str, Shown],
) -> None:
    """Write Table 1 as CSV, and in the paper's layout as Markdown.

    Parameters
    ----------
    scores
        Tables of `score_model` and `score_truth`.
    destination_csv
        A row a data set and method: dataset, data (``demo``, ``toy`` or ``real``), method, seeds,
        pairs, subjects, ncc_mean, ncc_sd (unbiased, over seeds, of the subject-averaged NCC; empty
        for the true deformation and for one seed), paper_mean, paper_sd; ncc_low and ncc_high, the
        95 % bootstrap interval over subjects; and the comparison, the paper's method minus this
        one, paired within subjects: gain (mean), gain_low, gain_high (95 % bootstrap interval) and
        gain_p (Wilcoxon's signed-rank test, two-sided).
    destination_md
        Data sets as rows, methods as columns.
    datasets
        By name and in the wanted order: ``title``, ``data`` (``demo``, ``toy`` or ``real``) and
        ``published``, the authors' mean and standard deviation (None for a single model) by method
        or None; never shown beside a demonstration.

    Raises
    ------
    InputError
        If a score is of something that is neither a registered method nor otherwise known.
    """
    frame = pd.concat([pd.read_parquet(path) for path in scores], ignore_index=True)
    if "field" in frame:
        frame = frame[frame["field"].isna() | (frame["field"] == "total")]
    known = scored_titles()
    if unknown := sorted(set(frame["method"]) - set(known)):
        raise InputError(
            f"scores of {', '.join(unknown)}, which nobody registered; known: {', '.join(known)}"
        )
    rows = []
    for name, dataset in datasets.items():
        kind = dataset["data"]
        published = {} if kind == "demo" else dataset["published"] or {}
        by_method = dict(list(frame[frame["dataset"] == name].groupby("method")))
        subjects = {method: _by_subject(scores) for method, scores in by_method.items()}
        for method in filter(by_method.__contains__, known):
            row: dict[str, object] = {"dataset": name, "data": kind}
            row |= _summary(by_method[method], method, published.get(method, (None, None)))
            row |= _uncertainty(subjects, method)
            rows.append(row)
    table = pd.DataFrame(rows).astype({"paper_mean": float, "paper_sd": float})
    table["gain_p"] = table["gain_p"].map(lambda p: float(f"{p:.3g}"))
    write_csv(table.round(dict.fromkeys(table.columns.drop("gain_p"), DECIMALS)), destination_csv)
    with atomic_path(destination_md) as temporary:
        temporary.write_text(_markdown(table, _titles(datasets)), encoding="utf-8")


def _summary(scores: pd.DataFrame, method: str, paper: Figures) -> dict[str, object]:
    by_seed = pd.Series({seed: subject_average(rows) for seed, rows in scores.groupby("seed")})
    return {
        "method": method,
        "seeds": 0 if method == TRUE_DEFORMATION else len(by_seed),
        "pairs": len(scores[["subject", "baseline", "followup"]].drop_duplicates()),
        "subjects": scores["subject"].nunique(),
        "ncc_mean": by_seed.mean(),
        "ncc_sd": by_seed.std(ddof=1),
        "paper_mean": paper[0],
        "paper_sd": paper[1],
    }


def _by_subject(scores: pd.DataFrame) -> pd.Series:
    """Score of each subject: pairs averaged within a seed, then seeds."""
    return scores.groupby(["subject", "seed"])["ncc"].mean().groupby("subject").mean()


def _uncertainty(subjects: dict[str, pd.Series], method: str) -> dict[str, float]:
    low, high = mean_interval(subjects[method])
    columns = {"ncc_low": low, "ncc_high": high}
    names = ("gain", "gain_low", "gain_high", "gain_p")
    reference = reference_method().name
    if method == reference or reference not in subjects:
        return columns | dict.fromkeys(names, float("nan"))
    gain = (subjects[reference] - subjects[method]).dropna()
    values = (gain.mean(), *mean_interval(gain), wilcoxon_p(gain))
    return columns | dict(zip(names, values, strict=True))


def _figure(mean: float, sd: float) -> str:
    return f"{mean:.3f}" if pd.isna(sd) else f"{mean:.3f} ± {sd:.3f}"


def _cell(row: pd.Series) -> str:
    text = _figure(row["ncc_mean"], row["ncc_sd"])
    if pd.notna(row["paper_mean"]):
        text += f" (paper: {_figure(row['paper_mean'], row['paper_sd'])})"
    return text


def _titles(datasets: Mapping[str, Shown]) -> dict[str, str]:
    return {
        name: dataset["title"] + (" (demo)" if dataset["data"] == "demo" else "")
        for name, dataset in datasets.items()
    }


def _comparison(row: pd.Series, title: str) -> str:
    """The paper's method against another on one data set, as a sentence; empty without both."""
    if pd.isna(row["gain"]):
        return ""
    methods = f"{reference_method().title} minus {METHODS[row['method']].title}"
    text = f"{title}: {methods} {row['gain']:+.3f}"
    if pd.notna(row["gain_low"]):
        text += f" (95 % interval over subjects {row['gain_low']:+.3f} to {row['gain_high']:+.3f}"
        text += f", Wilcoxon p = {row['gain_p']:.2g})"
    return f"{text}, {row['subjects']} subjects."


def _markdown(table: pd.DataFrame, of_datasets: dict[str, str]) -> str:
    titles = scored_titles()
    methods = [method for method in titles if method in set(table["method"])]
    lines = [
        "| Data | " + " | ".join(titles[method] for method in methods) + " |",
        "|---" * (len(methods) + 1) + "|",
    ]
    for name, rows in table.groupby("dataset", sort=False):
        cells = {row["method"]: _cell(row) for _, row in rows.iterrows()}
        lines.append(
            f"| {of_datasets[name]} | " + " | ".join(cells.get(m, "") for m in methods) + " |"
        )
    notes = [
        "Normalised cross-correlation of observed and predicted differences on the test pairs: "
        "mean ± standard deviation over the seeds of training."
    ]
    compared = table[table["method"].isin(METHODS)]
    notes += [_comparison(row, of_datasets[row["dataset"]]) for _, row in compared.iterrows()]
    if (table["data"] == "demo").any():
        notes.append(
            "Rows marked demo are simulated studies, not patients, and cannot be compared with the "
            "paper. The true deformation is the one that the simulation applied, sent through the "
            "same pipeline: the ceiling for any method."
        )
    return "\n".join([*lines, "", "\n\n".join(filter(None, notes))]) + "\n"
