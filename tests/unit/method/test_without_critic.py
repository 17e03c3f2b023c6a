"""Methods trained without a critic: conditional diffusion and latent shift."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from pipeline.dataset.packed import PackedDataset
from pipeline.method.denoiser import DISEASED, HEALTHY, Denoiser
from pipeline.method.explain import explain_prepared, load_model, score_pairs
from pipeline.method.fit import fit_model
from pipeline.method.ncc import subject_average
from pipeline.method.registry import METHODS, find_method
from pipeline.method.shifter import Shifter
from pipeline.method.training import epochs
from pipeline.method.without_critic import WithoutCritic
from pipeline.stage.errors import InputError

SHARED = {"batch_size": 2, "epochs": 2, "updates_per_epoch": 3, "precision": "float32"}
SHARED |= {"base_filters": 4, "poolings": 2, "gradient_penalty": 10}
DIFFUSION = {"steps": 4, "averaging": 0.5}
LATENTS = {"variant": "latent", "autoencoder_share": 1 / 3, "autoencoder_poolings": 1}
OWN = {
    "ddim": DIFFUSION,
    "ddim latent": DIFFUSION | LATENTS | {"steps": 2},
    "latent-shift": {"latent_channels": 3, "steps": 3},
}


def method_of(name):
    return find_method(name.split()[0])


def test_every_method_is_tested():
    named = {method_of(name).name for name in OWN}
    assert named == {n for n, method in METHODS.items() if isinstance(method, WithoutCritic)}


def settings_of(name, seed=3, **own):
    """As a configuration gives them."""
    method = method_of(name)
    options = method.options.read({"learning_rate": 0.001, **OWN[name], **own})
    return method.settings(SHARED, options.to_dict(), seed)


def fit(packed, folder, settings):
    fit_model(packed, folder, settings, device="cpu", threads=1, state_minutes=0)
    return folder / "generator.safetensors"


@pytest.mark.parametrize("name", OWN)
def test_the_best_epoch_is_kept_and_explains(make_packed, tmp_path, name):
    packed = make_packed((16, 16), margin=2)
    path = fit(packed, tmp_path / "model", settings_of(name))
    history = pd.read_parquet(path.with_name("history.parquet"))
    assert history["updates"].tolist() == [3, 6]
    always = history[["loss", "validation_ncc", "seconds"]]
    assert always.notna().all(axis=None) and (history["loss"] > 0).all()
    best = history["validation_ncc"].max()
    training = json.loads(path.with_name("training.json").read_text(encoding="utf-8"))
    assert training["validation_ncc"] == best
    model, data = load_model(path), PackedDataset.open(packed)
    assert subject_average(score_pairs(model, data, "validation")) == pytest.approx(best, abs=1e-5)
    explanation = explain_prepared(model, data.pairs_image[0])
    assert explanation.difference.shape == explanation.modified.shape == (16, 16)
    assert explanation.displacement is None
    assert np.abs(explanation.modified).max() <= 1
    assert np.ptp(explanation.difference) > 0


@pytest.mark.parametrize("name", OWN)
def test_volumes(make_packed, tmp_path, name):
    packed = make_packed((8, 16, 8), images=2)
    path = fit(packed, tmp_path / "model", settings_of(name, epochs=1, updates_per_epoch=1))
    explanation = explain_prepared(load_model(path), PackedDataset.open(packed).pairs_image[0])
    assert explanation.modified.shape == (8, 16, 8)


@pytest.mark.parametrize(
    ("name", "kills"),
    # While its autoencoder is trained, right after it was, and in the diffusion.
    [("ddim", [5]), ("ddim latent", [1, 2, 5]), ("latent-shift", [5])],
)
def test_a_killed_fit_ends_with_the_same_bits(make_packed, tmp_path, monkeypatch, name, kills):
    """It ends between two updates of an epoch, right after a state was written."""
    packed = make_packed((16, 16), margin=2)
    undisturbed = fit(packed, tmp_path / "undisturbed", settings_of(name))
    pause = epochs._Run.pause

    def killed(self):
        pause(self)
        if self.trainer.updates == kills[0]:
            raise KeyboardInterrupt

    monkeypatch.setattr(epochs._Run, "pause", killed)
    torch.manual_seed(1)  # the global random state must not matter
    while kills:
        with pytest.raises(KeyboardInterrupt):
            fit(packed, tmp_path / "killed", settings_of(name))
        kills = kills[1:]
    monkeypatch.setattr(epochs._Run, "pause", pause)
    path = fit(packed, tmp_path / "killed", settings_of(name))
    assert path.read_bytes() == undisturbed.read_bytes()
    histories = [
        pd.read_parquet(p.with_name("history.parquet")).drop(columns="seconds")
        for p in (path, undisturbed)
    ]
    pd.testing.assert_frame_equal(*histories, check_exact=True)
    other = fit(packed, tmp_path / "other", settings_of(name, seed=4))
    assert other.read_bytes() != undisturbed.read_bytes()


@pytest.mark.parametrize("name", OWN)
def test_a_grid_that_cannot_be_halved_is_named(make_packed, tmp_path, name):
    with pytest.raises(InputError, match=r"images of \(18, 18\) cannot be halved 2 times"):
        fit(make_packed((18, 18)), tmp_path / "model", settings_of(name))


@pytest.mark.parametrize("name", OWN)
def test_cost_and_words(name):
    """Work grows with what is done; the images of an explanation with its steps."""
    method = method_of(name)
    costs = [
        method.cost(settings_of(name, **own), (16, 16))
        for own in ({}, {"epochs": 4}, {"steps": 2 * OWN[name]["steps"]})
    ]
    assert costs[0].fit > 0 and costs[0].steps == 6
    assert costs[1].fit == 2 * costs[0].fit
    assert costs[2].explanation > 1.5 * costs[0].explanation
    words = method.words(settings_of(name))
    assert words.how == "for 2 epochs of 3 updates with batches of 2 images of each class"


# ---- conditional diffusion ----


def denoiser(**options):
    torch.manual_seed(0)
    sizes = {"dimensions": 2, "base_filters": 4, "poolings": 1, "timesteps": 1000}
    how = {"class_dropout": 0.5, "steps": 20, "depth": 0.5, "guidance": 3}
    return Denoiser(method="ddim", **(sizes | how | options)).eval()


@pytest.fixture
def images():
    return torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 1.8 - 0.9


def test_an_untrained_diffusion_changes_nothing(images):
    """It predicts no noise, whatever the class: the way back is the way there."""
    assert denoiser()(images).modified == pytest.approx(images, abs=1e-5)


@pytest.mark.parametrize("label", [HEALTHY, DISEASED])
def test_inversion_is_undone_by_decoding_to_the_same_class(images, label):
    """Up to the difference of the noise between two steps, which goes with their number."""
    errors = []
    for steps in (20, 200):
        model = denoiser(steps=steps)
        for weight in model.network.parameters():
            if weight.dim() > 1 and not weight.any():  # as new ones are, so that all is 0
                nn.init.normal_(weight, std=0.1)
        with torch.no_grad():
            noisy = model.encode(images, label)
            back = model.decode(noisy, label, guidance=1)
            other = model.decode(noisy, DISEASED - label, guidance=3)
        errors.append((back - images).abs().max().item())
        assert (noisy - images).abs().max() > 0.3
    assert errors[1] < 0.05 and errors[1] < errors[0] / 3
    assert (other - images).abs().max() > 3 * errors[1]


def test_depth_is_the_share_of_the_steps():
    assert denoiser(steps=20, depth=0.5).evaluations == 3 * 10
    assert denoiser(steps=20, depth=0.01).evaluations == 3  # one step at least
    assert denoiser(steps=20, depth=1).evaluations == 3 * 19  # the last ends in pure noise


def test_class_is_hidden_as_often_as_asked(images, monkeypatch):
    seen = []
    model = denoiser(class_dropout=0.25)
    monkeypatch.setattr(model, "noise", lambda x, t, classes: seen.append(classes) or x)
    labels = torch.tensor([HEALTHY, DISEASED])
    draws = torch.Generator().manual_seed(0)
    for _ in range(400):
        model.losses(images, labels, draws)
    classes = torch.stack(seen)
    for column, label in enumerate(labels):
        known = classes[:, column] == label
        assert known.float().mean() == pytest.approx(0.75, abs=0.07)
        assert (classes[~known, column] == 2).all()


# ---- latent shift ----


class OneLatent(nn.Module):
    """An autoencoder whose latent is how much of a pattern is in an image."""

    def __init__(self, pattern):
        super().__init__()
        self.register_buffer("pattern", pattern)

    def encode(self, images):
        return (images * self.pattern).sum((1, 2, 3))[:, None] / self.pattern.square().sum()

    def decode(self, latent):
        return latent[:, :, None, None] * self.pattern


class Linear(nn.Module):
    """Evidence of the disease: the mean of an image, times a factor."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, images):
        return self.factor * images.mean((1, 2, 3))


