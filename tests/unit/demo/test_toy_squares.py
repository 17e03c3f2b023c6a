import numpy as np
import pandas as pd
import pytest

from pipeline.dataset.packed import PackedDataset
from pipeline.demo.toy_squares import draw_factor, draw_square, pack_toy, place_square, scale_square

SETTINGS = {"size": 64, "texture_sigma": 2.5, "train": 60, "validation": 6, "test": 8}


@pytest.fixture
def make_toy(tmp_path):
    def make(name="packed", **settings):
        pack_toy(tmp_path / name, tmp_path / "exclusions.csv", **{"seed": 1} | SETTINGS | settings)
        return PackedDataset.open(tmp_path / name)

    return make


def test_factors_are_a_rounded_weibull_variable():
    rng = np.random.default_rng(0)
    factors = np.array([draw_factor(rng) for _ in range(20_000)])
    assert np.array_equal(factors, factors.round(2))
    # 0.75 times the mean of a Weibull variable of shape 7, Gamma(1 + 1/7).
    assert factors.mean() == pytest.approx(0.75 * 0.9354, abs=0.003)
    # What is below 0.695 is rounded to 0.69 or less: 1 - exp(-(0.695 / 0.75)^7).
    assert (factors < 0.7).mean() == pytest.approx(0.4438, abs=0.012)


def test_square_has_its_mean_spread_and_smoothness():
    square = draw_square(np.random.default_rng(0), 224, 2.5)
    assert square.shape == (179, 179)
    assert square.mean() == pytest.approx(0.5)
    assert square.std() == pytest.approx(0.5)
    # Noise smoothed with sigma correlates as a Gaussian of sqrt(2) sigma: exp(-25/25) 5 pixels on.
    texture = square - 0.5
    correlation = (texture[:, :-5] * texture[:, 5:]).mean() / texture.var()
    assert correlation == pytest.approx(np.exp(-1), abs=0.05)


def test_square_is_centred_and_cut_off():
    image = place_square(np.ones((4, 4)), 8)
    assert image[2:6, 2:6].min() == 1
    assert image.sum() == 16 - 0.5 * 48
    assert place_square(np.arange(100.0).reshape(10, 10), 8)[0, 0] == 11


def test_change_makes_the_square_healthy(make_toy):
    data = make_toy()
    for image, change in zip(data.pairs_image, data.pairs_difference, strict=True):
        healthy = image + change
        small, large = (np.sqrt((part != -0.5).sum()) for part in (image, healthy))
        assert round(small) < 0.7 * 51 <= round(large) + 0.5
        start, side = (64 - round(small)) // 2, round(small)
        square = image[start : start + side, start : start + side]
        start, side = (64 - round(large)) // 2, round(large)
        inside = healthy[start : start + side, start : start + side]
        np.testing.assert_allclose(inside, scale_square(square, side), atol=1e-5)


def test_no_image_is_in_two_splits(make_toy):
    data = make_toy(validation=8)
    images = [*data.train, *data.pairs_image]
    assert len({image.tobytes() for image in images}) == len(images)
    assert data.pairs_index["split"].tolist() == ["validation"] * 8 + ["test"] * 8
    assert data.pairs_index["subject"].is_unique
    # More training images leave the other splits as they are.
    other = make_toy("other", validation=8, train=70)
    assert np.array_equal(other.pairs_image, data.pairs_image)
    assert not np.array_equal(make_toy("seed", seed=2).pairs_image[:8], data.pairs_image[:8])


def test_labels_are_of_the_sizes(make_toy, tmp_path):
    data = make_toy()
    sides = np.sqrt((data.train != -0.5).sum(axis=(1, 2)))
    labels = data.train_index["label"].to_numpy()
    assert sides[labels == 1].max() <= sides[labels == 0].min()
    assert 0 < labels.mean() < 1
    assert pd.read_csv(tmp_path / "exclusions.csv").empty
