import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import gaussian_filter

from pipeline.method.explain import save_model
from pipeline.method.generator import Generator
from pipeline.method.ncc import masked_ncc
from pipeline.score.claims import roughness
from pipeline.score.model import SCORE_COLUMNS, score_model

ARCHITECTURE = {"dimensions": 2, "base_filters": 4, "poolings": 2}


@pytest.mark.parametrize("method", ["va-gan", "defi-gan"])
def test_scores_the_pairs_of_the_split(tmp_path, write_packed, method):
    torch.manual_seed(0)
    architecture = {**ARCHITECTURE, "method": method}
    generator = Generator(**architecture).eval()
    save_model(architecture, generator.state_dict(), tmp_path / "generator.safetensors")
    rng = np.random.default_rng(0)
    images = gaussian_filter(rng.standard_normal((3, 16, 16)), (0, 2, 2)).astype(np.float32)
    differences = gaussian_filter(rng.standard_normal((3, 16, 16)), (0, 2, 2)).astype(np.float32)
    masks = rng.random((3, 16, 16)) < 0.7
    pairs = [
        ("a", "validation", "bl", "m12"),
        ("b", "test", "bl", "m12"),
        ("b", "test", "bl", "m24"),
    ]
    write_packed(tmp_path / "packed", pairs, images, differences, masks)
    score_model(
        tmp_path / "packed",
        tmp_path / "generator.safetensors",
        tmp_path / "scores.parquet",
        dataset="toy",
        method=method,
        seed=3,
        device="cpu",
    )
    scores = pd.read_parquet(tmp_path / "scores.parquet")
    assert list(scores.columns) == [*SCORE_COLUMNS, "roughness"]
    assert scores[SCORE_COLUMNS[:-1]].to_numpy().tolist() == [
        ["toy", method, 3, "b", "bl", "m12"],
        ["toy", method, 3, "b", "bl", "m24"],
    ]
    with torch.no_grad():
        modified = generator(torch.from_numpy(images)[:, None]).modified[:, 0].numpy()
    expected = [masked_ncc(differences[i], modified[i] - images[i], masks[i]) for i in (1, 2)]
    np.testing.assert_allclose(scores["ncc"], expected, atol=1e-5)
    expected = [roughness(modified[i] - images[i], masks[i]) for i in (1, 2)]
    np.testing.assert_allclose(scores["roughness"], expected, rtol=1e-4)
