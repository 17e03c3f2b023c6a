"""The choice of lambda: a grid of it, one seed, and the validation pairs alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import pandas as pd

from pipeline.method.registry import find_method
from pipeline.stage.files import atomic_path, read_json, write_csv

matplotlib.use("agg")
from matplotlib import pyplot as plt


def summarise_sweep(
    names: Sequence[str],
    trainings: Sequence[Path],
    titles: Mapping[str, str],
    table: Path,
    picture: Path,
) -> None:
    """Tell which lambda has the best validation score, by data set and method.

    Parameters
    ----------
    names : list of str
        Data set of each training.
    trainings : list of Path
        The ``training.json`` of each.
    titles : dict
        Of the data sets, by name.
    table : Path
        CSV written, a row a training: dataset, method, lambda, validation_ncc, best_epoch, chosen.
        The larger lambda is chosen of a tie.
    picture : Path
        PNG written: the score over lambda, the chosen one marked.
    """
    rows = []
    for name, path in zip(names, trainings, strict=True):
        training = read_json(path)
        settings = training["settings"]
        rows.append(
            {
                "dataset": name,
                "method": settings["method"],
                "lambda": settings["lambda"],
                "validation_ncc": training["validation_ncc"],
                "best_epoch": training["best_epoch"],
            }
        )
    frame = pd.DataFrame(rows).sort_values(["dataset", "method", "lambda"], ignore_index=True)
    groups = frame.groupby(["dataset", "method"])
    best = groups["validation_ncc"].transform("max") == frame["validation_ncc"]
    largest = frame["lambda"].where(best).groupby([frame["dataset"], frame["method"]])
    frame["chosen"] = frame["lambda"] == largest.transform("max")
    write_csv(frame.round({"validation_ncc": 6}), table)
    _draw(frame, titles, picture)


def _draw(frame: pd.DataFrame, titles: Mapping[str, str], destination: Path) -> None:
    names = frame["dataset"].unique()
    figure, axes = plt.subplots(1, len(names), figsize=(4.5 * len(names), 3.4), squeeze=False)
    for ax, name in zip(axes[0], names, strict=True):
        for method, rows in frame[frame["dataset"] == name].groupby("method"):
            (line,) = ax.plot(
                rows["lambda"], rows["validation_ncc"], "o-", label=find_method(method).title
            )
            chosen = rows[rows["chosen"]]
            ax.plot(
                *(chosen["lambda"], chosen["validation_ncc"]),
                *("o", line.get_color()),
                markersize=12,
                fillstyle="none",
            )
        ax.set(title=titles[name], xlabel="lambda", ylabel="validation NCC", xscale="log")
        ax.legend()
    figure.tight_layout()
    with atomic_path(destination) as temporary:
        figure.savefig(temporary, dpi=110, metadata={"Software": None})
    plt.close(figure)
