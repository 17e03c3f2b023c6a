"""Simulated chest films of the demonstration: anatomy, disease, pose and exposure.

All films come from one real radiograph. What a film shows at a pixel is looked up in that
radiograph along a chain of smooth invertible maps,

    film pixel -> pose of the film -> warp of the subject -> ageing -> COPD -> radiograph,

so that the displacement field between any two states of a subject is known: it is the chain of one
state followed by the inverse chain of the other.

Rows come before columns here, as in the arrays; only `displacement` has the reverse order.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import pydicom
from scipy import ndimage
from skimage.transform import resize

from pipeline.geometry.diffeomorphism import (
    grid_positions,
    integrate,
    random_velocity,
    sample_field,
)

# Pixels between the points of the grid that carries the deformation fields.
FIELD_STEP = 4


class Motion(NamedTuple):
    """Tissue around one landmark of the radiograph that moves, with Gaussian fall-off.

    Position (`row`, `column`) in fractions of the film's height and width; everything else in
    fractions of its height. The tissue moves by (`down`, `right`), by `squeeze` towards the
    landmark's column at one extent beside it, and by `swell` away from the landmark at one extent.
    """

    row: float
    column: float
    extent_rows: float
    extent_columns: float
    down: float = 0.0
    right: float = 0.0
    squeeze: float = 0.0
    swell: float = 0.0


MOVES = ("down", "right", "squeeze", "swell")  # of these, more is more severe


class Part(NamedTuple):
    """A part of the thorax that the disease may change: how often, and what moves there."""

    chance: float
    motions: tuple[Motion, ...]


# The family of the disease; docs/demo.md has the sources. The patient's right is on the left of the
# picture; positions were read off the radiograph.
COPD = {
    # The domes sink more than the costophrenic angles: lowered and flattened.
    "right dome": Part(0.12, (Motion(0.735, 0.23, 0.085, 0.125, down=0.08),)),
    "left dome": Part(0.12, (Motion(0.755, 0.76, 0.085, 0.125, down=0.08),)),
    # Hyperinflated zones push aside what lies around them.
    "right upper zone": Part(0.12, (Motion(0.31, 0.26, 0.100, 0.090, swell=0.085),)),
    "left upper zone": Part(0.12, (Motion(0.31, 0.72, 0.100, 0.090, swell=0.085),)),
    "right lower zone": Part(0.12, (Motion(0.54, 0.22, 0.100, 0.090, swell=0.085),)),
    "left lower zone": Part(0.12, (Motion(0.52, 0.80, 0.100, 0.090, swell=0.085),)),
    # A long, narrow heart.
    "heart": Part(
        0.2,
        (
            Motion(0.62, 0.71, 0.13, 0.065, right=-0.06),
            Motion(0.64, 0.36, 0.12, 0.060, right=0.036),
        ),
    ),
    # Sabre-sheath trachea.
    "trachea": Part(0.2, (Motion(0.19, 0.487, 0.090, 0.030, squeeze=0.016),)),
    # Thin soft tissue: the skin comes nearer to the ribs.
    "right soft tissue": Part(
        0.2,
        (
            Motion(0.09, 0.12, 0.060, 0.090, down=0.036, right=0.02),
            Motion(0.91, 0.03, 0.080, 0.050, right=0.045),
        ),
    ),
    "left soft tissue": Part(
        0.2,
        (
            Motion(0.09, 0.88, 0.060, 0.090, down=0.036, right=-0.02),
            Motion(0.91, 0.97, 0.080, 0.050, right=-0.045),
        ),
    ),
}
LARGE = ("dome", "zone")  # at least one of these is affected: nobody's disease is a narrow trachea
MILDEST = 0.4  # severity of an affected part, relative to the severest
# What ten years do without any disease.
AGEING = (
    Motion(0.31, 0.58, 0.050, 0.040, right=0.008),  # aortic knob
    Motion(0.62, 0.71, 0.13, 0.065, right=0.008),  # left border of the heart
    Motion(0.20, 0.43, 0.080, 0.040, right=-0.005),  # right mediastinum
)


class State(NamedTuple):
    """State of a subject at one visit: decades of ageing, severity of COPD (0 healthy)."""

    decades: float = 0.0
    severity: float = 0.0


@dataclass(frozen=True)
class Pose:
    """Affine map from film pixels (row, column) to the subject's frame, in pixels."""

    matrix: np.ndarray
    offset: np.ndarray

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Map positions `(2, ...)`."""
        moved = np.tensordot(self.matrix, pixels, 1).reshape(2, -1) + self.offset[:, None]
        return moved.reshape(pixels.shape)

    def inverse(self) -> "Pose":
        """Map from the subject's frame back to film pixels."""
        matrix = np.linalg.inv(self.matrix)
        return Pose(matrix, -matrix @ self.offset)


