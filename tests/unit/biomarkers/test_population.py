"""What a model finds in the images of its training, beside one image."""

import numpy as np
import pandas as pd
import pytest
import torch
from nibabel.affines import from_matvec

from pipeline.biomarkers.population import (
    KEYS,
    beside_population,
    film_ruler,
    population_range,
    trained_shape,
    volume_ruler,
)
from pipeline.method.explain import explain_prepared, load_model, save_model
from pipeline.method.generator import Generator
from pipeline.stage import layout

SHAPE = (16, 16, 16)
MEASURE = volume_ruler(from_matvec(12 * np.eye(3), [-90, -110, -80]), 12.0)


@pytest.fixture
def generator(tmp_path, make_packed):
    """An untrained model where a run has it, beside its packed data set."""
    path = tmp_path / "results" / layout.model("adni", "defi-gan", 0, "generator.safetensors")
    path.parent.mkdir(parents=True)
    packed = make_packed(SHAPE, images=5).rename(path.parents[3] / "packed")
    index = pd.read_parquet(packed / "train.parquet")
    index.loc[index["row"] == 9, "subject"] = "t7"  # a second diseased image
    index.to_parquet(packed / "train.parquet")
    save(path, seed=0)
    return path


def save(path, seed):
    torch.manual_seed(seed)
    architecture = {"dimensions": 3, "method": "defi-gan", "base_filters": 4, "poolings": 2}
    architecture["flow_scale"] = 1e4
    save_model(architecture, Generator(**architecture).state_dict(), path)


def test_range_is_that_of_one_diseased_image_a_subject(generator):
    model = load_model(generator)
    found = population_range(generator, model, MEASURE, SHAPE)
    images = np.load(generator.parents[3] / "packed/train.npy")[[1, 3, 5, 7]]
    tables = [MEASURE(explain_prepared(model, image)).set_index(KEYS)["value"] for image in images]
    values = pd.concat(tables, axis=1)
    found = found.set_index(KEYS)
    assert (found["images"] == 4).all()
    for name, share in (("low", 0.05), ("median", 0.5), ("high", 0.95)):
        expected = values.quantile(share, axis=1).loc[found.index]
        np.testing.assert_allclose(found[name], expected, rtol=1e-6)
    assert (found["high"] - found["low"]).loc["hippocampi", "volume change", "%"] > 0


def test_range_is_kept_beside_the_model_for_its_state(generator):
    model = load_model(generator)
    first = population_range(generator, model, MEASURE, SHAPE)
    kept = generator.with_name("population.csv")
    assert not {"t1", "t3", "subject"} & set(pd.read_csv(kept).astype(str).to_numpy().ravel())
    (generator.parents[3] / "packed").rename(generator.parents[3] / "elsewhere")
    again = population_range(generator, model, MEASURE, SHAPE)
    pd.testing.assert_frame_equal(again, first, check_dtype=False)
    save(generator, seed=1)  # another model: the range is not its own
    assert population_range(generator, load_model(generator), MEASURE, SHAPE) is None


def test_size_of_the_training_is_known_while_its_images_are_at_hand(generator):
    assert trained_shape(generator) == SHAPE
    (generator.parents[3] / "packed/pairs_mask.npy").unlink()  # for the sake of space
    assert trained_shape(generator) == SHAPE
    assert population_range(generator, load_model(generator), MEASURE, SHAPE) is None
    (generator.parents[3] / "packed").rename(generator.parents[3] / "elsewhere")
    assert trained_shape(generator) is None


def test_one_image_stands_beside_the_range():
    measured = pd.DataFrame(
        [("hippocampi", "volume change", "%", -3.0), ("new", "volume change", "%", 1.0)],
        columns=[*KEYS, "value"],
    )
    population = measured.head(1).drop(columns="value")
    population = population.assign(images=7, low=-2.0, median=-1.0, high=0.0)
    table = beside_population(measured, population)
    assert table["images"].tolist() == [7, 0]
    assert table["low"].iloc[0] == -2 and np.isnan(table["low"].iloc[1])
    assert (beside_population(measured, None)["images"] == 0).all()


def test_film_without_landmarks_has_an_empty_table():
    model = Generator(dimensions=2, method="defi-gan", base_filters=4, poolings=2).eval()
    blank = explain_prepared(model, np.full((32, 32), -1, np.float32))
    assert film_ruler(36, 32)(blank).columns.tolist() == [*KEYS, "value"]
