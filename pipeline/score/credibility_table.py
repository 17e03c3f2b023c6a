"""``credibility.csv`` and its page: what each of its columns means, and where it comes from."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from pipeline.score.scored import TRUE_DEFORMATION, is_seeded, scored_titles
from pipeline.stage.about import About
from pipeline.stage.files import atomic_path, read_csv, write_csv

DECIMALS = 6

HERE = "this pipeline"
MONTEIRO = "Monteiro et al., ICLR 2023"
MELISTAS = "Melistas et al., NeurIPS 2024"
ARUN = "Arun et al., Radiology: Artificial Intelligence 2021"
SINGLA = "Singla et al., Medical Image Analysis 2023"
MOTHILAL = "Mothilal et al., FAT* 2020"


class Column(NamedTuple):
    """What a column says, in a sentence, who measured it first, and what it must be."""

    sentence: str
    source: str
    must: tuple[str, str] | None = None  # above or below, and what: another column or ``0``


COLUMNS = {
    "share_of_ceiling": Column(
        "Score (NCC) over that of the true deformation: 1 is all that any method could reach.", HERE
    ),
    "specificity": Column(
        "Score of a patient's own explanation minus that of other patients' explanations on the"
        " same image: above 0, or it is no evidence of this patient.",
        HERE,
        ("above", "0"),
    ),
    "endpoint_error_px": Column(
        "Mean distance of predicted and true displacement, in voxels: below true_length_px, or no"
        " field at all would be better.",
        "Baker et al., International Journal of Computer Vision 2011",
        ("below", "true_length_px"),
    ),
    "true_length_px": Column(
        "Mean length of the true displacement, in voxels: the endpoint error of no field at all.",
        HERE,
    ),
    "folding_percent": Column(
        "Share of the voxels at which the field folds (Jacobian determinant not positive): tissue"
        " cannot.",
        "Ashburner, NeuroImage 2007",
    ),
    "auprc": Column(
        "Area under the precision-recall curve of the absolute change against the region where the"
        " true displacement is at least half its maximum: above prevalence.",
        ARUN,
        ("above", "prevalence"),
    ),
    "pointing_game": Column(
        "Share of the images whose largest change lies in that region: above prevalence.",
        "Zhang et al., International Journal of Computer Vision 2018",
        ("above", "prevalence"),
    ),
    "prevalence": Column(
        "Share of the voxels in that region: what both are of a map that knows nothing.", ARUN
    ),
    "still_share": Column(
        "Share of the change that lies where the true displacement is below a twentieth of its"
        " maximum: below still_prevalence.",
        HERE,
        ("below", "still_prevalence"),
    ),
    "still_prevalence": Column(
        "Share of the voxels that are still: that of a change that is the same everywhere.", HERE
    ),
    "volume_correlation": Column(
        "Correlation of predicted and true change of volume over the regions of an image: 1 is"
        " right up to a factor.",
        HERE,
    ),
    "validity": Column(
        "Share of the images which a classifier with other seeds calls diseased, and healthy once"
        " the disease is taken off: 1 fools it always. Its threshold is that which tells the"
        " validation pairs' images apart best.",
        f"{SINGLA}; {MONTEIRO} (effectiveness)",
    ),
    "judge_auc": Column(
        "Area under the ROC curve of that classifier on the test images: near 0.5 its validity"
        " means nothing.",
        MELISTAS,
    ),
    "proximity": Column(
        "Mean absolute change, on the scale of the images, -1 to 1: of two that are equally valid"
        " the smaller is better.",
        f"{MOTHILAL}; {MELISTAS} (minimality)",
    ),
    "sparsity": Column(
        "Share of the voxels that change by less than a hundredth of the scale: 1 is no change.",
        MOTHILAL,
    ),
    "composition": Column(
        "Mean absolute change of the patients' healthy images, in which there is nothing to take"
        " off: 0, and in any case below proximity.",
        f"{MONTEIRO} (composition)",
        ("below", "proximity"),
    ),
    "idempotence": Column(
        "Change of an image whose disease was taken off before, over the first change: 0, since"
        " nothing is left to be taken off.",
        f"{HERE}, after {MONTEIRO}",
    ),
    "seed_agreement": Column(
        "Mean NCC of the changes by models of different seeds on the same image: 1 is the same"
        " answer whatever the seed.",
        f"{ARUN} (repeatability)",
    ),
    "ncc": Column("Score, as in Table 1.", "the paper, Eq. 7"),
    "random_weights_ncc": Column(
        "Score of the same generator with random weights: must fall to the floor, which the random"
        " field shows, and lie below ncc.",
        f"Adebayo et al., NeurIPS 2018; {ARUN}",
        ("below", "ncc"),
    ),
    "random_weights_similarity": Column(
        "NCC of the changes by the trained generator and by the one with random weights: near 0, or"
        " the image was explained and not what the generator learned.",
        f"Adebayo et al., NeurIPS 2018; {ARUN}",
    ),
}


def make_credibility_table(
    measured: Iterable[Path],
    table1: Path,
    destination_csv: Path,
    destination_md: Path,
    datasets: Mapping[str, About],
) -> None:
    """Average `pipeline.score.credibility.measure_credibility` over pairs, subjects and seeds.

    Parameters
    ----------
    measured
        Its tables.
    table1
        CSV of `pipeline.score.table.make_table`: share of ceiling and specificity come from it.
    destination_csv
        CSV written: a row a data set and method: dataset, data, method, seeds, pairs, subjects and
        the columns of `COLUMNS`; empty where a truth, a field or other seeds would be needed.
    destination_md
        The same for readers, a table a data set with a row a column, what is not as it must be, and
        what each column means.
    datasets
        By name, in the wanted order.
    """
    frame = pd.concat([pd.read_parquet(path) for path in measured], ignore_index=True)
    frame = frame.reindex(columns=list(dict.fromkeys([*frame, *COLUMNS])))
    keys = ["dataset", "method"]
    means = frame.groupby([*keys, "seed", "subject"])[list(COLUMNS)].mean()
    means = means.groupby([*keys, "seed"]).mean().groupby(keys).mean()
    counts = frame.groupby(keys).agg(seeds=("seed", "nunique"), subjects=("subject", "nunique"))
    pairs = frame.groupby(keys)[["subject", "baseline", "followup"]].apply(
        lambda rows: len(rows.drop_duplicates())
    )
    counts.insert(1, "pairs", pairs)
    known = read_csv(table1).set_index(keys)[["data", "share_of_ceiling", "specificity"]]
    table = counts.join(means.drop(columns=["share_of_ceiling", "specificity"])).join(known)
    table = table.reset_index()
    table["seeds"] = table["seeds"].where(table["method"].map(is_seeded), 0)
    order = {"dataset": list(datasets), "method": list(scored_titles())}
    table = table.sort_values(keys, key=lambda column: column.map(order[str(column.name)].index))
    table = table[["dataset", "data", "method", "seeds", "pairs", "subjects", *COLUMNS]]
    table = table.round(DECIMALS).replace(-0.0, 0.0)
    write_csv(table, destination_csv)
    with atomic_path(destination_md) as temporary:
        temporary.write_text(_markdown(table, datasets), encoding="utf-8")


def _failed(rows: pd.DataFrame, titles: Mapping[str, str]) -> list[str]:
    """Items of a list: what is not as it must be, by method; nothing of the truth itself."""
    found = []
    for row in rows[rows["method"] != TRUE_DEFORMATION].to_dict("records"):
        for name, column in COLUMNS.items():
            if column.must is None:
                continue
            side, bound = column.must
            value, limit = row[name], row[bound] if bound in COLUMNS else float(bound)
            holds = value > limit if side == "above" else value < limit
            if holds or pd.isna(value) or pd.isna(limit):
                continue
            limited = f"{bound} {limit:.3f}" if bound in COLUMNS else bound
            title = titles[row["method"]]
            found.append(f"- {title}: {name} {value:.3f} is not {side} {limited}")
    return ["What is not as it must be:", "", *found, ""] if found else []


def _markdown(table: pd.DataFrame, datasets: Mapping[str, About]) -> str:
    titles, lines = scored_titles(), []
    for name, rows in table.groupby("dataset", sort=False):
        about = datasets[str(name)]
        kind = "" if about["data"] == "real" else f" ({about['data']})"
        methods = " | ".join(titles[method] for method in rows["method"])
        lines += [
            f"### {about['title']}{kind}",
            "",
            f"| | {methods} |",
            "|---" * len(rows) + "|---|",
        ]
        for column in COLUMNS:
            if rows[column].notna().any():
                cells = ("" if pd.isna(value) else f"{value:.3f}" for value in rows[column])
                lines.append(f"| {column} | {' | '.join(cells)} |")
        lines += ["", *_failed(rows, titles)]
    lines += ["| | What it means | Source |", "|---|---|---|"]
    lines += [
        f"| {name} | {column.sentence} | {column.source} |" for name, column in COLUMNS.items()
    ]
    if (table["method"] == TRUE_DEFORMATION).any():
        lines += ["", "The true deformation is the field that the simulation applied: the ceiling."]
    return "\n".join(lines) + "\n"
