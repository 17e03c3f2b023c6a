import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import gaussian_filter

from pipeline.method.deformation import warp
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
    images = gaussian_filter(rng.standard_normal((4, 16, 16)), (0, 2, 2)).astype(np.float32)
    differences = gaussian_filter(rng.standard_normal((4, 16, 16)), (0, 2, 2)).astype(np.float32)
    masks = rng.random((4, 16, 16)) < 0.7
    pairs = [
        ("a", "validation", "bl", "m12"),
        ("b", "test", "bl", "m12"),
        ("b", "test", "bl", "m24"),
        ("c", "test", "bl", "m12"),
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
    assert scores[SCORE_COLUMNS[:-2]].to_numpy().tolist() == [
        ["toy", method, 3, "b", "bl", "m12"],
        ["toy", method, 3, "b", "bl", "m24"],
        ["toy", method, 3, "c", "bl", "m12"],
    ]
    with torch.no_grad():
        found = generator(torch.from_numpy(images)[:, None])
        modified = found.modified[:, 0].numpy()
        # Of subject b the first pair's explanation is tried on c.
        others = {1: 3, 2: 3, 3: 1}
        if found.displacement is None:
            tried = {at: modified[of] - images[of] for at, of in others.items()}
        else:
            image = torch.from_numpy(images)[:, None]
            tried = {
                at: (warp(image[at : at + 1], found.displacement[of : of + 1])[0, 0]).numpy()
                - images[at]
                for at, of in others.items()
            }
    expected = [masked_ncc(differences[i], modified[i] - images[i], masks[i]) for i in (1, 2, 3)]
    np.testing.assert_allclose(scores["ncc"], expected, atol=1e-5)
    expected = [masked_ncc(differences[i], tried[i], masks[i]) for i in (1, 2, 3)]
    np.testing.assert_allclose(scores["ncc_other"], expected, atol=1e-5)
    expected = [roughness(modified[i] - images[i], masks[i]) for i in (1, 2, 3)]
    np.testing.assert_allclose(scores["roughness"], expected, rtol=1e-4)
