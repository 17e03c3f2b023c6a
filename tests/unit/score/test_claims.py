"""What the paper says in passing, measured."""

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from pipeline.score.claims import make_claims_table, roughness, training_noise
from pipeline.stage.files import write_parquet


def test_roughness_is_the_mean_step_over_the_mean_size():
    stripes = np.tile([1.0, -1.0], (4, 3))  # steps of 2 along the rows, of 0 down the columns
    everywhere = np.ones(stripes.shape, bool)
    expected = (4 * 5 * 2 + 3 * 6 * 0) / (4 * 5 + 3 * 6)
    assert roughness(stripes, everywhere) == pytest.approx(expected)
    assert roughness(7 * stripes, everywhere) == pytest.approx(expected)
    # A mask leaves out what lies outside, and steps to it.
    corner = np.zeros(stripes.shape, bool)
    corner[:2, :2] = True
    outside = np.where(corner, stripes, 100)
    assert roughness(outside, corner) == pytest.approx(1.0)
    assert np.isnan(roughness(0 * stripes, everywhere))
    assert np.isnan(roughness(stripes, ~everywhere))


def test_a_smoothed_map_is_less_rough():
    noise = np.random.default_rng(0).standard_normal((12, 14, 16))
    found = [roughness(gaussian_filter(noise, s), np.ones(noise.shape, bool)) for s in (0, 1, 2)]
    assert found == sorted(found, reverse=True)


def test_a_steady_rise_is_no_noise():
    assert training_noise([0.1, 0.2, 0.3, 0.4]) == pytest.approx(0)
    assert training_noise([0.1, 0.3, 0.2, 0.4]) == pytest.approx(np.std([0.2, -0.1, 0.2], ddof=1))
    assert np.isnan(training_noise([0.3, 0.4]))


def test_table_compares_methods_with_the_papers_own(tmp_path):
    models = []
    for dataset in ("adni", "copd"):
        for method, rough in (("defi-gan", 0.2), ("va-gan", 0.5)):
            for seed in (0, 1):
                scores, history = (tmp_path / f"{dataset}{method}{seed}{x}" for x in "ab")
                pairs = {"subject": ["a", "a", "b"], "roughness": [0, 2 * rough, rough + seed]}
                names = {"dataset": dataset, "method": method, "seed": seed}
                write_parquet(pd.DataFrame(pairs).assign(**names), scores)
                ncc = np.array([0, 1, 0]) * rough
                write_parquet(pd.DataFrame({"validation_ncc": ncc}), history)
                models.append((scores, history))
    about = {"copd": {"data": "real"}, "adni": {"data": "demo"}}
    make_claims_table(models, about, tmp_path / "claims.csv")
    table = pd.read_csv(tmp_path / "claims.csv")
    assert table["dataset"].tolist() == ["copd"] * 4 + ["adni"] * 4
    assert table["data"].tolist() == ["real"] * 4 + ["demo"] * 4
    first = table.iloc[:4]
    assert first["measure"].tolist() == ["noise", "noise", "roughness", "roughness"]
    assert first["method"].tolist() == ["va-gan", "defi-gan"] * 2
    assert (table["seeds"] == 2).all()
    rough = first.set_index(["measure", "method"]).loc["roughness"]
    # Pairs within a subject first: (rough + rough + seed) / 2.
    assert rough["mean"].tolist() == pytest.approx([0.5 + 0.25, 0.2 + 0.25])
    assert rough["sd"].tolist() == pytest.approx([0.5 / 2**0.5] * 2, rel=1e-5)
    assert rough["ratio"].tolist() == pytest.approx([0.75 / 0.45, 1], rel=1e-5)
    assert first["ratio"].iloc[0] == pytest.approx(2.5)
    assert first["paper"].iloc[0].startswith("DeFI-GAN: training is less noisy")
