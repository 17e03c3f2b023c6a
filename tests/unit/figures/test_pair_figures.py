"""Figures of test pairs, from a packed data set and models to files."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.studies import ADNI
from PIL import Image
from scipy.ndimage import gaussian_filter

from pipeline.dataset.packed import Geometry, write_array
from pipeline.figures.pair_figures import draw_pair, select_pair
from pipeline.method.explain import save_model
from pipeline.method.generator import Generator
from pipeline.stage import layout
from pipeline.stage.errors import InputError

SCORES = pd.DataFrame(
    {
        "seed": 0,
        "subject": ["a", "b", "b", "c", "d"],
        "baseline": "bl",
        "followup": ["m12", "m12", "m24", "m12", "m12"],
        "ncc": [0.4, 0.9, 0.1, 0.3, 0.2],
    }
)


@pytest.mark.parametrize(
    ("case", "expected"),
    [("best", "b m12"), ("median", "c m12"), ("worst", "b m24"), ("sub-b", "b m24")],
)
def test_pairs_are_chosen_by_score_or_name(case, expected):
    pair, _ = select_pair(SCORES, case)
    assert f"{pair['subject']} {pair['followup']}" == expected


def test_unknown_subject_is_named_with_those_there_are():
    with pytest.raises(InputError, match="sub-x has no test pair; subjects with one: a, b, c, d"):
        select_pair(SCORES, "sub-x")


@pytest.fixture
def results(tmp_path):
    """A packed data set of one volume pair, and a model of each method."""
    shape = (16, 20, 16)
    image = gaussian_filter(np.random.default_rng(0).standard_normal((1, *shape)), 2)
    image = (image / np.abs(image).max()).astype(np.float32)
    folder = tmp_path / "adni" / "packed"
    folder.mkdir(parents=True)
    for name in ("train", "pairs_image", "pairs_difference"):
        write_array(folder / f"{name}.npy", image, 1, "float32")
    write_array(folder / "pairs_mask.npy", image > -2, 1, "bool")
    pair = {"row": [0], "subject": ["a"], "split": ["test"], "baseline": ["bl"]}
    pd.DataFrame({**pair, "followup": ["m12"]}).to_parquet(folder / "pairs.parquet")
    pd.DataFrame({"row": [0]}).to_parquet(folder / "train.parquet")
    made = Geometry.of_made_images(1, shape)
    replace(made, pixel_mm=np.array([4.8])).write(folder)
    SCORES[:1].to_parquet(tmp_path / "scores.parquet")
    torch.manual_seed(0)
    for method in ("va-gan", "defi-gan"):
        architecture = {"dimensions": 3, "base_filters": 2, "poolings": 2, "method": method}
        weights = Generator(**architecture).state_dict()
        save_model(architecture, weights, tmp_path / f"{method}.safetensors")
    return tmp_path


def test_figures_of_a_volume(results):
    settings = {
        "colours": "safe",
        "details": {"ventricles": {"plane": "axial", "box": [0.25, 0.25, 0.75, 0.75], "arrows": 3}},
        "data": "demo",
        **ADNI,
    }
    generators = {name: results / f"{name}.safetensors" for name in ("va-gan", "defi-gan")}
    prefix = results / "figures" / "adni" / "best"
    files = (results / "adni" / "packed", "best", generators, results / "scores.parquet")
    draw_pair(*files, settings, prefix, dataset="adni")
    for name in layout.FIGURES:
        with Image.open(results / layout.figure("adni", "best", name, "png")) as picture:
            assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)
            assert np.ptp(np.asarray(picture.convert("L"))) > 200
        drawing = (results / layout.figure("adni", "best", name, "svg")).read_text()
        # The words are there, whether as text or as the comments beside their outlines.
        scale = "arrows x3" if name == "details" else "px (arrows x5"
        for words in ("simulated", "subject a", scale, "1 px = 4.8 mm"):
            assert name == "deformation" or words in drawing
