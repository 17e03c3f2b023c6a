"""How far a mean over subjects can be trusted: bootstrap intervals and a paired test."""

import numpy as np
from scipy import stats

RESAMPLES = 9999
CONFIDENCE = 0.95
SEED = 0  # the same interval on every run


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """Bootstrap interval of a mean over subjects.

    Parameters
    ----------
    values : array, shape (subjects,)
        One value a subject.

    Returns
    -------
    tuple of float
        Lower and upper end of the 95 % percentile interval; not a number for fewer than two
        subjects, which tell nothing about others. The percentile interval, unlike the corrected
        ones, exists for very few subjects and for equal values too.
    """
    values = np.asarray(values, float)
    if len(values) < 2:
        return float("nan"), float("nan")
    found = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(SEED),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def wilcoxon_p(differences: np.ndarray) -> float:
    """Two-sided p of Wilcoxon's signed-rank test of paired differences.

    Not a number for fewer than two subjects or where nothing differs. With few subjects p cannot be
    small whatever the differences are: at best 0.5 with two, 0.03 with six.
    """
    differences = np.asarray(differences, float)
    if len(differences) < 2 or not differences.any():
        return float("nan")
    return float(stats.wilcoxon(differences).pvalue)
