"""Normalised cross-correlation of observed and predicted differences (paper, Eq. 7)."""

import numpy as np
import pandas as pd


def masked_ncc(observed: np.ndarray, predicted: np.ndarray, mask: np.ndarray) -> float:
    """Normalised cross-correlation inside a mask, Eq. 7.

    Parameters
    ----------
    observed, predicted : array
        Difference images of one shape.
    mask : array
        Where it is true, voxels count.

    Returns
    -------
    float
        Between -1 and 1, with unbiased standard deviations. A difference that is constant inside
        the mask (a generator that changes nothing) correlates with nothing: 0.

    Raises
    ------
    ValueError
        If fewer than two voxels count.
    """
    inside = np.asarray(mask, dtype=bool)
    a = np.asarray(observed)[inside].astype(np.float64)
    b = np.asarray(predicted)[inside].astype(np.float64)
    if a.size < 2:
        raise ValueError("a normalised cross-correlation needs at least two voxels in its mask")
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    a -= a.mean()
    b -= b.mean()
    return float((a * b).sum() / (a.size - 1) / (a.std(ddof=1) * b.std(ddof=1)))


def subject_average(scores: pd.DataFrame) -> float:
    """Mean score: pairs averaged within a subject, then subjects (section 3.3).

    `scores` has a row a pair, with columns ``subject`` and ``ncc``.
    """
    return float(scores.groupby("subject")["ncc"].mean().mean())
