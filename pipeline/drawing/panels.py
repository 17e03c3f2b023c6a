"""The parts that pictures of explanations are made of.

Conventions of the paper's figures: grey images from -1 to 1; differences from pink (brighter) to
green (darker), as opaque as they are strong; arrows from where an intensity is to where it goes,
coloured by their length. Films are shown as they are read, the patient's right on the left;
volumes (x, y, z in RAS) with the head or the face up and the patient's right on the right.
"""

from dataclasses import dataclass

import matplotlib
import numpy as np

from pipeline.drawing.planes import PLANES
from pipeline.geometry.diffeomorphism import jacobian_determinant

matplotlib.use("agg")
from matplotlib import patheffects
from matplotlib import pyplot as plt
from matplotlib.colors import CenteredNorm
from matplotlib.image import AxesImage
from matplotlib.quiver import Quiver

matplotlib.rcParams["svg.hashsalt"] = "pipeline"  # the same file on every run

DIFFERENCE_RANGE = 0.4  # colours of the differences, as in the authors' figures
QUIVER_STEP = 4  # voxels from arrow to arrow, likewise...
SMALL_PICTURE, SMALL_STEP = 96, 2  # ...except in pictures of fewer voxels than this
# Arrows are this many times as long as the displacements (films, volumes), likewise.
ARROWS = {2: 1, 3: 5}
DPI = 300
FILM = "film"
# The slices of the authors' figures, sagittal 40, coronal 83 and axial 56 of 128 x 160 x 112.
LEVELS = {"sagittal": 40 / 128, "coronal": 83 / 160, "axial": 56 / 112}
_PLANE = {plane.name: plane for plane in PLANES}


@dataclass(frozen=True)
class Colours:
    """Colour maps of a figure, and the words for their ends."""

    difference: str
    brighter: str
    darker: str
    length: str
    volume: str


COLOURS = {
    "paper": Colours("PiYG_r", "pink", "green", "viridis", "RdBu_r"),
    # Told apart with any of the common colour deficiencies, and in grey by their opacity.
    "safe": Colours("PuOr_r", "orange", "purple", "cividis", "PuOr_r"),
}


def planes_of(image: np.ndarray) -> tuple[str, ...]:
    """Planes that an image is shown in."""
    return (FILM,) if image.ndim == 2 else tuple(LEVELS)


def cut(image: np.ndarray, plane: str) -> np.ndarray:
    """Slice of a volume (x, y, z) as a picture; a film as it is."""
    return image if plane == FILM else _PLANE[plane].picture(image, _level(image.shape, plane))


def arrows_in(phi: np.ndarray, plane: str) -> tuple[np.ndarray, np.ndarray]:
    """Displacements rightwards and downwards in the picture, voxels, of phi (D, *spatial)."""
    if plane == FILM:
        return phi[0], phi[1]
    return _PLANE[plane].arrows(phi, _level(phi.shape[1:], plane))


def _level(shape: tuple[int, ...], plane: str) -> int:
    return round(shape[_PLANE[plane].across] * LEVELS[plane])


def show_image(axes: plt.Axes, picture: np.ndarray) -> AxesImage:
    """Show an image scaled to [-1, 1]."""
    return axes.imshow(picture, cmap="gray", vmin=-1, vmax=1)


def show_difference(
    axes: plt.Axes, picture: np.ndarray, difference: np.ndarray, colours: Colours
) -> AxesImage:
    """Lay a difference over an image; its opacity is four times its size."""
    show_image(axes, picture)
    axes.imshow(
        difference,
        cmap=colours.difference,
        vmin=-DIFFERENCE_RANGE,
        vmax=DIFFERENCE_RANGE,
        alpha=np.clip(np.abs(4 * difference), 0, 1),
    )
    scale = plt.Normalize(-DIFFERENCE_RANGE, DIFFERENCE_RANGE)
    return plt.cm.ScalarMappable(scale, colours.difference)