def load_radiograph(height: int) -> np.ndarray:
    """Real PA radiograph of the package pydicom-data (RG1_UNCR.dcm), reduced in size.

    Parameters
    ----------
    height
        Rows of the result; the columns follow from the film's proportions.

    Returns
    -------
    numpy.ndarray
        Array (rows, columns) float32, 0 to 1; dense tissue is bright.
    """
    source = pydicom.dcmread(files("data_store") / "data" / "RG1_UNCR.dcm")
    pixels = source.pixel_array.astype(np.float32)  # MONOCHROME1: dense tissue is low
    shape = (height, round(height * pixels.shape[1] / pixels.shape[0]))
    density = resize(pixels.max() - pixels, shape, anti_aliasing=True)
    return (density - density.min()) / np.ptp(density)


def random_pose(
    shape: tuple[int, int], rng: np.random.Generator, *, zoom: float = 1.05, width: float = 1.0
) -> Pose:
    """Draw how a subject stands before the film: a small shift, rotation and change of size.

    Parameters
    ----------
    shape
        Rows and columns of the film.
    rng
        Source of the randomness.
    zoom, width
        Mean magnification (the edge of the radiograph stays outside), and an extra one across the
        film.
    """
    angle = np.deg2rad(rng.normal(0, 1.5))
    scale = zoom * np.exp(rng.normal(0, 0.02)) * np.array([1.0, width])
    shift = rng.normal(0, 0.012 * shape[0], 2)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = rotation / scale
    centre = (np.array(shape) - 1) / 2
    return Pose(matrix, centre + shift - matrix @ centre)


def draw_pattern(rng: np.random.Generator) -> dict[str, float]:
    """Draw which parts a subject's disease affects, and how severely: by name of `COPD`."""
    pattern: dict[str, float] = {}
    while not any(name.endswith(LARGE) for name in pattern):
        drawn = {name: (rng.random(), rng.uniform(MILDEST, 1)) for name in COPD}
        pattern = {
            name: severity for name, (draw, severity) in drawn.items() if draw < COPD[name].chance
        }
    return pattern


def disease_motions(pattern: dict[str, float]) -> Iterator[Motion]:
    """What the disease of a pattern moves, at full severity of the subject's disease."""
    for name, severity in pattern.items():
        for motion in COPD[name].motions:
            moves = {key: severity * getattr(motion, key) for key in MOVES}
            yield motion._replace(**moves)


def motion_velocity(motions: Iterable[Motion], shape: tuple[int, int]) -> np.ndarray:
    """Velocity at which the tissue of the radiograph moves.

    Parameters
    ----------
    motions
        Moving landmarks.
    shape
        Rows and columns of the film.

    Returns
    -------
    numpy.ndarray
        Velocity (2, rows, columns) on the field grid, in its steps.
    """
    height, width = shape
    rows, columns = grid_positions(_field_shape(shape)) * FIELD_STEP
    velocity = np.zeros((2, *rows.shape), np.float32)
    for motion in motions:
        below = (rows - motion.row * (height - 1)) / (motion.extent_rows * height)
        beside = (columns - motion.column * (width - 1)) / (motion.extent_columns * height)
        weight = np.exp(-(below**2 + beside**2) / 2)
        velocity[0] += weight * (motion.down + motion.swell * below)
        velocity[1] += weight * (motion.right + (motion.swell - motion.squeeze) * beside)
    return velocity * (height / FIELD_STEP)


