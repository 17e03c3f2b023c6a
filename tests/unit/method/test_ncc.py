"""Normalised cross-correlation, Eq. 7."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.method.ncc import masked_ncc, subject_average

FORMULAS = Path(__file__).parents[2] / "golden" / "formulas.json"


def signal(a):
    t = np.arange(2 * 12 * 13, dtype=np.float64)
    values = np.sin(t * a) + 0.5 * np.cos(0.37 * t * a + 1)
    return values.reshape(2, 12, 13).astype(np.float32)


def test_agrees_with_the_reference():
    expected = json.loads(FORMULAS.read_text(encoding="utf-8"))["ncc"]["values"]
    a = signal(0.21)
    b = signal(0.23) + np.float32(0.3) * a
    mask = signal(0.05) > 0
    values = [masked_ncc(a[i], b[i], mask[i]) for i in range(2)]
    assert values == pytest.approx(expected, rel=1e-4)


def test_only_the_mask_counts():
    a, b = signal(0.21)[0], signal(0.23)[0]
    mask = signal(0.05)[0] > 0
    changed = np.where(mask, b, 100 * a)
    assert masked_ncc(a, changed, mask) == masked_ncc(a, b, mask)
    assert masked_ncc(a, 3 * a + 1, mask) == pytest.approx(1)
    assert masked_ncc(a, -a, mask) == pytest.approx(-1)


def test_a_constant_difference_scores_zero():
    a = signal(0.21)[0]
    mask = np.ones(a.shape, dtype=bool)
    assert masked_ncc(a, np.zeros_like(a), mask) == 0
    assert masked_ncc(a, np.full_like(a, 0.1), mask) == 0


def test_an_empty_mask_is_refused():
    a = signal(0.21)[0]
    with pytest.raises(ValueError, match="two voxels"):
        masked_ncc(a, a, np.zeros(a.shape, dtype=bool))


def test_pairs_are_averaged_within_a_subject_first():
    scores = pd.DataFrame({"subject": ["a", "a", "a", "b"], "ncc": [0.1, 0.2, 0.3, 0.6]})
    assert subject_average(scores) == pytest.approx(0.4)
