import numpy as np
import pandas as pd
import pytest

from pipeline.score.model import SCORE_COLUMNS
from pipeline.score.table import make_table

PUBLISHED = {"va-gan": [0.332, 0.015], "defi-gan": [0.365, 0.014]}


@pytest.fixture
def scores(tmp_path):
    """Two seeds of both methods on two data sets, and the true deformation on one of them."""
    pairs = [("a", "bl", "m12"), ("a", "bl", "m24"), ("b", "bl", "m12")]
    paths = []
    # Subject a: the mean of 0.1 and 0.3, subject b: 0.4; so 0.3, plus the offset.
    for dataset in ("adni", "copd"):
        for method, offset in (("va-gan", 0.0), ("defi-gan", 0.25)):
            for seed in (0, 1):
                values = np.array([0.1, 0.3, 0.4]) + offset + 0.1 * seed
                rows = [
                    (dataset, method, seed, *pair, ncc, 0.3)
                    for pair, ncc in zip(pairs, values, strict=True)
                ]
                paths.append(tmp_path / f"{dataset}_{method}_{seed}.parquet")
                pd.DataFrame(rows, columns=SCORE_COLUMNS).to_parquet(paths[-1])
    truth = [
        ("copd", "true deformation", -1, *pair, ncc, 0.6, field)
        for field, ncc in (("total", 0.9), ("disease", 0.5))
        for pair in pairs
    ]
    paths.append(tmp_path / "truth.parquet")
    pd.DataFrame(truth, columns=[*SCORE_COLUMNS, "field"]).to_parquet(paths[-1])
    return paths


def test_table(tmp_path, scores):
    datasets = {
        "adni": {"title": "ADNI", "data": "real", "published": PUBLISHED},
        "copd": {"title": "COPD", "data": "demo", "published": PUBLISHED},
    }
    make_table(scores, tmp_path / "table.csv", tmp_path / "table.md", datasets)
    lines = (tmp_path / "table.csv").read_text(encoding="utf-8").splitlines()
    columns = "dataset,data,method,seeds,pairs,subjects,ncc_mean,ncc_sd,paper_mean,paper_sd"
    columns += ",ncc_low,ncc_high,gain,gain_low,gain_high,gain_p,gain_p_holm,share_of_ceiling"
    columns += ",specificity,specificity_low,specificity_high,interval_note"
    assert lines[0] == columns
    few, gain = '"2 subjects, fewer than 10', "2 seeds, fewer than 3"
    assert lines[1:] == [
        f'adni,real,va-gan,2,3,2,0.35,0.070711,0.332,0.015,,,0.25,,,,,,0.05,,,{few}; {gain}"',
        f'adni,real,defi-gan,2,3,2,0.6,0.070711,0.365,0.014,,,,,,,,,0.3,,,{few}; {gain}"',
        # Undoing the disease alone is not what the pairs show; and no paper beside a demo.
        "copd,demo,true deformation,0,3,2,0.9,,,,,,-0.3,,,,,1.0,0.3,,,"
        f'{few}; gain: {few[1:]}; {gain}"',
        f'copd,demo,va-gan,2,3,2,0.35,0.070711,,,,,0.25,,,,,0.388889,0.05,,,{few}; {gain}"',
        f'copd,demo,defi-gan,2,3,2,0.6,0.070711,,,,,,,,,,0.666667,0.3,,,{few}; {gain}"',
    ]
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert text.splitlines()[:4] == [
        "| Data | true deformation | VA-GAN | DeFI-GAN |",
        "|---|---|---|---|",
        "| ADNI |  | 0.350 ± 0.071 (paper: 0.332 ± 0.015) | 0.600 ± 0.071 (paper: 0.365 ± 0.014) |",
        "| COPD (demo) | 0.900 | 0.350 ± 0.071 | 0.600 ± 0.071 |",
    ]
    assert "simulated" in text
    assert "ADNI: DeFI-GAN minus VA-GAN +0.250, 2 subjects." in text
    assert (
        "ADNI, no interval of VA-GAN, DeFI-GAN: 2 subjects, fewer than 10; 2 seeds, fewer than 3."
    ) in text


