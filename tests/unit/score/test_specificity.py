"""Explanations of other subjects on an image, where it is known what they do to it."""

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from pipeline.score.specificity import MOST_OTHERS, Evidence, ncc_of_others, pairs_of_others

IMAGE = gaussian_filter(np.random.default_rng(0).standard_normal((16, 16)), 2).astype(np.float32)


def shift(columns):
    """A field that takes every value from some columns further."""
    field = np.zeros((2, 16, 16), np.float32)
    field[0] = columns
    return field


def test_a_field_deforms_the_image_at_hand_and_a_map_stays():
    moved = Evidence("a", shift(1)).on(IMAGE)
    np.testing.assert_allclose(moved[:, :-1], np.diff(IMAGE, axis=1), atol=1e-6)
    assert Evidence("a", IMAGE).on(0 * IMAGE) is IMAGE


def test_score_of_others_leaves_the_subject_out():
    mask = np.zeros(IMAGE.shape, bool)
    mask[:, :-2] = True  # what comes from outside does not count
    observed = Evidence("a", shift(1)).on(IMAGE)
    others = [Evidence("a", shift(1)), Evidence("b", shift(1)), Evidence("c", shift(-1))]
    against = ncc_of_others(others[2:], "a", IMAGE, observed, mask)
    assert against < 0
    assert ncc_of_others(others, "a", IMAGE, observed, mask) == pytest.approx((1 + against) / 2)
    assert np.isnan(ncc_of_others(others[:1], "a", IMAGE, observed, mask))


def test_others_are_all_subjects_or_a_sample():
    def pairs(subjects):
        names = [f"s{n}" for n in range(subjects) for _ in "ab"]
        return pd.DataFrame({"subject": names, "row": range(2 * subjects)})

    few = pairs_of_others(pairs(MOST_OTHERS))
    assert few["row"].tolist() == list(range(0, 2 * MOST_OTHERS, 2))
    sample = pairs_of_others(pairs(100))
    assert sample["subject"].nunique() == MOST_OTHERS
    assert sample.equals(pairs_of_others(pairs(100)))