class Subject:
    """Thorax of one person: a smooth random warp of the radiograph that can age and fall ill,
    by a pattern of its own.

    Parameters
    ----------
    radiograph
        Film that everybody is made from, (rows, columns).
    rng
        Source of the warp and of the pattern of the disease.
    warp
        Root mean square of the warp's velocity, in fractions of the film's height.
    """

    def __init__(
        self, radiograph: np.ndarray, rng: np.random.Generator, *, warp: float = 0.012
    ) -> None:
        self._spline = ndimage.spline_filter(radiograph, order=3, output=np.float32, mode="nearest")
        self.shape = radiograph.shape
        height = self.shape[0] / FIELD_STEP
        velocity = random_velocity(
            _field_shape(self.shape), rng=rng, amplitude=warp * height, smoothness=0.12 * height
        )
        self._warp = integrate(velocity)
        self._unwarp = integrate(-velocity)
        self._ageing = motion_velocity(AGEING, self.shape)
        self._disease = motion_velocity(disease_motions(draw_pattern(rng)), self.shape)

    def to_radiograph(self, positions: np.ndarray, state: State) -> np.ndarray:
        """Position in the radiograph of what is seen at `positions` of the subject's frame."""
        positions = _follow(self._warp, positions)
        # The fields move tissue forwards; to look up what arrives somewhere, go against them.
        positions = _follow(integrate(-state.decades * self._ageing), positions)
        return _follow(integrate(-state.severity * self._disease), positions)

    def from_radiograph(self, positions: np.ndarray, state: State) -> np.ndarray:
        """Inverse of `to_radiograph`."""
        positions = _follow(integrate(state.severity * self._disease), positions)
        positions = _follow(integrate(state.decades * self._ageing), positions)
        return _follow(self._unwarp, positions)

    def film(self, state: State, pose: Pose) -> np.ndarray:
        """Noise-free film, (rows, columns) float32 in 0 to 1, dense tissue bright."""
        # Chained on the field grid and interpolated once: as exact, the fields being smooth.
        coarse, pixels = self._field_pixels(), grid_positions(self.shape)
        lookup = self.to_radiograph(pose.apply(coarse), state) - coarse
        positions = pixels + sample_field(lookup, pixels / FIELD_STEP)
        film = ndimage.map_coordinates(
            self._spline, positions, np.float32, order=3, mode="nearest", prefilter=False
        )
        return film.clip(0, 1)

    def displacement(self, followup: State, counterpart: State, pose: Pose) -> np.ndarray:
        """True field that turns the follow-up film into the counterpart in the same pose.

        Parameters
        ----------
        followup
            State that the film shows.
        counterpart
            State that the film would show after sampling it at `pixel + field(pixel)`.
        pose
            Pose of the film.

        Returns
        -------
        numpy.ndarray
            Field (2, rows, columns) float32, components to the right and downwards in film
            pixels, at every `FIELD_STEP`-th pixel.
        """
        pixels = self._field_pixels()
        seen = self.to_radiograph(pose.apply(pixels), counterpart)
        found = pose.inverse().apply(self.from_radiograph(seen, followup))
        return (found - pixels)[::-1].astype(np.float32)

    def _field_pixels(self) -> np.ndarray:
        return grid_positions(_field_shape(self.shape)) * FIELD_STEP


def expose(film: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Take the film: uneven beam, film curve, blur and noise.

    Parameters
    ----------
    film
        Noise-free film, 0 to 1.
    rng
        Source of this film's exposure.

    Returns
    -------
    numpy.ndarray
        Film of the same shape, float32 in 0 to 1.
    """
    rows, columns = (np.linspace(-1, 1, size) for size in film.shape)
    slope = rng.normal(0, 0.02, 2)
    film = film + slope[0] * rows[:, None] + slope[1] * columns
    film = ndimage.gaussian_filter(film, rng.uniform(0.2, 0.7))
    film = film.clip(0, 1) ** np.exp(rng.normal(0, 0.15))
    film = film + rng.normal(0, rng.uniform(0.002, 0.006), film.shape)
    low, high = rng.uniform(0, 0.08), rng.uniform(0.85, 1)
    return (low + (high - low) * film).clip(0, 1).astype(np.float32)


def _field_shape(shape: tuple[int, int]) -> tuple[int, ...]:
    # Reaches the last pixel, so that no position inside the film is extrapolated.
    return tuple(-(-(size - 1) // FIELD_STEP) + 1 for size in shape)


def _follow(field: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Move pixel positions along a field of the field grid."""
    return positions + sample_field(field, positions / FIELD_STEP) * FIELD_STEP
