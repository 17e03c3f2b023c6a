"""The frame of a film: a border of one grey value that runs around it."""

from typing import NamedTuple

import numpy as np

# Of the film's range: noise and JPEG artefacts of a frame stay below.
TOLERANCE = 0.05
SHARE = 0.95  # of a row or column, that has the frame's grey value
STEP = 16  # pixels between those that tell the film's range


class Frame(NamedTuple):
    """Width of a frame at each edge, in pixels; all 0 if there is none."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def shape_inside(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of what such a frame leaves of a film."""
        return shape[0] - self.top - self.bottom, shape[1] - self.left - self.right

    def inside(self, film: np.ndarray) -> np.ndarray:
        """The film (rows, columns) without its frame, as a view."""
        rows, columns = self.shape_inside(film.shape)
        return film[self.top : self.top + rows, self.left : self.left + columns]


def find_frame(film: np.ndarray) -> Frame:
    """Find the frame of a film: white of a scanner's lid, black of a shutter, grey of a viewer.

    A frame has the same grey value at all four edges, but for noise. A border at some edges only is
    none: it may be air beside the patient.

    Parameters
    ----------
    film
        Film (rows, columns), of any grey values.
    """
    low, high = np.percentile(film[::STEP, ::STEP], [1, 99])
    edges = (film[0], film[-1], film[:, 0], film[:, -1])
    value = np.median(np.concatenate(edges))
    darkest, brightest = value + (high - low) * np.array([-TOLERANCE, TOLERANCE])

    def framed(part: np.ndarray) -> np.ndarray:
        return (part >= darkest) & (part <= brightest)

    if any(framed(edge).mean() < SHARE for edge in edges):
        return Frame()  # true of most films
    mask = framed(film)
    if mask.mean() >= SHARE:
        return Frame()  # a film of one grey value
    rows = columns = slice(None)
    for _ in range(2):  # without the rows of the frame its columns show better, and the reverse
        rows = _between(mask[:, columns].mean(axis=1) >= SHARE)
        columns = _between(mask[rows].mean(axis=0) >= SHARE)
    height, width = film.shape
    return Frame(
        left=columns.start,
        top=rows.start,
        right=width - columns.stop,
        bottom=height - rows.stop,
    )


def _between(framed: np.ndarray) -> slice:
    """From the first to the last that is not framed."""
    inside = np.flatnonzero(~framed)
    return slice(int(inside[0]), int(inside[-1]) + 1)
