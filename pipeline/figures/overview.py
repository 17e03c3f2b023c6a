"""One picture of the whole: an image, its healthy counterpart, predicted and observed change.

Shown is, for each data set, the test pair of median score, so that nothing is picked by hand.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.dataset.packed import PackedDataset
from pipeline.drawing.panels import (
    ARROWS,
    COLOURS,
    FILM,
    arrows_in,
    cut,
    plt,
    show_difference,
    show_field,
    show_image,
)
from pipeline.figures.pair_figures import select_pair
from pipeline.method.explain import explain_prepared, load_model
from pipeline.method.registry import find_method
from pipeline.stage.files import atomic_path


def draw_overview(
    models: dict[str, tuple[Path, Path, Path]],
    datasets: dict[str, dict[str, Any]],
    destination: Path,
) -> None:
    """Draw a row a data set with the explanation of a model that deforms.

    Parameters
    ----------
    models
        By name of the data set: packed data set, and file and scores (Parquet) of one model.
    datasets
        By name: ``title``, ``disease`` and ``data``; the picture says which are simulated.
    destination
        PNG file written.
    """
    titles = [
        "diseased image",
        "healthy counterpart",
        "field",
        "predicted change",
        "observed change",
    ]
    figure, grid = plt.subplots(
        len(models), len(titles), figsize=(11, 2.4 * len(models)), squeeze=False
    )
    for row, (name, (packed, generator, scores)) in zip(grid, models.items(), strict=True):
        data = PackedDataset.open(packed)
        pair, _ = select_pair(pd.read_parquet(scores), "median")
        index = data.pairs_index.set_index(["subject", "followup", "baseline"])
        at = int(index.loc[tuple(pair[index.index.names]), "row"])
        image, mask = np.array(data.pairs_image[at]), data.pairs_mask[at]
        model = load_model(generator)
        shown = explain_prepared(model, image)
        plane = FILM if image.ndim == 2 else "axial"
        picture, colours = cut(image, plane), COLOURS["paper"]
        show_image(row[0], picture)
        show_image(row[1], cut(shown.modified, plane))
        length = ARROWS[image.ndim]
        show_field(row[2], picture, *arrows_in(shown.displacement, plane), colours, scale=length)
        row[2].set_xlabel(f"arrows x{length}", fontsize=8)
        predicted = np.where(mask, shown.difference, 0)
        for axes, difference in zip(row[3:], (predicted, data.pairs_difference[at]), strict=True):
            show_difference(axes, picture, cut(difference, plane), colours)
        about = datasets[name]
        title = about["title"] + (" (simulated)" if about["data"] == "demo" else "")
        title += f"\n{about['disease']['name']}"
        method = f"{find_method(model.method).title}, seed {pair['seed']}"
        row[0].set_ylabel(f"{title}\n{method}: NCC {pair['ncc']:.2f}")
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=10)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    figure.tight_layout()
    with atomic_path(destination) as temporary:
        figure.savefig(temporary, dpi=110, metadata={"Software": None})
    plt.close(figure)
