import numpy as np
import pytest

from pipeline.dataset.packed import PackedDataset
from pipeline.demo.toy_squares import draw_square, pack_toy, place_square, scale_square
from pipeline.measure.toy_magnification import choose_side, magnification_scores, magnify


def test_magnifying_to_the_true_side_is_the_true_change():
    small = scale_square(draw_square(np.random.default_rng(0), 64, 2.5), 20)
    healthy = magnify(place_square(small, 64), 44)
    expected = place_square(scale_square(small, 44), 64)
    assert healthy == pytest.approx(expected, abs=1e-6)  # images are of 32 bits


def test_the_chosen_side_is_a_healthy_one_and_scores(tmp_path):
    settings = {"seed": 0, "size": 64, "texture_sigma": 2.5, "train": 2}
    pack_toy(tmp_path / "packed", tmp_path / "none.csv", validation=20, test=20, **settings)
    data = PackedDataset.open(tmp_path / "packed")
    side = choose_side(data)
    assert side / round(0.8 * 64) == pytest.approx(0.8, abs=0.08)  # healthy ones: 0.7 and more
    scores = magnification_scores(data, "test", side)
    assert scores.mean() > magnification_scores(data, "test", side + 12).mean() + 0.1
