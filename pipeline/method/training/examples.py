"""What a model in training makes of some images, to watch while it learns."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from pipeline.drawing.panels import (
    ARROWS,
    COLOURS,
    FILM,
    arrows_in,
    cut,
    show_difference,
    show_field,
    show_image,
)
from pipeline.method.explain import explain_each
from pipeline.method.interface import Explainer


def draw_examples(model: Explainer, images: np.ndarray) -> Figure:
    """Draw a row an image: the image, the modified one, their difference and, if any, the field.

    Parameters
    ----------
    model : Explainer
    images : array, shape (N, *spatial)
        Diseased images x1; of volumes the axial slice is shown.
    """
    explanations = explain_each(model, images)
    with_field = explanations[0].displacement is not None
    titles = ["image", "modified", "difference", *(["field"] if with_field else [])]
    plane = FILM if images[0].ndim == 2 else "axial"
    size = (2.2 * len(titles), 2.2 * len(images))
    figure, grid = plt.subplots(len(images), len(titles), figsize=size, squeeze=False)
    for row, shown in zip(grid, explanations, strict=True):
        picture, colours = cut(shown.image, plane), COLOURS["paper"]
        show_image(row[0], picture)
        show_image(row[1], cut(shown.modified, plane))
        show_difference(row[2], picture, cut(shown.difference, plane), colours)
        if shown.displacement is not None:
            arrows = arrows_in(shown.displacement, plane)
            show_field(row[3], picture, *arrows, colours, scale=ARROWS[shown.image.ndim])
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=9)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    figure.tight_layout()
    return figure
