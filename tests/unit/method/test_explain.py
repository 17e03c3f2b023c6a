"""Saved generators and their explanations."""

import doctest

import numpy as np
import pytest
import torch

from pipeline.dataset.packed import PackedDataset
from pipeline.method import explain
from pipeline.method.explain import (
    explain_image,
    explain_images,
    load_model,
    save_model,
    score_pairs,
)
from pipeline.method.generator import Generator
from pipeline.method.ncc import masked_ncc
from pipeline.stage.errors import InputError

ARCHITECTURE = {
    "dimensions": 2,
    "method": "defi-gan",
    "base_filters": 4,
    "poolings": 2,
    "flow_scale": 10,
}


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "generator.safetensors"
    save_model(ARCHITECTURE, Generator(**ARCHITECTURE).state_dict(), path)
    return path


def test_explanations_do_not_depend_on_the_batch(saved):
    generator = load_model(saved)
    images = np.random.default_rng(0).random((5, 16, 16), dtype=np.float32)
    modified, displacement = explain_images(generator.train(), images, batch_size=2)
    one, field = explain_images(load_model(saved), images[4:])
    np.testing.assert_allclose(modified[4:], one, atol=1e-6)
    np.testing.assert_allclose(displacement[4:], field, atol=1e-6)
    assert displacement.shape == (5, 2, 16, 16)


def test_scores_of_one_split(saved, make_packed):
    packed = PackedDataset.open(make_packed((16, 16)))
    packed.pairs_index.loc[1, "split"] = "test"
    generator = load_model(saved)
    scores = score_pairs(generator, packed, "validation")
    assert scores["row"].tolist() == [0, 2]
    image = packed.pairs_image[2]
    modified, _ = explain_images(generator, image[None])
    expected = masked_ncc(packed.pairs_difference[2], modified[0] - image, packed.pairs_mask[2])
    assert scores["ncc"].iloc[1] == expected
    assert score_pairs(generator, packed, "train").empty


def test_other_files_are_refused(saved):
    saved.write_bytes(saved.read_bytes()[:100])
    with pytest.raises(InputError, match="is not a model"):
        load_model(saved)
    with pytest.raises(InputError, match="there is no file"):
        load_model(saved.with_name("missing.safetensors"))


def test_example_of_the_documentation():
    result = doctest.testmod(explain)
    assert result.attempted > 5
    assert result.failed == 0


def test_explained_image_of_either_method(saved):
    image = np.random.default_rng(0).uniform(-1, 1, (16, 16)).astype(np.float32)
    explanation = explain_image(saved, image)
    modified, field = explain_images(load_model(saved), image[None])
    np.testing.assert_array_equal(explanation.modified, modified[0])
    np.testing.assert_array_equal(explanation.displacement, field[0])
    np.testing.assert_array_equal(explanation.difference, modified[0] - image)
    adding = Generator(dimensions=2, method="va-gan", base_filters=4, poolings=2)
    assert explain_image(adding, image).displacement is None
    for wrong, message in (
        (image[0], "has 1 dimensions"),
        (100 * image, "not scaled"),
        (np.full((16, 16), np.nan), "not scaled"),
        (image[:, :14], "cannot be halved"),
    ):
        with pytest.raises(InputError, match=message):
            explain_image(adding, wrong)
