"""Weights from elsewhere."""

import hashlib
import urllib.error

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from pipeline.method.explain import explain_images, load_model
from pipeline.method.generator import Generator
from pipeline.method.weights import fetch_critic_weights, import_generator, read_weights
from pipeline.score.model import score_model
from pipeline.stage.errors import InputError


@pytest.mark.parametrize(
    ("name", "method"), [("generator_2d_flow", "defi-gan"), ("generator_3d_residual", "va-gan")]
)
@pytest.mark.parametrize("kind", ["pth", "old.pt", "safetensors", "npz"])
def test_published_generator_explains_as_it_did(golden, tmp_path, name, method, kind):
    """The golden weights in every kind of file give the golden output."""
    arrays, meta, weights = golden(name)
    source = tmp_path / f"published.{kind}"
    if kind == "npz":
        np.savez(source, **{f"w/{key}": value.numpy() for key, value in weights.items()})
    elif kind == "safetensors":
        import safetensors.torch

        safetensors.torch.save_file(weights, source)
    elif kind == "old.pt":  # as PyTorch 1.2 wrote them, after training on several GPUs
        parallel = {f"module.{key}": value for key, value in weights.items()}
        torch.save(parallel, source, _use_new_zipfile_serialization=False)
    else:
        torch.save(weights, source)
    imported = tmp_path / "generator.safetensors"
    seen = import_generator(source, imported, flow_scale=meta["flow_scale"])
    assert seen["method"] == method
    assert (seen["dimensions"], seen["base_filters"]) == (meta["dimensions"], meta["base_filters"])
    modified, _ = explain_images(load_model(imported), arrays["x"][:, 0])
    expected = arrays["xhat0"][:, 0]
    np.testing.assert_allclose(modified, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_imported_generator_is_scored_like_our_own(golden, make_packed, tmp_path):
    _, meta, weights = golden("generator_2d_flow")
    torch.save(weights, tmp_path / "published.pth")
    imported = tmp_path / "generator.safetensors"
    import_generator(tmp_path / "published.pth", imported, flow_scale=meta["flow_scale"])
    options = {"dataset": "copd", "method": "defi-gan", "seed": 0, "split": "validation"}
    score_model(make_packed((32, 32)), imported, tmp_path / "s.parquet", device="cpu", **options)
    scores = pd.read_parquet(tmp_path / "s.parquet")
    assert len(scores) == 3
    assert scores["ncc"].between(-1, 1).all()


def test_weights_tell_what_the_network_is_like(tmp_path):
    options = {"dimensions": 3, "method": "va-gan", "base_filters": 2, "poolings": 3}
    torch.save(Generator(**options).state_dict(), tmp_path / "w.pth")
    seen = import_generator(tmp_path / "w.pth", tmp_path / "generator.safetensors")
    assert seen == options | {"flow_scale": 1, "variant": "plain"}
    # VA-GAN's own code, a TensorFlow one, has no weights that could be imported.
    torch.save(Generator(**options, variant="original").state_dict(), tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"is not a generator: there is no .up1\.0\.1"):
        import_generator(tmp_path / "w.pth", tmp_path / "generator.safetensors")


def test_what_is_no_generator_is_named(tmp_path):
    torch.save({"fc.weight": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="is not a generator: there is no 'down0"):
        import_generator(tmp_path / "w.pth", tmp_path / "generator.safetensors")
    torch.save({"state_dict": {"a": torch.zeros(1)}}, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"save the network's state_dict\(\) alone"):
        read_weights(tmp_path / "w.pth")


def test_nothing_is_executed(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    for name, zipped in (("new.pth", True), ("old.pth", False)):
        torch.save({"w": Harmful()}, tmp_path / name, _use_new_zipfile_serialization=zipped)
        with pytest.raises(InputError, match="not a readable file of weights"):
            read_weights(tmp_path / name)
    np.savez(tmp_path / "w.npz", **{"w/a": np.array([Harmful()], dtype=object)})
    with pytest.raises(InputError, match="not a readable file of weights"):
        read_weights(tmp_path / "w.npz")
    assert not (tmp_path / "executed").exists()


def test_critic_weights_are_those_of_the_checksum(tmp_path):
    source, destination = tmp_path / "resnet.pth", tmp_path / "out" / "weights.safetensors"
    torch.save({"conv1.weight": torch.ones(3)}, source)
    right = hashlib.sha256(source.read_bytes()).hexdigest()
    fetch_critic_weights(str(source), destination, right)
    assert load_file(destination)["conv1.weight"].tolist() == [1, 1, 1]
    destination.unlink()
    with pytest.raises(InputError, match=f"has the sha256 {right}, not 0000"):
        fetch_critic_weights(str(source), destination, "0" * 64)
    assert not destination.exists()


def test_imagenet_weights_that_cannot_be_downloaded_stop_the_run(tmp_path, monkeypatch):
    def offline(*arguments, **options):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    with pytest.raises(InputError, match=r"could not be downloaded .*no network"):
        fetch_critic_weights("imagenet", tmp_path / "weights.safetensors")
    assert not (tmp_path / "weights.safetensors").exists()
