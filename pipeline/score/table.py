"""Table 1: mean and standard deviation over the seeds, the paper's figures beside.

How far other seeds and subjects would agree is told by 95 % bootstrap intervals over both; how two
methods compare, by their paired difference. docs/statistics.md tells why.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from pipeline.method.ncc import subject_average
from pipeline.method.registry import METHODS, reference_method
from pipeline.score.scored import TRUE_DEFORMATION, is_seeded, scored_titles
from pipeline.score.uncertainty import by_seed_and_subject, holm, mean_uncertainty
from pipeline.stage.about import About
from pipeline.stage.errors import InputError
from pipeline.stage.files import atomic_path, write_csv
from pipeline.stage.wording import number_of

Figures = tuple[float | None, float | None]  # mean and standard deviation over seeds


class Shown(About):
    """What Table 1 has to know of a data set."""

    published: Mapping[str, Figures] | None


COLUMNS = [
    *("dataset", "data", "method", "seeds", "pairs", "subjects", "ncc_mean", "ncc_sd"),
    *("paper_mean", "paper_sd", "ncc_low", "ncc_high"),
    *("gain", "gain_low", "gain_high", "gain_p", "gain_p_holm", "share_of_ceiling"),
    *("specificity", "specificity_low", "specificity_high", "interval_note"),
]
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
        95 % bootstrap interval over seeds and subjects; the comparison, the paper's method minus
        this one, paired within seeds and subjects: gain (mean), gain_low, gain_high (95 % bootstrap
        interval), gain_p (two-sided, of the same bootstrap) and gain_p_holm (corrected for the
        comparisons of the data set); share_of_ceiling, the NCC over that of the true deformation
        where there is one; specificity, specificity_low and specificity_high, how much better a
        subject's own explanation scores than other subjects' (`pipeline.score.specificity`); and
        interval_note, why there is no interval where there is none.
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
        for method in filter(by_method.__contains__, known):
            row: dict[str, object] = {"dataset": name, "data": kind}
            row |= _summary(by_method[method], method, published.get(method, (None, None)))
            row |= _uncertainty(by_method, method)
            rows.append(row)
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    table = table.astype({"paper_mean": float, "paper_sd": float})
    table["gain_p_holm"] = table.groupby("dataset")["gain_p"].transform(holm)
    ceilings = table[table["method"] == TRUE_DEFORMATION].set_index("dataset")["ncc_mean"]
    table["share_of_ceiling"] = table["ncc_mean"] / table["dataset"].map(ceilings)
    table = table.round(DECIMALS).replace(-0.0, 0.0)
    write_csv(table, destination_csv)
    with atomic_path(destination_md) as temporary:
        temporary.write_text(_markdown(table, _titles(datasets)), encoding="utf-8")


def _summary(scores: pd.DataFrame, method: str, paper: Figures) -> dict[str, object]:
    by_seed = pd.Series({seed: subject_average(rows) for seed, rows in scores.groupby("seed")})
    return {
        "method": method,
        "seeds": len(by_seed) if is_seeded(method) else 0,
        "pairs": len(scores[["subject", "baseline", "followup"]].drop_duplicates()),
        "subjects": scores["subject"].nunique(),
        "ncc_mean": by_seed.mean(),
        "ncc_sd": by_seed.std(ddof=1),
        "paper_mean": paper[0],
        "paper_sd": paper[1],
    }


def _uncertainty(by_method: Mapping[str, pd.DataFrame], method: str) -> dict[str, object]:
    """Interval of the mean; gain of the paper's method, its interval and test; specificity."""
    scores, seeded, reference = by_method[method], is_seeded(method), reference_method().name
    values = by_seed_and_subject(scores, "ncc")
    own = mean_uncertainty(values, seeded=seeded)
    row: dict[str, object] = {"ncc_low": own.low, "ncc_high": own.high}
    notes = [own.note]
    if method != reference and reference in by_method:
        gains = _gains(by_seed_and_subject(by_method[reference], "ncc"), values, method)
        gain = mean_uncertainty(gains, seeded=True)
        row |= {"gain": gains.mean().mean(), "gain_low": gain.low, "gain_high": gain.high}
        row["gain_p"] = gain.p
        notes += [f"gain: {gain.note}"] if gain.note not in ("", own.note) else []
    scores = scores.assign(better=scores["ncc"] - scores["ncc_other"])
    better = by_seed_and_subject(scores, "better")
    specific = mean_uncertainty(better, seeded=seeded)
    row |= {"specificity": better.mean().mean()}
    row |= {"specificity_low": specific.low, "specificity_high": specific.high}
    return row | {"interval_note": "; ".join(filter(None, notes))}


def _gains(reference: pd.DataFrame, values: pd.DataFrame, method: str) -> pd.DataFrame:
    """Paired differences by seed and subject; what has no seeds stands beside each of them."""
    gains = reference - (values if is_seeded(method) else values.iloc[0])
    return gains.dropna(how="all").dropna(axis="columns")


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
        text += (
            f" (95 % interval over seeds and subjects {row['gain_low']:+.3f} to "
            f"{row['gain_high']:+.3f}, p = {row['gain_p']:.2g}, "
            f"corrected by Holm {row['gain_p_holm']:.2g})"
        )
    return f"{text}, {number_of(row['subjects'], 'subject')}."


def _unspecific(rows: pd.DataFrame, title: str) -> list[str]:
    """Methods whose specificity is not above 0, or might not be, a sentence each."""
    lowest = rows["specificity_low"].fillna(rows["specificity"])
    unspecific, unsure = lowest <= 0, rows["specificity_low"].isna() & (lowest > 0)
    sentences = {
        "specificity not above 0: {}. Another subject's explanation does as well; what these show "
        "is no disease evidence of a patient.": unspecific,
        "specificity above 0, without an interval: {}. Whether what these show is of a patient is "
        "left open.": unsure,
    }
    titles = rows["method"].map(scored_titles())
    return [
        f"{title}, {sentence.format(', '.join(titles[chosen]))}"
        for sentence, chosen in sentences.items()
        if chosen.any()
    ]


def _without_intervals(rows: pd.DataFrame, title: str) -> list[str]:
    """Why methods on one data set have no interval, a sentence a reason."""
    titles = scored_titles()
    missing = rows[rows["interval_note"] != ""].groupby("interval_note", sort=False)["method"]
    return [
        f"{title}, no interval of {', '.join(map(titles.__getitem__, methods))}: {note}."
        for note, methods in missing
    ]


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
    for name, rows in table.groupby("dataset", sort=False):
        compared = rows[rows["method"].isin(METHODS)]
        notes += [_comparison(row, of_datasets[name]) for _, row in compared.iterrows()]
        notes += _unspecific(rows[rows["method"] != TRUE_DEFORMATION], of_datasets[name])
        notes += _without_intervals(rows, of_datasets[name])
    if (table["data"] == "demo").any():
        notes.append(
            "Rows marked demo are simulated studies, not patients, and cannot be compared with the "
            "paper. The true deformation is the one that the simulation applied, sent through the "
            "same pipeline: the ceiling for any method."
        )
    return "\n".join([*lines, "", "\n\n".join(filter(None, notes))]) + "\n"
