import numpy as np
import pandas as pd
import pytest

from pipeline.score.uncertainty import by_seed_and_subject, holm, mean_uncertainty


def effects(seeds, subjects, sd_seeds, sd_subjects, mean=0.3):
    """Values whose means over seeds and over subjects have exactly these standard deviations."""
    rng = np.random.default_rng(0)
    parts = []
    for count, sd in ((seeds, sd_seeds), (subjects, sd_subjects)):
        drawn = rng.standard_normal(count)
        parts.append(sd * (drawn - drawn.mean()) / max(drawn.std(), 1e-9))
    return pd.DataFrame(mean + parts[0][:, None] + parts[1])


def test_interval_of_many_subjects_without_seeds_is_that_of_a_normal_mean():
    """The textbook's mean +- 1.96 sd / sqrt(n)."""
    found = mean_uncertainty(effects(1, 400, 0, 0.1), seeded=False)
    half = 1.96 * 0.1 / np.sqrt(400)
    assert found.low == pytest.approx(0.3 - half, abs=0.05 * half)
    assert found.high == pytest.approx(0.3 + half, abs=0.05 * half)
    assert found == mean_uncertainty(effects(1, 400, 0, 0.1), seeded=False)  # the same again


def test_seeds_widen_the_interval():
    """Variances of the two means add up, as in an analysis of crossed factors."""
    found = mean_uncertainty(effects(40, 100, 0.06, 0.1), seeded=True)
    half = 1.96 * np.hypot(0.06 / np.sqrt(40), 0.1 / np.sqrt(100))
    assert found.high - found.low == pytest.approx(2 * half, rel=0.05)


@pytest.mark.parametrize("mean", [0.02, 0.03])
def test_p_agrees_with_the_interval(mean):
    """Half a width of the interval from 0 is p = 0.05."""
    found = mean_uncertainty(effects(1, 100, 0, 0.125, mean), seeded=False)
    assert (found.p < 0.05) == (found.low > 0)
    against = mean_uncertainty(effects(1, 100, 0, 0.125, -mean), seeded=False)
    assert (against.p < 0.05) == (against.high < 0)


def test_p_of_a_mean_that_is_far_from_0_or_is_0():
    assert mean_uncertainty(effects(3, 10, 0.01, 0.01), seeded=True).p == pytest.approx(2 / 10000)
    assert mean_uncertainty(pd.DataFrame(np.zeros((3, 10))), seeded=True).p == 1


@pytest.mark.parametrize(
    ("seeds", "subjects", "seeded", "note"),
    [
        (3, 10, True, ""),
        (1, 10, False, ""),
        (3, 9, True, "9 subjects, fewer than 10"),
        (1, 10, True, "1 seed, fewer than 3"),
        (2, 3, True, "3 subjects, fewer than 10; 2 seeds, fewer than 3"),
    ],
)
def test_few_have_a_reason_and_no_interval(seeds, subjects, seeded, note):
    found = mean_uncertainty(effects(seeds, subjects, 0.1, 0.1), seeded=seeded)
    assert found.note == note
    assert np.isfinite([found.low, found.high, found.p]).all() == (not note)


def test_pairs_are_averaged_and_incomplete_subjects_left_out():
    scores = pd.DataFrame(
        [(0, "a", 0.1), (0, "a", 0.3), (1, "a", 0.5), (0, "b", 0.7)],
        columns=["seed", "subject", "ncc"],
    )
    found = by_seed_and_subject(scores, "ncc")
    assert found.columns.tolist() == ["a"]
    assert found["a"].tolist() == pytest.approx([0.2, 0.5])


def test_holm():
    """The smallest of three is multiplied by 3, and no value falls below a smaller one's."""
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.6, np.nan, 0.7])[[0, 2]] == pytest.approx([1, 1])
    assert np.isnan(holm([0.6, np.nan, 0.7])[1])
