"""Whether a registered head lies where the template does.

The head is compared with the template within the template's brain, where it lies and displaced on
purpose: a head that fits better when it is displaced is not where it should be. Only ranks of
intensities are compared, and only in the brain, so neither contrast nor the brightness of scalp,
cheeks and neck has a say. A copy is displaced by a turn, by a move, or by exchanging front and back
or top and bottom, which is tried nodded, too: a registration makes the best of a flipped head by
nodding it. Left and right are too alike to tell (see `pipeline.qc.asymmetry`). How often that errs
stands in docs/alignment.md.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.ndimage import affine_transform, center_of_mass, gaussian_filter
from scipy.spatial.transform import Rotation

# Voxel size at which heads are compared: where they lie and which way they face, not their folds.
COARSE_MM = 4.0
SMOOTHING = 1.0  # standard deviation of the Gaussian, coarse voxels
TURN, MOVE_MM = 15.0, 20.0  # degrees about each axis, and along it, to either side
AXES = "xyz"
SIDES = {1: "front and back", 2: "top and bottom"}  # by axis


class Alignment(NamedTuple):
    """How a head lies.

    Attributes
    ----------
    likeness : float
        Spearman's correlation with the template within its brain; 0 where the head is constant.
    better : str
        How the head would fit better, in words; empty where no displacement does.
    """

    likeness: float
    better: str


def find_alignment(
    head: np.ndarray, template: np.ndarray, brain: np.ndarray, voxel_mm: np.ndarray
) -> Alignment:
    """Compare a head with the template, as it lies and displaced.

    Parameters
    ----------
    head, template : array, shape (x, y, z)
        On one grid.
    brain : array of bool, shape (x, y, z)
        The template's brain.
    voxel_mm : array, shape (3,)
        Voxel sizes.
    """
    from scipy.stats import rankdata  # takes 0.15 s to import, also for those who need a part only

    factors = coarse_factors(voxel_mm)
    moving, fixed, share = (coarse(v.astype(np.float32), factors) for v in (head, template, brain))
    inside = share > 0.5
    ranks = rankdata(fixed[inside])
    mm, centre = factors * voxel_mm, np.array(center_of_mass(inside))

    def likeness(linear: np.ndarray, move: np.ndarray) -> float:
        # `linear` is orthogonal; where voxels of the displaced head come from.
        matrix = linear.T * mm / mm[:, None]
        offset = centre - matrix @ (centre + move / mm)
        values = affine_transform(moving, matrix, offset, order=1)[inside]
        return float(np.corrcoef(ranks, rankdata(values))[0, 1]) if np.ptp(values) else 0.0

    plain = likeness(np.eye(3), np.zeros(3))
    displaced = {words: likeness(*by) for words, by in _displacements().items()}
    best = max(displaced, key=lambda words: displaced[words])
    if displaced[best] <= plain:
        return Alignment(plain, "")
    return Alignment(plain, f"fits better {best} ({displaced[best]:.2f} against {plain:.2f})")


def _displacements() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Orthogonal matrices and moves in mm, about the middle of the brain, by what they do."""
    there: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    still = np.zeros(3)
    for axis, sign in product(range(3), (1, -1)):
        unit = sign * np.eye(3)[axis]
        turn = Rotation.from_rotvec(TURN * unit, degrees=True).as_matrix()
        there[f"turned by {sign * TURN:+.0f} degrees about {AXES[axis]}"] = turn, still
        there[f"moved by {sign * MOVE_MM:+.0f} mm along {AXES[axis]}"] = np.eye(3), MOVE_MM * unit
    for (axis, sides), angle in product(SIDES.items(), (0, TURN, -TURN)):
        nod = Rotation.from_euler("x", angle, degrees=True).as_matrix()
        words = f"with {sides} exchanged"
        words += f" and turned by {angle:+.0f} degrees about x" if angle else ""
        there[words] = nod @ np.diag(1.0 - 2 * np.eye(3)[axis]), still
    return there


def coarse_factors(voxel_mm: np.ndarray, size_mm: float = COARSE_MM) -> np.ndarray:
    """Voxels along each axis that are joined to one of about `size_mm`."""
    return np.maximum(1, np.round(size_mm / voxel_mm)).astype(int)


def coarse(data: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Means of blocks of `factors` voxels, smoothed."""
    shape = np.array(data.shape) // factors
    x, y, z = shape * factors
    blocks = data[:x, :y, :z].reshape(
        [n for pair in zip(shape, factors, strict=True) for n in pair]
    )
    return gaussian_filter(blocks.mean(axis=(1, 3, 5)), SMOOTHING)