def show_field(
    axes: plt.Axes,
    picture: np.ndarray,
    right: np.ndarray,
    down: np.ndarray,
    colours: Colours,
    *,
    scale: float = 1.0,
    step: int | None = None,
    longest: float | None = None,
) -> Quiver:
    """Lay the displacements over the image that they deform.

    Parameters
    ----------
    axes, picture
        Where and over what.
    right, down
        Displacements in the picture, voxels, of the shape of `picture`.
    colours
        Colour maps.
    scale
        Arrows are this many times as long as the displacements.
    step
        Voxels from arrow to arrow; None: by the size of the picture.
    longest
        Length in voxels at the end of the colours; None: the longest arrow.
    """
    show_image(axes, picture)
    step = step or _step(picture)
    rows, columns = (np.arange(step // 2, size, step) for size in picture.shape)
    u, v = (part[np.ix_(rows, columns)] for part in (right, down))
    # xhat0(p) = x1(p + phi): what is at p came from p + phi. Arrows run from there to p.
    arrows = axes.quiver(
        *(columns + u, rows[:, None] + v, -scale * u, -scale * v, np.hypot(u, v)),
        angles="xy",
        scale_units="xy",
        scale=1,
        cmap=colours.length,
        width=0.006,
        clim=(0, longest or max(float(np.hypot(u, v).max()), 1e-6)),
    )
    _whole_picture(axes, picture)
    return arrows


def show_grid(axes: plt.Axes, picture: np.ndarray, right: np.ndarray, down: np.ndarray) -> None:
    """Show where the lines of a regular grid on the modified image lie in the image."""
    show_image(axes, picture)
    step = _step(picture)
    rows, columns = np.indices(picture.shape)
    x, y = columns + right, rows + down
    lines = [(x[at], y[at]) for at in range(step // 2, len(x), step)]
    lines += [(x[:, at], y[:, at]) for at in range(step // 2, x.shape[1], step)]
    for line in lines:
        axes.plot(*line, color="#ffb000", linewidth=0.7)
    _whole_picture(axes, picture)


def show_log_jacobian(
    axes: plt.Axes, picture: np.ndarray, log_jacobian: np.ndarray, colours: Colours, limit: float
) -> AxesImage:
    """Lay the logarithm of the Jacobian determinant over an image; folds stay black."""
    axes.set_facecolor("black")
    shown = axes.imshow(log_jacobian, cmap=colours.volume, norm=CenteredNorm(0, limit))
    axes.contour(picture, levels=[-0.9, 0], colors="black", linewidths=0.3)
    _whole_picture(axes, picture)
    return shown


def log_jacobian(phi: np.ndarray) -> np.ndarray:
    """Natural logarithm of the Jacobian determinant of ``p + phi(p)``; not a number in folds.

    Positive where the image's tissue takes more room than that of the modified image: larger in
    the disease.
    """
    determinant = jacobian_determinant(phi[::-1])
    return np.log(determinant, where=determinant > 0, out=np.full_like(determinant, np.nan))


def scale_bar(axes: plt.Axes, width: int, pixel_mm: float | None) -> None:
    """Draw a bar of a round length, at most a third of the picture's width; pixels without mm."""
    unit, size = ("px", 1.0) if pixel_mm is None else ("mm", pixel_mm)
    lengths = [number * 10**power for power in range(4) for number in (1, 2, 5)]
    length = max((n for n in lengths if n <= width * size / 3), default=lengths[0])
    left, bottom = 0.05, 0.06
    bar = {"transform": axes.transAxes, "color": "white", "linewidth": 2}
    outline = [patheffects.withStroke(linewidth=4, foreground="black")]
    ends = [left, left + length / size / width]
    axes.plot(ends, [bottom, bottom], path_effects=outline, **bar)
    label(axes, left, bottom + 0.02, f"{length} {unit}", horizontal="left", vertical="bottom")


def label_sides(axes: plt.Axes, plane: str) -> None:
    """Write which side of the patient is where."""
    left, right = "RL" if plane == FILM else _PLANE[plane].sides[:2]
    label(axes, 0.03, 0.97, left, horizontal="left", vertical="top")
    label(axes, 0.97, 0.97, right, horizontal="right", vertical="top")


def label(axes: plt.Axes, x: float, y: float, text: str, *, horizontal: str, vertical: str) -> None:
    """Write readably on any image, at a position in fractions of the axes."""
    box = {"facecolor": "black", "alpha": 0.5, "pad": 1, "edgecolor": "none"}
    place = {"ha": horizontal, "va": vertical, "transform": axes.transAxes}
    axes.text(x, y, text, color="white", fontsize=7, bbox=box, **place)


def _step(picture: np.ndarray) -> int:
    return SMALL_STEP if min(picture.shape) < SMALL_PICTURE else QUIVER_STEP


def _whole_picture(axes: plt.Axes, picture: np.ndarray) -> None:
    axes.set(xlim=(-0.5, picture.shape[1] - 0.5), ylim=(picture.shape[0] - 0.5, -0.5))
    axes.set_aspect("equal")
