"""Explainers whose credibility is known: perfect, constant, random, one that changes nothing."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.dataset.packed import Geometry, write_array
from pipeline.geometry.diffeomorphism import jacobian_determinant
from pipeline.method.deformation import warp
from pipeline.method.explain import load_model, load_untrained, save_model
from pipeline.method.generator import Generator
from pipeline.score.credibility import (
    measure_credibility,
    of_field,
    of_place,
    of_size,
    seed_agreement,
    tiles,
)
from pipeline.stage import layout

SHAPE = (32, 32)
CENTRE = np.array([12, 18])
SUBJECTS = [f"s{number}" for number in range(5)]
VALIDATION = [f"v{number}" for number in range(3)]
EVERYWHERE = np.ones(SHAPE, dtype=bool)
COLUMNS = ["proximity", "sparsity", "auprc", "pointing_game", "still_share", "composition"]


def disease_field():
    """phi (2, *SHAPE): a disc of the diseased image grows to twice its width; all else is still."""
    offset = np.indices(SHAPE) - CENTRE.reshape(2, 1, 1)
    near = np.exp(-((np.linalg.norm(offset, axis=0) / 8) ** 4))
    return (-0.5 * offset * near)[::-1].astype(np.float32)


def disc(radius, rng):
    distance = np.linalg.norm(np.indices(SHAPE) - CENTRE.reshape(2, 1, 1), axis=0)
    return np.clip(radius - distance, -0.5, 0.5) + 0.02 * rng.standard_normal(SHAPE)


def deform(image, phi):
    x1 = torch.from_numpy(np.array(image, np.float32))[None, None]
    return warp(x1, torch.from_numpy(phi)[None])[0, 0].numpy()


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A packed data set, its true fields, and models of every kind."""
    folder = tmp_path_factory.mktemp("study")
    rng, phi = np.random.default_rng(0), disease_field()
    packed, truth = folder / "packed", folder / "truth"
    packed.mkdir()
    subjects = SUBJECTS + VALIDATION
    diseased = np.stack([disc(3, rng) for _ in subjects]).astype(np.float32)
    healthy = np.stack([deform(image, phi) for image in diseased])
    training = np.stack([disc(3, rng) for _ in range(24)]).astype(np.float32)
    training[::2] = [deform(image, phi) for image in training[::2]]
    arrays = {"train": training, "pairs_image": diseased, "pairs_difference": healthy - diseased}
    for name, values in arrays.items():
        write_array(packed / f"{name}.npy", values, len(values), "float32")
    write_array(packed / "pairs_mask.npy", diseased < 9, len(diseased), "bool")
    train = {"row": range(24), "subject": "t", "session": "bl", "label": [0, 1] * 12}
    pd.DataFrame(train).to_parquet(packed / "train.parquet")
    pairs = pd.DataFrame({"row": range(len(subjects)), "subject": subjects})
    pairs = pairs.assign(split="test", baseline="bl", followup="m12")
    pairs.loc[pairs["subject"].isin(VALIDATION), "split"] = "validation"
    pairs.to_parquet(packed / "pairs.parquet")
    Geometry.of_made_images(len(subjects), SHAPE).write(packed)
    for subject in SUBJECTS:
        for kind in ("total", "disease"):
            path = layout.true_field(truth, subject, "m12", kind)
            path.parent.mkdir(parents=True, exist_ok=True)
            field = np.moveaxis(phi[::-1], 0, -1)[:, :, None, None]
            nib.save(nib.Nifti1Image(np.ascontiguousarray(field), np.eye(4)), path)
    return folder


def field_model(folder, phi):
    """The baseline with one field for everybody."""
    architecture = {"method": "constant-field", "dimensions": 2, "nodes": SHAPE[0]}
    save_model(architecture, {"field": torch.from_numpy(phi)[None]}, folder)
    return folder


@pytest.fixture(scope="module")
def measured(study):
    """Means over the test images by explainer."""
    models = {
        "perfect": ("constant-field", 0, field_model(study / "perfect", disease_field())),
        "identity": ("constant-field", 1, field_model(study / "identity", 0 * disease_field())),
        "constant": ("class-difference", 0, study / "constant"),
        "random": ("random-field", 0, study / "random-0"),
        "random again": ("random-field", 1, study / "random-1"),
        "generator": ("defi-gan", 0, study / "generator"),
    }
    architecture = {"method": "class-difference", "shape": SHAPE}
    save_model(architecture, {"difference": torch.full(SHAPE, 0.3)}, study / "constant")
    for seed in (0, 1):
        architecture = {"method": "random-field", "dimensions": 2, "seed": seed}
        save_model(architecture, {}, study / f"random-{seed}")
    torch.manual_seed(7)
    arguments = {"dimensions": 2, "method": "defi-gan", "base_filters": 2, "poolings": 2}
    generator = Generator(**arguments)
    save_model(arguments, generator.state_dict(), study / "generator")
    measure_credibility(
        study / "packed",
        list(models.values()),
        study / "credibility.parquet",
        dataset="toy",
        modality="chest",
        classifier={"base_filters": 4, "batch_size": 8, "updates": 100},
        truth=study / "truth",
        device="cpu",
    )
    rows = pd.read_parquet(study / "credibility.parquet")
    assert len(rows) == len(SUBJECTS) * (len(models) + 1)
    means = rows.groupby(["method", "seed"]).mean(numeric_only=True)
    named = {name: means.loc[fit[:2]] for name, fit in models.items()}
    return named | {"truth": means.loc[("true deformation", -1)]}


