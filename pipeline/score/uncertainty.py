"""How far a mean over seeds and subjects can be trusted: docs/statistics.md tells what and why."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.stage.wording import number_of

RESAMPLES = 9999
CONFIDENCE = 0.95
SEED = 0  # the same interval on every run
FEWEST_SUBJECTS = 10
FEWEST_SEEDS = 3


class Uncertainty(NamedTuple):
    """Of a mean over seeds and subjects.

    Attributes
    ----------
    low, high : float
        95 % interval; not a number where `note` tells why there is none.
    p : float
        Two-sided, of the mean being 0.
    note : str
        Why there is no interval; empty where there is one.
    """

    low: float
    high: float
    p: float
    note: str = ""


def by_seed_and_subject(scores: pd.DataFrame, column: str) -> pd.DataFrame:
    """Means of a column over pairs: a row a seed, a column a subject whom all seeds have.

    `scores` has a row a pair, with columns ``seed`` and ``subject``.
    """
    return scores.pivot_table(column, "seed", "subject", aggfunc="mean").dropna(axis="columns")


def two_way_bootstrap(values: np.ndarray, resamples: int = RESAMPLES) -> np.ndarray:
    """Means after seeds and subjects were drawn anew, each with replacement.

    The pigeonhole bootstrap of crossed factors: Owen, Annals of Applied Statistics 1(2), 2007,
    doi:10.1214/07-AOAS122.

    Parameters
    ----------
    values : array, shape (seeds, subjects)
        A single row has no seeds to draw: subjects alone are resampled.

    Returns
    -------
    array, shape (resamples,)
    """
    rng = np.random.default_rng(SEED)
    seeds, subjects = values.shape
    of_seeds = sum(values[drawn] for drawn in rng.integers(seeds, size=(seeds, resamples))) / seeds
    drawn = rng.integers(subjects, size=(resamples, subjects))
    return np.take_along_axis(of_seeds, drawn, axis=1).mean(axis=1)


def percentile_interval(means: np.ndarray) -> np.ndarray:
    """Lower and upper end of the 95 % interval of resampled means."""
    outside = (1 - CONFIDENCE) / 2
    return np.quantile(means, [outside, 1 - outside])


def mean_uncertainty(values: pd.DataFrame, *, seeded: bool) -> Uncertainty:
    """Interval and test of the mean of `values`, by `two_way_bootstrap`.

    Parameters
    ----------
    values : DataFrame, shape (seeds, subjects)
        As of `by_seed_and_subject`; for a comparison, paired differences.
    seeded : bool
        Whether chance had a part in the values; a single row of those that it had none in is
        enough.

    Returns
    -------
    Uncertainty
        The percentile interval. Its p is twice the share of resampled means on the other side of
        0, at most 1: it is below 0.05 where the interval leaves 0 out.
    """
    seeds, subjects = values.shape
    counts = [(subjects, FEWEST_SUBJECTS, "subject")]
    counts += [(seeds, FEWEST_SEEDS, "seed")] if seeded else []
    few = [
        f"{number_of(count, name)}, fewer than {least}"
        for count, least, name in counts
        if count < least
    ]
    if few:
        return Uncertainty(np.nan, np.nan, np.nan, "; ".join(few))
    means = two_way_bootstrap(values.to_numpy(float))
    low, high = percentile_interval(means)
    beyond = 1 + min(np.count_nonzero(means <= 0), np.count_nonzero(means >= 0))
    return Uncertainty(float(low), float(high), min(1.0, 2 * beyond / (RESAMPLES + 1)))


def holm(p: Sequence[float]) -> np.ndarray:
    """Values of p corrected for their number (Holm, 1979); those that are no numbers stay so."""
    values = np.asarray(p, float)
    corrected = np.full(values.shape, np.nan)
    order = np.argsort(values)[: np.count_nonzero(~np.isnan(values))]  # no numbers come last
    steps = values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1, np.maximum.accumulate(steps))
    return corrected