def one_latent(factor, **search):
    pattern = torch.zeros(4, 4)
    pattern[1:3, 1:3] = 1
    networks = {"autoencoder": OneLatent(pattern), "classifier": Linear(factor)}
    search = {"steps": 10, "max_shift": 2.0, "target": 0.4} | search
    return pattern, Shifter(method="latent-shift", dimensions=2, **networks, **search)


def test_shift_is_the_first_that_reaches_the_target():
    """The logit is 10/4 of the latent, so that a target of 0.4 wants a latent below -0.162."""
    pattern, model = one_latent(10)
    image = 0.5 * pattern + 0.1 * torch.eye(4)
    image = image.expand(1, 1, 4, 4)
    latent = 0.5 + 0.1 * 2 / 4
    # Steps are a fifth of the latent's length: -0.11 after six, -0.22 after seven.
    expected = image - 1.4 * latent * pattern
    assert model(image).modified == pytest.approx(expected.clamp(-1, 1), abs=1e-6)


def test_evidence_that_falls_with_the_latent_makes_it_grow():
    pattern, model = one_latent(-10)
    image = -0.5 * pattern.expand(1, 1, 4, 4)
    assert model(image).modified == pytest.approx(0.2 * pattern.expand(1, 1, 4, 4), abs=1e-6)


def test_where_the_target_is_out_of_reach_the_longest_shift_counts():
    pattern, model = one_latent(10, max_shift=0.4, target=0.01)
    image = 0.5 * pattern.expand(1, 1, 4, 4)
    assert model(image).modified == pytest.approx(0.6 * image, abs=1e-6)


def test_without_evidence_nothing_changes():
    pattern, model = one_latent(0)
    image = 0.5 * pattern.expand(1, 1, 4, 4)
    assert torch.equal(model(image).modified, image)


def test_an_image_alone_or_in_a_batch_has_one_explanation():
    pattern, model = one_latent(10)
    images = torch.stack([0.5 * pattern, 0.1 * pattern])[:, None]
    together = model(images).modified
    alone = torch.cat([model(image[None]).modified for image in images])
    assert together == pytest.approx(alone, abs=1e-6)
