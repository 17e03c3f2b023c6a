"""Left and right: is a brain the mirror image of the same subject's brain at another session?

A template's two halves are too alike to tell a mirrored brain, and the asymmetries that people have
in common are too weak to tell a single one (those of two persons' heads correlated by -0.1). But
each brain is asymmetric in its own way, down to its sulci, and stays so over the years: its part
that is odd about the midsagittal plane is much the same at all of a subject's sessions, and the
very opposite in a mirrored volume.
"""

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import affine_transform, binary_erosion, center_of_mass, gaussian_filter

from pipeline.geometry.affine import voxel_sizes
from pipeline.stage.files import atomic_path

STEP_MM = 4.0
SMOOTHING_MM = 3.0
# Contrast is taken relative to this neighbourhood, so that no receive field passes for anatomy.
NEIGHBOURHOOD_MM = 15.0
# Root mean square, in units of the neighbourhood's contrast: 0.28 in two persons, 0.15 or more in
# the demonstration's subjects, 0.09 or less in the symmetric average, where it is noise.
LEAST_ASYMMETRY = 0.12
# Measured over heads, poses, fields and noise: 0.74 or more between sessions of a subject, as far
# below 0 where one of them was mirrored, and between -0.2 and 0.25 of different heads.
LOWEST_LIKENESS = 0.4


def brain_asymmetry(brain: nib.Nifti1Image, template: nib.Nifti1Image) -> np.ndarray:
    """Odd part of a brain's contrast about the template's midsagittal plane.

    Parameters
    ----------
    brain
        Volume on the template's grid, 0 outside the brain.
    template
        T1 template with skull.

    Returns
    -------
    ndarray
        float16 (x, y, z), the left half at voxels of 4 mm; NaN where not both sides are brain.
        Mirroring the brain changes its sign.
    """
    data = np.asarray(brain.dataobj, np.float32)
    sizes = voxel_sizes(template.affine)
    step = STEP_MM / sizes
    middle = center_of_mass(np.asarray(template.dataobj, np.float32))[0]
    half = int(min(middle, data.shape[0] - 1 - middle) / step[0])
    shape = (2 * half, *(np.array(data.shape[1:]) / step[1:]).astype(int))
    start = np.array([middle - (half - 0.5) * step[0], 0, 0])

    def sampled(values: np.ndarray) -> np.ndarray:
        smooth = gaussian_filter(values, SMOOTHING_MM / sizes)
        return affine_transform(smooth, np.diag(step), start, output_shape=shape, order=1)

    share = sampled((data != 0).astype(np.float32))
    inside = (share > 0.5) & (share > 0.5)[::-1]
    values = np.divide(sampled(data), share, where=inside, out=np.zeros(shape, np.float32))
    width = NEIGHBOURHOOD_MM / STEP_MM
    weight = gaussian_filter(inside.astype(np.float32), width)

    def around(values: np.ndarray) -> np.ndarray:
        total = gaussian_filter(np.where(inside, values, 0), width)
        return np.divide(total, weight, where=inside, out=np.zeros(shape, np.float32))

    contrast = values - around(values)
    spread = np.sqrt(around(contrast**2))
    contrast = np.divide(contrast, spread, where=spread > 0, out=np.zeros(shape, np.float32))
    odd, even = (contrast - contrast[::-1]) / 2, (contrast + contrast[::-1]) / 2
    inner = binary_erosion(inside)
    odd[inner] = _without_motion(odd, even, inner)
    odd[~inner] = np.nan
    return odd[:half].astype(np.float16)


def _without_motion(odd: np.ndarray, even: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """What no small motion explains: a symmetric brain, shifted or turned, has an odd part, too."""
    x, y, z = np.gradient(even)
    places = np.meshgrid(
        *(np.arange(n) - (n - 1) / 2 for n in even.shape), indexing="ij", sparse=True
    )
    shift, turn, roll = x, places[1] * x - places[0] * y, places[2] * x - places[0] * z
    motions = np.stack([motion[inside] for motion in (shift, turn, roll)], axis=1)
    return odd[inside] - motions @ np.linalg.lstsq(motions, odd[inside], rcond=None)[0]


def save_asymmetry(odd: np.ndarray | None, path: Path) -> None:
    """Write an array of `brain_asymmetry`, compressed (NPZ); an empty file if there is none."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        if odd is not None:
            np.savez_compressed(file, odd=odd)


def load_asymmetry(path: Path) -> np.ndarray | None:
    """Read what `save_asymmetry` wrote."""
    if path.stat().st_size == 0:
        return None
    with np.load(path) as arrays:
        return arrays["odd"]


def likeness(odd: Sequence[np.ndarray | None]) -> np.ndarray:
    """Correlations between the asymmetries of a subject's sessions.

    Parameters
    ----------
    odd
        One array of `brain_asymmetry` a session; None: not known.

    Returns
    -------
    ndarray
        (sessions, sessions); near 1 for sessions that are alike, near -1 where one is mirrored, NaN
        on the diagonal and where one is not known or too symmetric to tell.
    """
    found = np.full((len(odd), len(odd)), np.nan)
    for row, first in enumerate(odd):
        for column, second in enumerate(odd[:row]):
            if first is None or second is None:
                continue
            both = np.isfinite(first) & np.isfinite(second)
            a, b = (half[both].astype(np.float64) for half in (first, second))
            sizes = [np.sqrt(np.mean(half**2)) if both.any() else 0.0 for half in (a, b)]
            if min(sizes) >= LEAST_ASYMMETRY:
                correlation = np.mean(a * b) / np.prod(sizes)
                found[row, column] = found[column, row] = correlation
    return found


def mirrored(alike: np.ndarray) -> np.ndarray:
    """Sessions that are the mirror image of more of the others than they are like.

    Of three or more sessions of which one is mirrored, it is found; of two, either may be the
    mirrored one and both are named.

    Parameters
    ----------
    alike
        Correlations as `likeness` returns them.

    Returns
    -------
    ndarray
        Boolean (sessions,).
    """
    agreeing = np.sum(alike > LOWEST_LIKENESS, axis=1)
    opposite = np.sum(alike < -LOWEST_LIKENESS, axis=1)
    return opposite > agreeing
