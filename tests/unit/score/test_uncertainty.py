import numpy as np
import pytest

from pipeline.score.uncertainty import mean_interval, wilcoxon_p


def test_interval_is_that_of_a_normal_mean():
    """Of many normal values the bootstrap must find the textbook's mean +- 1.96 sd / sqrt(n)."""
    values = np.random.default_rng(0).normal(0.3, 0.1, 400)
    low, high = mean_interval(values)
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - half, abs=0.05 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.05 * half)
    assert (low, high) == mean_interval(values)


def test_few_or_equal_subjects():
    assert np.isnan(mean_interval(np.array([0.3]))).all()
    assert mean_interval(np.full(3, 0.3)) == pytest.approx((0.3, 0.3))
    assert np.isnan(wilcoxon_p(np.array([0.3])))
    assert np.isnan(wilcoxon_p(np.zeros(5)))


def test_p_of_differences_of_one_sign():
    """All of n signs equal: 2 of 2^n equally likely patterns are as extreme."""
    assert wilcoxon_p(np.arange(1, 7) / 10) == pytest.approx(2 / 2**6)
