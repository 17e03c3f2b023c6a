"""The figure of one explained image: as it is, without the disease, and what changes."""

from pathlib import Path

import matplotlib
import numpy as np

from pipeline.figures.overview import show_difference, show_field
from pipeline.figures.planes import PLANES
from pipeline.files import atomic_path
from pipeline.method.explain import ImageExplanation
from pipeline.score.table import METHODS

matplotlib.use("agg")
from matplotlib import pyplot as plt

DPI = 300
MAGNIFIED = {2: 1, 3: 5}  # length of the arrows for films and volumes, as in the authors' figures


def _rows(explanation: ImageExplanation) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Name and pictures of each row: one for a film, one a plane for a volume."""
    image, modified, phi = explanation.image, explanation.modified, explanation.displacement
    if image.ndim == 2:
        pictures = {"image": image, "modified": modified}
        return [("", pictures if phi is None else pictures | {"right": phi[0], "down": phi[1]})]
    rows = []
    for plane in PLANES:
        level = image.shape[plane.across] // 2
        pictures = {
            "image": plane.picture(image, level),
            "modified": plane.picture(modified, level),
        }
        if phi is not None:
            pictures["right"], pictures["down"] = plane.arrows(phi, level)
        rows.append((f"{plane.name} {level}", pictures))
    return rows


def draw_explanation(
    explanation: ImageExplanation, method: str, notice: str, destination: Path
) -> None:
    """Draw an explanation: image, modified image, difference, and the field if there is one.

    Parameters
    ----------
    explanation
        Of a film, or of a volume (RAS), which is shown in the middle plane of each axis.
    method
        Named in the figure.
    notice
        What the reader has to know; printed below.
    destination
        Figure written; its suffix tells the format (``.png`` at 300 dpi, or ``.svg``).
    """
    rows = _rows(explanation)
    titles = ["image", f"modified ({METHODS[method]})", "difference"]
    magnified = MAGNIFIED[explanation.image.ndim]
    titles += [] if explanation.displacement is None else [f"displacement field (x{magnified})"]
    figure, grid = plt.subplots(
        len(rows),
        len(titles),
        figsize=(2.4 * len(titles), 2.4 * len(rows) + 0.7),
        squeeze=False,
        layout="constrained",
    )
    for axes, (name, pictures) in zip(grid, rows, strict=True):
        image, modified = pictures["image"], pictures["modified"]
        for panel, picture in zip(axes, (image, modified), strict=False):
            panel.imshow(picture, cmap="gray", vmin=-1, vmax=1)
        show_difference(axes[2], image, modified - image)
        if "right" in pictures:
            right, down = (magnified * pictures[name] for name in ("right", "down"))
            show_field(axes[3], image, right, down)
        axes[0].set_ylabel(name)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=10)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    figure.supxlabel(
        "difference: pink brighter, green darker. Arrows: from where the intensity is to where it "
        f"goes, {magnified} times their length.\n{notice}",
        fontsize=6,
        wrap=True,
    )
    with atomic_path(destination) as temporary:
        metadata = {"Software": None} if destination.suffix == ".png" else {"Date": None}
        figure.savefig(temporary, dpi=DPI, metadata=metadata)
    plt.close(figure)
