"""Training from end to end, on tiny squares and cubes."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipeline.dataset.packed import PackedDataset
from pipeline.method.explain import explain_images, load_model, score_pairs
from pipeline.method.fit import fit_model
from pipeline.method.ncc import subject_average
from pipeline.stage.errors import InputError


@pytest.mark.parametrize("method", ["defi-gan", "va-gan"])
def test_the_best_epoch_is_kept(make_packed, make_settings, tmp_path, method):
    packed, out = make_packed((32, 32), margin=4), tmp_path / "model"
    settings = make_settings(method=method)
    fit_model(packed, out, settings.to_dict(), device="cpu", threads=1)

    history = pd.read_parquet(out / "history.parquet")
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["updates"].tolist() == [6, 12, 18]
    assert history["generator_updates"].tolist() == [2, 4, 6]
    assert history.notna().all(axis=None)
    total = history["critic_real"] - history["critic_fake"] + 10 * history["gradient_penalty"]
    np.testing.assert_allclose(history["critic_loss"], total, rtol=1e-4, atol=1e-4)

    summary = json.loads((out / "training.json").read_text(encoding="utf-8"))
    best = history["validation_ncc"].max()
    last_best = history.loc[history["validation_ncc"] == best, "epoch"].max()
    assert summary["best_epoch"] == last_best
    assert summary["settings"] == settings.to_dict()
    scores = score_pairs(
        load_model(out / "generator.safetensors"), PackedDataset.open(packed), "validation"
    )
    assert subject_average(scores) == pytest.approx(best, abs=1e-5)

    events = EventAccumulator(str(out / "tensorboard")).Reload()
    logged = [event.value for event in events.Scalars("validation_ncc")]
    assert logged == pytest.approx(history["validation_ncc"].tolist(), rel=1e-6)
    (picture,) = events.Images("examples")  # of three validation pairs, after the last epoch
    assert picture.step == 3
    columns = 4 if method == "defi-gan" else 3
    assert (picture.width, picture.height) == (220 * columns, 660)
    assert not list(tmp_path.rglob(".partial*"))


def test_the_same_run_gives_the_same_bits(make_packed, make_settings, tmp_path):
    packed = make_packed((32, 32), margin=4)
    for name, seed in (("first", 3), ("again", 3), ("other", 4)):
        torch.manual_seed(len(name))  # the global random state must not matter
        np.random.seed(len(name))  # noqa: NPY002
        settings = make_settings(seed=seed, epochs=2)
        fit_model(packed, tmp_path / name, settings.to_dict(), device="cpu", threads=1)
    files = {
        name: tmp_path / name / "generator.safetensors" for name in ("first", "again", "other")
    }
    assert files["first"].read_bytes() == files["again"].read_bytes()
    assert files["first"].read_bytes() != files["other"].read_bytes()
    without_time = [
        pd.read_parquet(tmp_path / name / "history.parquet").drop(columns="seconds")
        for name in ("first", "again")
    ]
    pd.testing.assert_frame_equal(*without_time, check_exact=True)


@pytest.mark.parametrize("method", ["defi-gan", "va-gan"])
def test_volumes(make_packed, make_settings, tmp_path, method):
    packed, out = make_packed((16, 24, 16), images=2), tmp_path / "model"
    settings = make_settings(method=method, epochs=1, updates_per_epoch=3, critic_base_filters=2)
    fit_model(packed, out, settings.to_dict(), device="cpu", threads=1)
    images = PackedDataset.open(packed).pairs_image
    modified, displacement = explain_images(load_model(out / "generator.safetensors"), images)
    assert modified.shape == (3, 16, 24, 16)
    if method == "defi-gan":
        assert displacement.shape == (3, 3, 16, 24, 16)
    else:
        assert displacement is None


def test_running_statistics_move_in_critic_updates(make_packed, make_settings, tmp_path):
    """No generator update happens here, and yet its batch norms see the images."""
    packed = make_packed((32, 32))
    settings = make_settings(epochs=1, updates_per_epoch=2, critic_updates=2)
    fit_model(packed, tmp_path / "model", settings.to_dict(), device="cpu", threads=1)
    weights = load_file(tmp_path / "model" / "generator.safetensors")
    assert weights["down0.0.1.num_batches_tracked"].item() == 2
    history = pd.read_parquet(tmp_path / "model" / "history.parquet")
    assert np.isnan(history["generator_loss"]).all()


def test_a_loss_that_is_not_finite_ends_the_run(make_packed, make_settings, tmp_path):
    packed = make_packed((32, 32))
    images = np.load(packed / "train.npy")
    images[10] = np.nan  # one of six healthy images: met within three updates of two
    np.save(packed / "train.npy", images)
    with pytest.raises(
        RuntimeError, match=r"critic_loss is nan at update [1-4]; no state had been"
    ):
        fit_model(packed, tmp_path / "model", make_settings().to_dict(), device="cpu", threads=1)
    assert not (tmp_path / "model" / "generator.safetensors").exists()


def test_data_that_cannot_train(make_packed, make_settings, tmp_path):
    packed = make_packed((32, 32))
    index = pd.read_parquet(packed / "train.parquet")
    index.assign(label=0).to_parquet(packed / "train.parquet")
    with pytest.raises(InputError, match="no training image of label 1"):
        fit_model(packed, tmp_path / "model", make_settings().to_dict(), device="cpu", threads=1)
    index.to_parquet(packed / "train.parquet")
    pairs = pd.read_parquet(packed / "pairs.parquet")
    pairs.assign(split="test").to_parquet(packed / "pairs.parquet")
    with pytest.raises(InputError, match="no validation pair"):
        fit_model(packed, tmp_path / "model", make_settings().to_dict(), device="cpu", threads=1)


def test_a_missing_gpu_is_named(make_packed, make_settings, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="no GPU"):
        settings = make_settings().to_dict()
        fit_model(make_packed((32, 32)), tmp_path / "model", settings, device="cuda", threads=1)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["defi-gan", "va-gan"])
def test_training_learns(make_packed, make_settings, tmp_path, method):
    """The score of small squares grown into large ones rises well above the start's.

    It takes some 600 updates for the running statistics of the generator to follow the images, so
    the first epochs say nothing.
    """
    settings = make_settings(
        method=method, epochs=4, updates_per_epoch=200, critic_updates=1, flow_scale=5
    )
    packed = make_packed((16, 16), images=12)
    fit_model(packed, tmp_path / "model", settings.to_dict(), device="cpu", threads=1)
    history = pd.read_parquet(tmp_path / "model" / "history.parquet")
    assert history["validation_ncc"].max() > max(0.5, history["validation_ncc"].iloc[0] + 0.2)


def test_volumes_in_sixteen_bits_repeat_to_the_last_bit(make_packed, make_settings, tmp_path):
    options = {"precision": "bf16", "batch_size": 1, "base_filters": 2, "critic_base_filters": 2}
    settings = make_settings(**options, epochs=1, updates_per_epoch=3)
    packed = make_packed((48, 48, 48))
    for name in ("first", "again"):
        fit_model(packed, tmp_path / name, settings.to_dict(), device="cpu", threads=1)
    first, again = (tmp_path / name / "generator.safetensors" for name in ("first", "again"))
    assert first.read_bytes() == again.read_bytes()


def test_sixteen_bits_are_refused_on_small_volumes(make_packed, make_settings, tmp_path):
    """The critic halves volumes four times, whatever the generator does."""
    packed, out = make_packed((32, 32, 32)), tmp_path / "model"
    settings = make_settings(precision="bf16").to_dict()
    with pytest.raises(InputError, match="bf16 gives wrong gradients on a processor"):
        fit_model(packed, out, settings, device="cpu", threads=1)
