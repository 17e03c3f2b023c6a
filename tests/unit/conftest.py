"""Golden numbers and a tiny packed data set."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.dataset.packed import Geometry
from pipeline.method.training.settings import TrainSettings

GOLDEN = Path(__file__).parents[1] / "golden"


def wave(shape, a, first=1.0, second=0.5):
    """The test signal of the golden files."""
    t = np.arange(np.prod(shape), dtype=np.float64)
    values = first * np.sin(t * a) + second * np.cos(0.37 * t * a + 1)
    return torch.from_numpy(values.reshape(shape).astype(np.float32))


@pytest.fixture(scope="session")
def signal():
    return wave


@pytest.fixture(scope="session")
def formulas():
    return json.loads((GOLDEN / "formulas.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def golden():
    """Read a golden file: its arrays, its `meta` and the weights under the reference's names."""

    def read(name):
        with np.load(GOLDEN / f"{name}.npz") as file:
            arrays = {key: file[key] for key in file.files}
        meta = json.loads(str(arrays.pop("meta")))
        weights = {k[2:]: torch.from_numpy(v) for k, v in arrays.items() if k.startswith("w/")}
        return arrays, meta, weights

    return read


@pytest.fixture(scope="session")
def golden_training():
    return json.loads((GOLDEN / "training_3d_residual.json").read_text(encoding="utf-8"))


def square(rng, shape, half):
    """A bright textured square (or cube) of a half side of `half` voxels; small is diseased."""
    inside = np.ones(shape, dtype=bool)
    for axis in np.indices(shape):
        inside &= np.abs(axis - (shape[0] - 1) / 2) < half
    return np.where(inside, 0.6, -0.6) + 0.05 * rng.standard_normal(shape)


@pytest.fixture
def make_packed(tmp_path):
    """Write a packed data set of squares: `images` of each class and 3 validation pairs."""

    def make(shape, images=6, margin=0, name="packed"):
        rng = np.random.default_rng(0)
        folder = tmp_path / name
        folder.mkdir()
        half = shape[0] / 4
        labels = [0, 1] * images
        larger = tuple(size + margin for size in shape)
        train = [square(rng, larger, half * (0.75 if label else 1.25)) for label in labels]
        pairs = [(square(rng, shape, half * 0.75), square(rng, shape, half * 1.25)) for _ in "abc"]
        x1 = np.stack([small for small, _ in pairs])
        difference = np.stack([large - small for small, large in pairs])
        np.save(folder / "train.npy", np.stack(train).astype(np.float32))
        np.save(folder / "pairs_image.npy", x1.astype(np.float32))
        np.save(folder / "pairs_difference.npy", difference.astype(np.float32))
        np.save(folder / "pairs_mask.npy", np.ones(x1.shape, dtype=bool))
        rows = range(len(labels))
        index = {"row": rows, "subject": [f"t{r}" for r in rows], "session": "1", "label": labels}
        pd.DataFrame(index).to_parquet(folder / "train.parquet")
        index = {"row": range(3), "subject": ["a", "a", "b"], "split": "validation"}
        pairs = pd.DataFrame(index).assign(baseline="1", followup=["2", "3", "2"])
        pairs.to_parquet(folder / "pairs.parquet")
        Geometry.of_made_images(3, shape).write(folder)
        return folder

    return make


@pytest.fixture
def make_settings():
    """Training settings of a tiny run, with some options replaced."""

    def make(**options):
        tiny = {
            "method": "defi-gan",
            "seed": 3,
            "lambda": 1,
            "learning_rate": 0.001,
            "batch_size": 2,
            "accumulated_batches": 1,
            "epochs": 3,
            "updates_per_epoch": 6,
            "epoch_counts": "updates",
            "precision": "float32",
            "critic_updates": 2,
            "initial_critic_updates": 2,
            "initial_generator_updates": 0,
            "critic_boost_every": 0,
            "gradient_penalty": 10,
            "flow_scale": 1,
            "variant": "plain",
            "base_filters": 4,
            "poolings": 2,
            "critic_weights": "random",
            "critic_base_filters": 4,
        }
        return TrainSettings.read(tiny | options)

    return make
