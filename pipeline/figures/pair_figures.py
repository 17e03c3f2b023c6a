"""The paper's figures (2 to 4, and of its supplement) for one test pair.

- *explanation*: image, observed difference, and of each method the modified image, its difference
  and, where it has one, its displacement field; in three planes for volumes.
- *deformation*: the displacement field at full size, the deformed grid and the log-Jacobian.
- *details*: parts of the picture, named in the configuration, with their place shown.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.dataset.packed import PackedDataset
from pipeline.drawing.panels import (
    ARROWS,
    COLOURS,
    DPI,
    FILM,
    Colours,
    arrows_in,
    cut,
    label_sides,
    log_jacobian,
    planes_of,
    plt,
    scale_bar,
    show_difference,
    show_field,
    show_grid,
    show_image,
    show_log_jacobian,
)
from pipeline.method.explain import ImageExplanation, explain_prepared, load_model
from pipeline.method.registry import find_method, shown_first
from pipeline.stage.errors import InputError
from pipeline.stage.files import atomic_path
from pipeline.stage.wording import number_of

FORMATS = ("png", "svg")
FIELD = "displacement field"
DETAIL_STEP = 2  # voxels from arrow to arrow in a detail
PANEL_INCHES, LARGE_INCHES, BAR_INCHES = 2.2, 4.2, 0.08
SMALLEST_LOG_VOLUME = 0.1  # end of the colours of a field that hardly changes any volume


@dataclass(frozen=True)
class Case:
    """A test pair and its explanations; images (*spatial), pixel size in mm or None.

    `diseased` is the name of the diseased group.
    The first explanation has a field; differences are those inside the mask of the pair.
    """

    title: str
    diseased: str
    image: np.ndarray
    observed: np.ndarray
    explanations: dict[str, ImageExplanation]
    differences: dict[str, np.ndarray]
    pixel_mm: float | None

    @property
    def drawn(self) -> str:
        """The method whose field is drawn large."""
        return next(iter(self.explanations))

    @property
    def phi(self) -> np.ndarray:
        """Its field."""
        return self.explanations[self.drawn].displacement


def select_pair(scores: pd.DataFrame, case: str) -> tuple[pd.Series, str]:
    """Choose a test pair.

    Parameters
    ----------
    scores
        Table of `pipeline.score.model.score_model` of one model.
    case
        ``best``, ``median`` or ``worst`` by NCC, or ``sub-`` and a subject, of whom the last pair
        of the table is chosen.

    Returns
    -------
    pair
        Row of `scores`.
    words
        How it was chosen.

    Raises
    ------
    InputError
        If the subject has no test pair.
    """
    ranked = scores.sort_values("ncc", ignore_index=True)
    places = {"worst": 0, "median": len(ranked) // 2, "best": len(ranked) - 1}
    if case in places:
        return ranked.iloc[places[case]], f"{case} of {number_of(len(ranked), 'test pair')} by NCC"
    chosen = scores[scores["subject"] == case.removeprefix("sub-")]
    if chosen.empty:
        known = ", ".join(sorted(scores["subject"].unique()))
        raise InputError(f"figures.subjects: {case} has no test pair; subjects with one: {known}")
    return chosen.iloc[-1], "chosen in the configuration"


def draw_pair(
    packed: Path,
    case: str,
    generators: dict[str, Path],
    scores: Path,
    settings: dict[str, Any],
    prefix: Path,
    *,
    dataset: str,
) -> None:
    """Draw the figures of one test pair, each as PNG (300 dpi) and SVG.

    Parameters
    ----------
    packed
        Packed data set.
    case
        As of `select_pair`.
    generators
        Models by method; one at least deforms.
    scores
        Scores of the first that deforms, by which pairs are ranked (Parquet).
    settings
        ``title``, ``modality``, ``disease`` and ``data`` (of
        `pipeline.study.config.describe_dataset`), ``colours`` (of `COLOURS`) and ``details`` (boxes
        by name).
    prefix
        Written are ``{prefix}_explanation.png``, ``.svg`` and so on.
    dataset
        Name of the data set.

    Raises
    ------
    InputError
        As `select_pair`.
    """
    shown = _load_pair(packed, dataset, case, generators, scores, settings)
    colours = COLOURS[settings["colours"]]
    figures = {
        "explanation": _draw_explanation(shown, colours),
        "deformation": _draw_deformation(shown, colours),
        "details": _draw_details(shown, colours, settings["details"]),
    }
    for name, figure in figures.items():
        for suffix in FORMATS:
            with atomic_path(prefix.with_name(f"{prefix.name}_{name}.{suffix}")) as temporary:
                metadata = {"png": {"Software": None}, "svg": {"Date": None}}[suffix]
                figure.savefig(temporary, dpi=DPI, metadata=metadata)
        plt.close(figure)


def _load_pair(
    folder: Path,
    dataset: str,
    case: str,
    generators: dict[str, Path],
    scores: Path,
    settings: dict[str, Any],
) -> Case:
    pair, words = select_pair(pd.read_parquet(scores), case)
    packed = PackedDataset.open(folder)
    keys = ["subject", "followup", "baseline"]
    index = packed.pairs_index.set_index(keys)
    row = int(index.loc[tuple(pair[keys]), "row"])
    image, mask = np.array(packed.pairs_image[row]), packed.pairs_mask[row]
    explanations = {
        method: explain_prepared(load_model(generators[method]), image)
        for method in shown_first(generators)
    }
    first = find_method(next(iter(explanations))).title
    size = float(packed.geometry.pixel_mm[row])
    title = settings["title"] + (" (demo: simulated)" if settings["data"] == "demo" else "")
    disease = settings["disease"]
    return Case(
        f"{title}, {disease['name']}: subject {pair['subject']}, visit {pair['followup']} "
        f"({disease['diseased']}) against {pair['baseline']} ({disease['healthy']});\n"
        f"{words} ({first}, seed {pair['seed']}: NCC {pair['ncc']:.2f})",
        disease["diseased"],
        image,
        np.array(packed.pairs_difference[row]),
        explanations,
        {method: np.where(mask, e.difference, 0) for method, e in explanations.items()},
        None if np.isnan(size) else size,
    )


def _panels(
    rows: int, columns: int, size: float, title: str
) -> tuple[plt.Figure, np.ndarray, np.ndarray]:
    """A figure, its panels (rows, columns) and, below each column, a place for colours."""
    figure, grid = plt.subplots(
        rows + 1,
        columns,
        figsize=(size * columns, size * rows + 1),
        height_ratios=[*[1] * rows, BAR_INCHES / size],
        squeeze=False,
        layout="constrained",
    )
    figure.suptitle(title, fontsize=9)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    for axes in grid[-1]:
        axes.set_axis_off()
    return figure, grid[:-1], grid[-1]


def _bar(figure: plt.Figure, mappable: Any, place: plt.Axes, text: str) -> None:
    place.set_axis_on()
    bar = figure.colorbar(mappable, cax=place, orientation="horizontal")
    bar.set_label(text, fontsize=7)
    bar.ax.tick_params(labelsize=6)


def _difference_words(colours: Colours) -> str:
    return f"difference ({colours.brighter} brighter, {colours.darker} darker)"


def _times(scale: int) -> str:
    return "1:1" if scale == 1 else f"x{scale}"


def _length_words(shown: Case, scale: int | None = None) -> str:
    """What the bar of a field tells; of rows with arrows of several scales each tells its own."""
    told = [] if scale is None else [f"arrows {_times(scale)}"]
    told += [] if shown.pixel_mm is None else [f"1 px = {shown.pixel_mm:.1f} mm"]
    return "displacement, px" + (f" ({', '.join(told)})" if told else "")


def _longest(shown: Case) -> float:
    """End of the colours of arrows, the same in all panels of a pair."""
    fields = [e.displacement for e in shown.explanations.values() if e.displacement is not None]
    return max(1e-6, *(float(np.linalg.norm(phi, axis=0).max()) for phi in fields))


def _draw_explanation(shown: Case, colours: Colours) -> plt.Figure:
    planes = planes_of(shown.image)
    titles = ["image", "observed difference"]
    for method, explanation in shown.explanations.items():
        name = find_method(method).title
        titles += [f"{name}:\nmodified image", f"{name}:\ndifference"]
        titles += [] if explanation.displacement is None else [f"{name}:\n{FIELD}"]
    figure, grid, bars = _panels(len(planes), len(titles), PANEL_INCHES, shown.title)
    scale = ARROWS[shown.image.ndim]
    for plane, row in zip(planes, grid, strict=True):
        panels = iter(row)
        picture = cut(shown.image, plane)
        axes = next(panels)
        show_image(axes, picture)
        scale_bar(axes, picture.shape[1], shown.pixel_mm)
        label_sides(axes, plane)
        axes.set_ylabel("" if plane == FILM else plane, fontsize=8)
        difference = show_difference(next(panels), picture, cut(shown.observed, plane), colours)
        for method, explanation in shown.explanations.items():
            show_image(next(panels), cut(explanation.modified, plane))
            show_difference(next(panels), picture, cut(shown.differences[method], plane), colours)
            if explanation.displacement is not None:
                where = arrows_in(explanation.displacement, plane)
                options = {"scale": scale, "longest": _longest(shown)}
                field = show_field(next(panels), picture, *where, colours, **options)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=8)
    place = dict(zip(titles, bars, strict=True))
    _bar(figure, difference, place["observed difference"], _difference_words(colours))
    drawn = find_method(shown.drawn).title
    _bar(figure, field, place[f"{drawn}:\n{FIELD}"], _length_words(shown, scale))
    return figure


def _draw_deformation(shown: Case, colours: Colours) -> plt.Figure:
    planes = planes_of(shown.image)
    figure, grid, bars = _panels(len(planes), 3, LARGE_INCHES, shown.title)
    volume = log_jacobian(shown.phi)
    limit = max(float(np.nanpercentile(np.abs(volume), 99.8)), SMALLEST_LOG_VOLUME)
    scale = ARROWS[shown.image.ndim]
    for plane, row in zip(planes, grid, strict=True):
        picture, where = cut(shown.image, plane), arrows_in(shown.phi, plane)
        options = {"scale": scale, "longest": _longest(shown)}
        field = show_field(row[0], picture, *where, colours, **options)
        show_grid(row[1], picture, *where)
        shades = show_log_jacobian(row[2], picture, cut(volume, plane), colours, limit)
        scale_bar(row[0], picture.shape[1], shown.pixel_mm)
        label_sides(row[0], plane)
        row[0].set_ylabel("" if plane == FILM else plane, fontsize=8)
    titles = (FIELD, "deformed grid (1:1)", "change of volume by the disease")
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(f"{find_method(shown.drawn).title}: {title}", fontsize=9)
    _bar(figure, field, bars[0], _length_words(shown, scale))
    _bar(figure, shades, bars[2], f"log Jacobian (above 0: larger in {shown.diseased})")
    return figure


def _draw_details(shown: Case, colours: Colours, details: dict[str, dict[str, Any]]) -> plt.Figure:
    titles = ["place", f"{find_method(shown.drawn).title}:\n{FIELD}"]
    for method in shown.explanations:
        name = find_method(method).title
        titles += [f"{name}:\nmodified image", f"{name}:\ndifference"]
    figure, grid, bars = _panels(len(details), len(titles), PANEL_INCHES, shown.title)
    for (name, detail), row in zip(details.items(), grid, strict=True):
        plane = detail.get("plane", FILM)
        picture = cut(shown.image, plane)
        height, width = picture.shape
        left, top, right, bottom = np.array(detail["box"]) * [width, height, width, height]
        show_image(row[0], picture)
        place = plt.Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False)
        place.set(edgecolor="#ffb000", linewidth=1.5)
        row[0].add_patch(place)
        scale_bar(row[0], width, shown.pixel_mm)
        label_sides(row[0], plane)
        row[0].set_ylabel(f"{name}\narrows {_times(detail['arrows'])}", fontsize=8)
        options = {"scale": detail["arrows"], "step": DETAIL_STEP, "longest": _longest(shown)}
        field = show_field(row[1], picture, *arrows_in(shown.phi, plane), colours, **options)
        panels = iter(row[2:])
        for method, explanation in shown.explanations.items():
            show_image(next(panels), cut(explanation.modified, plane))
            change = cut(shown.differences[method], plane)
            difference = show_difference(next(panels), picture, change, colours)
        for axes in row[1:]:
            axes.set(xlim=(left - 0.5, right - 0.5), ylim=(bottom - 0.5, top - 0.5))
            scale_bar(axes, round(right - left), shown.pixel_mm)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=8)
    _bar(figure, field, bars[1], _length_words(shown))
    _bar(figure, difference, bars[3], _difference_words(colours))
    return figure
