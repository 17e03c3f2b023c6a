"""Attributions of a classifier of images whose disease is known."""

import numpy as np
import pandas as pd
import pytest

from pipeline.dataset.packed import Geometry, write_array
from pipeline.method.training.operations import count_operations
from pipeline.score.classifier import attribution_operations, score_attributions
from pipeline.score.model import SCORE_COLUMNS

METHODS = ["grad-cam", "guided backpropagation", "integrated gradients", "occlusion"]


@pytest.mark.parametrize("shape", [(32, 32), (16, 16, 16)])
def test_attributions_find_a_bright_disease(tmp_path, shape):
    """The disease is a bright square: healthy minus diseased is dark there."""
    rng = np.random.default_rng(0)
    disease = np.zeros(shape)
    disease[tuple(slice(size // 4, size // 2) for size in shape)] = 0.8
    labels = np.arange(40) % 2
    noise = 0.2 * rng.standard_normal((40, *shape)) - 0.3
    images = (noise + labels.reshape(-1, *[1] * len(shape)) * disease).astype(np.float32)
    write_array(tmp_path / "train.npy", images, 40, "float32")
    write_array(tmp_path / "pairs_image.npy", images[1:2], 1, "float32")
    write_array(tmp_path / "pairs_difference.npy", -disease[None], 1, "float32")
    write_array(tmp_path / "pairs_mask.npy", images[1:2] < 9, 1, "bool")
    pd.DataFrame({"row": range(40), "label": labels}).to_parquet(tmp_path / "train.parquet")
    pair = {"row": [0], "subject": ["a"], "split": ["test"], "baseline": ["bl"]}
    pd.DataFrame({**pair, "followup": ["m12"]}).to_parquet(tmp_path / "pairs.parquet")
    Geometry.of_made_images(1, shape).write(tmp_path)
    options = {"base_filters": 4, "batch_size": 8, "updates": 40, "device": "cpu"}
    made = {"dataset": "toy", "seed": 0, **options}
    operations = count_operations(
        lambda: score_attributions(tmp_path, tmp_path / "scores.parquet", **made)
    )
    del options["device"]
    # Told before, and without running it; what the first layer leaves out is counted all the same.
    assert attribution_operations(shape, 1, **options) == pytest.approx(operations, rel=0.15)
    scores = pd.read_parquet(tmp_path / "scores.parquet")
    assert list(scores.columns) == SCORE_COLUMNS
    found = scores.set_index("method")["ncc"]
    assert sorted(found.index) == METHODS
    assert found["integrated gradients"] > 0.3
    assert found.between(-1, 1).all()
    assert found.nunique() == len(METHODS)  # four maps, not one four times
