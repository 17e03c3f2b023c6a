"""Training curves for the report."""

import io
from pathlib import Path

import matplotlib
import pandas as pd

matplotlib.use("agg")
from matplotlib import pyplot as plt

from pipeline.method.registry import find_method

PANELS = {
    "validation_ncc": "validation NCC",
    "critic_loss": "critic's loss",
    "generator_loss": "generator's loss",
}


def draw_curves(histories: dict[tuple[str, int], Path]) -> bytes:
    """Draw the validation score and the losses over the epochs.

    Parameters
    ----------
    histories
        ``history.parquet`` of each (method, seed) of one data set.

    Returns
    -------
    bytes
        PNG: a panel a quantity, a colour a method, a line a seed; a method that is not trained
        against a critic has no losses.
    """
    methods = list(dict.fromkeys(method for method, _ in histories))
    figure, panels = plt.subplots(1, len(PANELS), figsize=(11, 2.8), layout="constrained")
    for (method, _), path in histories.items():
        history = pd.read_parquet(path)
        options = {"color": f"C{methods.index(method)}", "lw": 1}
        options |= {"marker": "."} if len(history) == 1 else {}  # no line to see
        for axes, name in zip(panels, PANELS, strict=True):
            if name in history:
                axes.plot(history["epoch"], history[name], **options)
    for axes, title in zip(panels, PANELS.values(), strict=True):
        axes.set(title=title, xlabel="epoch")
        axes.grid(alpha=0.3)
    titles = [find_method(method).title for method in methods]
    lines = [plt.Line2D([], [], color=f"C{i}", label=title) for i, title in enumerate(titles)]
    panels[0].legend(handles=lines, fontsize=8)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110, metadata={"Software": None})
    plt.close(figure)
    return content.getvalue()
