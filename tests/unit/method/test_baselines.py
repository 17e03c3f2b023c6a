"""Baselines, fitted on squares whose disease is that they are small."""

import numpy as np
import pytest
import torch

from pipeline.dataset.packed import PackedDataset
from pipeline.method.baseline import class_means
from pipeline.method.explain import explain_prepared, load_model, score_pairs
from pipeline.method.fit import fit_model
from pipeline.method.ncc import subject_average
from pipeline.method.registry import METHODS, find_method

BASELINES = [name for name, method in METHODS.items() if method.baseline]


@pytest.fixture
def fitted(tmp_path):
    """Fit a baseline on a packed data set, and read the model."""

    def fit(packed, name, seed=0):
        folder = tmp_path / f"{name}-{seed}"
        settings = find_method(name).settings({}, {}, seed)
        fit_model(packed, folder, settings, device="cpu", threads=1)
        return load_model(folder / "generator.safetensors")

    return fit


def test_means_are_of_the_centre_of_larger_films(make_packed):
    packed = make_packed((16, 16), margin=4)
    data = PackedDataset.open(packed)
    labels = data.train_index["label"]
    for label, mean in enumerate(class_means(packed)):
        expected = data.train[labels == label][:, 2:-2, 2:-2].mean(axis=0)
        np.testing.assert_allclose(mean, expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(32, 32), (16, 16, 16)])
@pytest.mark.parametrize("name", BASELINES)
def test_it_explains_as_every_method_does(make_packed, fitted, shape, name):
    packed = make_packed(shape)
    image = PackedDataset.open(packed).pairs_image[0]
    explanation = explain_prepared(fitted(packed, name), image)
    assert explanation.modified.shape == shape
    assert np.abs(explanation.difference).max() > 0.1
    assert (explanation.displacement is not None) == find_method(name).deforms
    if find_method(name).deforms:
        assert explanation.displacement.shape == (len(shape), *shape)


def test_what_knows_the_disease_scores_and_noise_does_not(make_packed, fitted):
    """Each is one map or field for all, which is all there is to know of these squares."""
    packed = make_packed((32, 32))
    data = PackedDataset.open(packed)
    scores = {
        n: subject_average(score_pairs(fitted(packed, n), data, "validation")) for n in BASELINES
    }
    assert scores["constant-field"] > 0.9
    assert scores["class-difference"] > 0.9
    assert abs(scores["random-field"]) < 0.5


def test_one_explanation_for_everybody(make_packed, fitted):
    packed = make_packed((32, 32))
    first, second = PackedDataset.open(packed).pairs_image[:2]
    field = fitted(packed, "constant-field")
    np.testing.assert_array_equal(
        *(explain_prepared(field, x).displacement for x in (first, second))
    )
    difference = fitted(packed, "class-difference")
    np.testing.assert_allclose(
        *(explain_prepared(difference, x).difference for x in (first, second)), atol=1e-6
    )


def test_another_random_field_for_each_image_and_seed(make_packed, fitted):
    packed = make_packed((32, 32))
    first, second = PackedDataset.open(packed).pairs_image[:2]
    fields = [
        explain_prepared(fitted(packed, "random-field", seed), image).displacement
        for seed in (0, 1)
        for image in (first, second)
    ]
    for at, field in enumerate(fields):
        assert all(not np.allclose(field, other, atol=0.1) for other in fields[:at])
        assert np.sqrt(np.mean(field**2)) == pytest.approx(1, rel=0.1)  # a pixel of 32
    again = explain_prepared(fitted(packed, "random-field"), first).displacement
    np.testing.assert_array_equal(again, fields[0])
    # Alone or in a batch, an image has the same field.
    both = fitted(packed, "random-field")(torch.from_numpy(np.stack([first, second]))[:, None])
    np.testing.assert_array_equal(both.displacement[1].numpy(), fields[1])