def test_a_perfect_explainer(measured):
    found = measured["perfect"]
    assert found["ncc"] == pytest.approx(1)
    assert found["endpoint_error_px"] == pytest.approx(0, abs=1e-6)
    assert found["volume_correlation"] == pytest.approx(1)
    assert found["folding_percent"] == 0
    assert found["auprc"] > 2 * found["prevalence"]
    assert found["pointing_game"] == 1
    assert found["still_share"] < 0.2 < found["still_prevalence"]
    assert found["judge_auc"] == found["validity"] == 1
    # The true deformation stands beside as the ceiling; it is no model that could be asked again.
    same = [*COLUMNS[:5], "validity", "endpoint_error_px", "volume_correlation"]
    pd.testing.assert_series_equal(found[same], measured["truth"][same], check_names=False)
    assert measured["truth"][["composition", "idempotence", "random_weights_ncc"]].isna().all()


def test_a_constant_explainer(measured):
    found = measured["constant"]
    for column in ("auprc", "pointing_game"):
        assert found[column] == pytest.approx(found["prevalence"])
    assert found["still_share"] == pytest.approx(found["still_prevalence"])
    for column in ("proximity", "composition"):
        assert found[column] == pytest.approx(0.3, abs=1e-6)
    assert found["sparsity"] == 0
    assert found["idempotence"] == pytest.approx(1, abs=1e-6)
    assert found["ncc"] == 0
    fields = ["endpoint_error_px", "volume_correlation", "folding_percent"]
    assert found[fields].isna().all()  # it has none


def test_a_random_explainer(measured):
    for name in ("random", "random again"):
        found = measured[name]
        assert abs(found["seed_agreement"]) < 0.5
        assert abs(found["volume_correlation"]) < 0.5
        assert found["auprc"] < measured["perfect"]["auprc"] - 0.1
        assert found["endpoint_error_px"] > found["true_length_px"]
        assert found["composition"] > found["proximity"] / 2


def test_an_explainer_that_changes_nothing(measured):
    found = measured["identity"]
    assert found["proximity"] == found["composition"] == found["validity"] == found["ncc"] == 0
    assert found["sparsity"] == 1
    for column in ("auprc", "pointing_game"):
        assert found[column] == pytest.approx(found["prevalence"])
    assert found["endpoint_error_px"] == pytest.approx(found["true_length_px"])
    assert found[["still_share", "idempotence", "volume_correlation"]].isna().all()
    assert found["folding_percent"] == 0


def test_only_a_network_is_tried_with_random_weights(study, measured):
    random = ["random_weights_ncc", "random_weights_similarity"]
    assert measured["generator"][random].between(-0.9, 0.9).all()
    assert measured["perfect"][random].isna().all()
    path = study / "generator"
    trained, *others = (
        torch.cat([w.flatten() for w in model.state_dict().values()])
        for model in (load_model(path), *(load_untrained(path, seed) for seed in (1, 1, 2)))
    )
    assert torch.equal(others[0], others[1])
    assert not torch.equal(others[0], others[2]) and not torch.equal(others[0], trained)


def test_without_truth_its_columns_are_missing(study):
    model = ("constant-field", 0, field_model(study / "perfect", disease_field()))
    settings = {"base_filters": 2, "batch_size": 2, "updates": 1}
    measure_credibility(
        study / "packed",
        [model],
        study / "real.parquet",
        dataset="ward",
        modality="chest",
        classifier=settings,
        device="cpu",
    )
    rows = pd.read_parquet(study / "real.parquet")
    assert (rows["folding_percent"] == 0).all()
    assert not {"auprc", "endpoint_error_px", "volume_correlation", "still_share"} & set(rows)


def test_place_counts_inside_the_mask_alone():
    true = np.zeros((2, *SHAPE))
    true[0, :, :4], true[0, 16:, 8:16] = 9, 2
    mask = EVERYWHERE.copy()
    mask[:, :4] = False
    change = np.where(true[0] > 0, -1.0, 0)
    found = of_place(change, true, mask)
    assert found["auprc"] == found["pointing_game"] == 1
    assert found["prevalence"] == 16 * 8 / (28 * 32)
    assert found["still_share"] == 0
    assert found["still_prevalence"] == pytest.approx(1 - found["prevalence"])
    elsewhere = of_place(1 - np.abs(change), true, mask)
    assert elsewhere["pointing_game"] == 0 and elsewhere["still_share"] == 1


def test_size_of_a_change():
    change = np.zeros(SHAPE)
    change[:8] = -0.4
    assert of_size(change, EVERYWHERE) == {"proximity": pytest.approx(0.1), "sparsity": 0.75}


def test_volume_of_the_opposite_field_is_against_the_truth():
    phi = disease_field()
    found = of_field(-phi, EVERYWHERE, phi, tiles(SHAPE))
    assert found["volume_correlation"] < -0.9
    assert found["endpoint_error_px"] == pytest.approx(2 * np.linalg.norm(phi, axis=0).mean())
    folded = of_field(5 * phi, EVERYWHERE)
    share = (jacobian_determinant(5 * phi[::-1]) <= 0).mean()
    assert folded == {"folding_percent": pytest.approx(100 * share)}
    assert share > 0


def test_tiles_cover_the_image():
    found = tiles((8, 12, 9))
    assert found.shape == (64, 8 * 12 * 9)
    assert (found.sum(axis=0) == 1).all() and (found.sum(axis=1) > 0).all()


def test_agreement_of_seeds():
    rng = np.random.default_rng(0)
    change = rng.standard_normal(SHAPE)
    changes = {0: change, 1: 2 * change + 1, 2: -change}
    assert seed_agreement(changes, 0, EVERYWHERE) == pytest.approx(0)
    assert seed_agreement(changes, 2, EVERYWHERE) == pytest.approx(-1)
    assert np.isnan(seed_agreement({0: change}, 0, EVERYWHERE))
