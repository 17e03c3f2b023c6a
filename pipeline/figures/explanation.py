"""The figure of one explained image: as it is, without the disease, and what changes."""

from pathlib import Path

from pipeline.drawing.panels import (
    ARROWS,
    COLOURS,
    DPI,
    FILM,
    arrows_in,
    cut,
    label_sides,
    planes_of,
    plt,
    show_difference,
    show_field,
    show_image,
)
from pipeline.method.explain import ImageExplanation
from pipeline.method.registry import find_method
from pipeline.stage.about import About
from pipeline.stage.files import atomic_path


def draw_explanation(
    explanation: ImageExplanation,
    method: str,
    about: About,
    notice: str,
    destination: Path,
) -> None:
    """Draw an explanation: image, modified image, difference, and the field if there is one.

    Parameters
    ----------
    explanation
        Of a film, or of a volume (RAS), which is shown in three planes.
    method
        Named in the figure.
    about
        The data set that the model was trained with.
    notice
        What the reader has to know; printed below.
    destination
        Figure written; its suffix tells the format (``.png`` at 300 dpi, or ``.svg``).
    """
    image, modified, phi = explanation.image, explanation.modified, explanation.displacement
    planes, colours = planes_of(image), COLOURS["paper"]
    titles = ["image", f"modified ({find_method(method).title})", "difference"]
    magnified = ARROWS[image.ndim]
    titles += [] if phi is None else [f"displacement field (x{magnified})"]
    figure, grid = plt.subplots(
        len(planes),
        len(titles),
        figsize=(2.4 * len(titles), 2.4 * len(planes) + 0.7),
        squeeze=False,
        layout="constrained",
    )
    for axes, plane in zip(grid, planes, strict=True):
        picture = cut(image, plane)
        show_image(axes[0], picture)
        show_image(axes[1], cut(modified, plane))
        show_difference(axes[2], picture, cut(modified - image, plane), colours)
        if phi is not None:
            show_field(axes[3], picture, *arrows_in(phi, plane), colours, scale=magnified)
        if about["modality"] != "image":
            label_sides(axes[0], plane)
        axes[0].set_ylabel("" if plane == FILM else plane)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=10)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    figure.suptitle(f"{about['title']}: {about['disease']['name']}", fontsize=10)
    arrows = "Arrows: from where the intensity is to where it goes"
    arrows += f", {magnified} times their length." if magnified != 1 else "."
    figure.supxlabel(
        f"difference: pink brighter, green darker. {arrows if phi is not None else ''}\n{notice}",
        fontsize=6,
        wrap=True,
    )
    with atomic_path(destination) as temporary:
        metadata = {"Software": None} if destination.suffix == ".png" else {"Date": None}
        figure.savefig(temporary, dpi=DPI, metadata=metadata)
    plt.close(figure)