@pytest.fixture
def many_scores(tmp_path):
    """Three seeds and ten subjects: DeFI-GAN is above VA-GAN by 0.1 and a little of each seed's.

    Another subject's explanation loses 0.2 of DeFI-GAN's score, and nothing of VA-GAN's.
    """
    rng = np.random.default_rng(0)
    of_subjects = 0.2 * rng.standard_normal(10)
    rows = []
    for method, mean, lost in (("va-gan", 0.4, 0.0), ("defi-gan", 0.5, 0.2)):
        for seed in range(3):
            own = 0.02 * rng.standard_normal(10)
            ncc = mean + of_subjects + own + 0.01 * rng.standard_normal()
            other = ncc - lost + 0.02 * rng.standard_normal(10)
            scores = zip(ncc, other, strict=True)
            rows += [("copd", method, seed, f"s{n}", "a", "b", *s) for n, s in enumerate(scores)]
    rows += [("copd", "true deformation", -1, f"s{n}", "a", "b", 0.9, 0.4) for n in range(10)]
    path = tmp_path / "many.parquet"
    pd.DataFrame(rows, columns=SCORE_COLUMNS).to_parquet(path)
    return path


def test_intervals(tmp_path, many_scores):
    datasets = {"copd": {"title": "COPD", "data": "demo", "published": None}}
    make_table([many_scores], tmp_path / "table.csv", tmp_path / "table.md", datasets)
    table = pd.read_csv(tmp_path / "table.csv").set_index("method")
    assert table["interval_note"].isna().all()
    for low, mean, high in (
        ("ncc_low", "ncc_mean", "ncc_high"),
        ("gain_low", "gain", "gain_high"),
        ("specificity_low", "specificity", "specificity_high"),
    ):
        told = table.dropna(subset=[mean])
        assert (told[low] <= told[mean]).all()
        assert (told[mean] <= told[high]).all()
    va_gan = table.loc["va-gan"]
    # Subjects are paired: the gain's interval is far narrower than that of either mean.
    assert va_gan["gain_high"] - va_gan["gain_low"] < (va_gan["ncc_high"] - va_gan["ncc_low"]) / 2
    assert va_gan["gain_low"] > 0
    # Two comparisons, both as clear as the bootstrap can tell.
    assert table["gain_p_holm"].dropna().tolist() == [0.0004, 0.0004]
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "(95 % interval over seeds and subjects +0." in text
    assert "p = 0.0002, corrected by Holm 0.0004), 10 subjects." in text
    assert "no interval" not in text
    assert table.loc["defi-gan", "specificity_low"] > 0 > va_gan["specificity_low"]
    assert "COPD (demo), specificity not above 0: VA-GAN. Another subject's" in text


def test_number_agrees_with_its_noun(tmp_path, many_scores):
    scores = pd.read_parquet(many_scores)
    scores[scores["subject"] == "s0"].to_parquet(many_scores)
    datasets = {"copd": {"title": "COPD", "data": "demo", "published": None}}
    make_table([many_scores], tmp_path / "table.csv", tmp_path / "table.md", datasets)
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert ", 1 subject." in text
    assert "1 subjects" not in text


def test_real_data_and_one_seed(tmp_path, scores):
    first = [path for path in scores if path.stem in ("adni_va-gan_0", "adni_defi-gan_0")]
    datasets = {"adni": {"title": "ADNI", "data": "real", "published": None}}
    make_table(first, tmp_path / "table.csv", tmp_path / "table.md", datasets)
    table = pd.read_csv(tmp_path / "table.csv")
    assert table["ncc_mean"].tolist() == [0.3, 0.55]
    assert table[["ncc_sd", "paper_mean", "paper_sd"]].isna().all(axis=None)
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "| ADNI | 0.300 | 0.550 |" in text
    assert "simulated" not in text


def test_specificity_without_an_interval_shows_nothing_yet(tmp_path, many_scores):
    scores = pd.read_parquet(many_scores)
    scores[scores["subject"].isin(["s0", "s1"])].to_parquet(many_scores)
    datasets = {"copd": {"title": "COPD", "data": "real", "published": None}}
    make_table([many_scores], tmp_path / "table.csv", tmp_path / "table.md", datasets)
    table = pd.read_csv(tmp_path / "table.csv").set_index("method")
    assert table["specificity_low"].isna().all()
    positive = table.index[table["specificity"] > 0]
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "COPD, specificity above 0, without an interval: " in text
    assert ("defi-gan" in positive) and "DeFI-GAN. Whether what these show" in text


def test_attribution_that_is_not_a_patients_own_is_named(tmp_path, many_scores):
    scores = pd.read_parquet(many_scores)
    other = scores[scores["method"] == "defi-gan"].assign(method="occlusion")
    other["ncc_other"] = other["ncc"] + 0.1
    pd.concat([scores, other]).to_parquet(many_scores)
    datasets = {"copd": {"title": "COPD", "data": "real", "published": None}}
    make_table([many_scores], tmp_path / "table.csv", tmp_path / "table.md", datasets)
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    (line,) = (line for line in text.splitlines() if "specificity not above 0" in line)
    assert "specificity not above 0: occlusion, VA-GAN." in line
