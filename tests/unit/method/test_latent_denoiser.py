"""Conditional diffusion in the latent space of an autoencoder."""

import pytest
import torch
from monai.inferers import LatentDiffusionInferer
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.distributions import Normal, kl_divergence
from torch.nn import functional

from pipeline.dataset.packed import PackedDataset
from pipeline.method.ddim import OF_LATENTS
from pipeline.method.registry import find_method
from pipeline.method.training.single import build_single
from pipeline.stage.errors import InputError

DDIM = find_method("ddim")
SHARED = {"batch_size": 2, "epochs": 2, "updates_per_epoch": 5, "precision": "float32"}
SHARED |= {"base_filters": 4, "poolings": 2}
LATENT = {"variant": "latent", "autoencoder_poolings": 1}
LABELS = torch.tensor([1, 1, 0, 0])


def settings_of(shared=SHARED, **own):
    options = DDIM.options.read({"learning_rate": 0.001, "steps": 4, **own})
    return DDIM.reads.read(DDIM.settings(shared, options.to_dict(), seed=0))


def trainer_of(packed, **own):
    """Of whose ten updates the first two train the autoencoder."""
    settings = settings_of(**LATENT, autoencoder_share=0.2, **own)
    data = PackedDataset.open(packed)
    return build_single(data, (16, 8), settings, torch.device("cpu"), DDIM.build)


def trained(updates, **own):
    """A model that counts so many updates, none of them of the autoencoder; its weights are new."""
    torch.manual_seed(0)
    settings = settings_of(**LATENT, autoencoder_share=0.01, **own)
    model = DDIM.build(**settings.architecture(2)).eval()
    model.updates += updates
    return model


def fill(network):
    """Draw the weights that are 0 in a new diffusion model, so that it would predict no noise."""
    for weight in network.parameters():
        if weight.dim() > 1 and not weight.any():
            nn.init.normal_(weight, std=0.1)


def narrow(model):
    """The latents of an image become as good as their mean."""
    nn.init.zeros_(model.autoencoder.quant_conv_log_sigma.conv.weight)
    nn.init.constant_(model.autoencoder.quant_conv_log_sigma.conv.bias, -30)


@pytest.fixture
def images():
    return torch.rand(4, 1, 16, 8, generator=torch.Generator().manual_seed(1)) * 1.8 - 0.9


def copied(network):
    return {name: weight.clone() for name, weight in network.state_dict().items()}


def same(network, weights):
    return all(torch.equal(weight, weights[n]) for n, weight in network.state_dict().items())


# ---- training ----


def test_the_autoencoder_is_trained_first_and_then_frozen(make_packed):
    """The other part is not touched, not even by the decay of weights; nor by the average, whose
    denoisers have all learned the latents of one autoencoder.
    """
    trainer = trainer_of(make_packed((16, 8)), averaging=0.9)
    parts = trainer.network.autoencoder, trainer.network.denoiser
    trained_parts, scales = [], []
    for _ in range(4):
        before = [copied(part) for part in parts]
        trainer.update()
        changed = [not same(part, weights) for part, weights in zip(parts, before, strict=True)]
        trained_parts.append(changed)
        scales.append(trainer.network.scale.item())
    assert trained_parts == [[True, False], [True, False], [False, True], [False, True]]
    assert scales[:2] == [1, 1] and scales[2] == scales[3] != 1
    counts = {name: len(values) for name, values in trainer.terms.items()}
    assert counts == {"loss": 4, "reconstruction": 2, "divergence": 2}
    averaged = trainer.model
    assert same(averaged.autoencoder, parts[0].state_dict())
    assert not same(averaged.denoiser, parts[1].state_dict())
    assert averaged.scale == scales[-1] and averaged.ready


def test_the_first_latents_that_are_diffused_give_their_scale(images):
    model = trained(0)
    narrow(model)
    model.losses(images, LABELS, torch.Generator())
    assert model.encode(images).std().item() == pytest.approx(1, abs=1e-4)


def test_loss_of_the_autoencoder(images):
    """Reconstruction and divergence of a pixel, as in the publication's lower bound."""
    settings = settings_of(**LATENT, kl_weight=0.25)
    model = DDIM.build(**settings.architecture(2))
    losses = model.losses(images, LABELS, torch.Generator().manual_seed(2))
    mean, deviation = model.autoencoder.encode(images)
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(2))
    reconstructed = model.autoencoder.decode(mean + deviation * noise)
    divergence = kl_divergence(Normal(mean, deviation), Normal(0, 1)).sum() / images.numel()
    error = (reconstructed - images).abs().mean().item()
    assert losses["reconstruction"].item() == pytest.approx(error)
    assert losses["divergence"].item() == pytest.approx(divergence.item(), rel=1e-4)
    total = losses["reconstruction"] + 0.25 * losses["divergence"]
    assert losses["loss"].item() == pytest.approx(total.item())


def test_loss_of_the_denoiser_is_that_of_monais_latent_inferer(images):
    model = trained(5, class_dropout=0)
    fill(model.denoiser.network)
    narrow(model)
    model.scale.fill_(0.7)
    loss = model.losses(images, LABELS, torch.Generator().manual_seed(2))["loss"]
    draws = torch.Generator().manual_seed(2)
    torch.randn(4, 3, 8, 4, generator=draws)  # what the latents would be off their mean
    times = torch.randint(1000, (4,), generator=draws)
    noise = torch.randn(4, 3, 8, 4, generator=draws)
    inferer = LatentDiffusionInferer(model.denoiser.scheduler, scale_factor=0.7)
    predicted = inferer(
        inputs=images,
        autoencoder_model=model.autoencoder,
        diffusion_model=model.denoiser.network,
        noise=noise,
        timesteps=times,
        condition=model.denoiser.classes(LABELS).unsqueeze(1),
    )
    assert loss.item() == pytest.approx(functional.mse_loss(predicted, noise).item(), rel=1e-5)


# ---- explanation ----


def test_before_the_denoiser_is_trained_nothing_changes(images):
    model = trained(0)
    fill(model.denoiser.network)
    assert torch.equal(model(images).modified, images)
    model.updates += 1
    assert not torch.equal(model(images).modified, images)


def test_what_the_autoencoder_loses_is_no_change(images):
    """The diffusion predicts no noise, so that its way back is the way there."""
    model = trained(1)
    reconstructed = model.decode(model.encode(images))
    assert (reconstructed - images).abs().max() > 0.3
    assert model(images).modified == pytest.approx(images, abs=1e-4)


def test_change_of_the_reconstruction_is_added_to_the_image(images):
    model = trained(1)
    fill(model.denoiser.network)
    model.scale.fill_(0.5)
    with torch.no_grad():
        mean, _ = model.autoencoder.encode(images)
        healthy = model.denoiser.to_healthy(0.5 * mean) / 0.5
        change = model.autoencoder.decode(healthy) - model.autoencoder.decode(mean)
    modified = model(images).modified
    assert modified == pytest.approx((images + change).clamp(-1, 1), abs=1e-5)
    assert (modified - images).abs().max() > 0.01


# ---- options ----


def test_plain_diffusion_has_the_settings_and_arguments_that_it_always_had():
    """So nothing is fitted again, and files of models that were fitted before are still read."""
    own = ["timesteps", "class_dropout", "steps", "depth", "guidance"]
    options = DDIM.options.read({})
    assert list(options.to_dict()) == ["learning_rate", "averaging", *own]
    architecture = settings_of().architecture(2)
    assert list(architecture) == ["dimensions", "base_filters", "poolings", *own]
    assert DDIM.options.read(LATENT).to_dict().keys() >= OF_LATENTS | {"variant"}


def test_options_of_latents_are_refused_without_them():
    with pytest.raises(InputError, match=r"^kl_weight: only `variant: latent` has it$"):
        DDIM.options.read({"kl_weight": 0.1})


def test_an_autoencoder_has_no_more_halvings_than_there_are():
    assert settings_of(variant="latent", autoencoder_poolings=2)
    with pytest.raises(InputError, match=r"^autoencoder_poolings: .* at most the 2 .* found 3$"):
        settings_of(variant="latent", autoencoder_poolings=3)


def test_all_halvings_may_be_the_autoencoders(images):
    torch.manual_seed(0)
    settings = settings_of(variant="latent", autoencoder_poolings=2)
    model = DDIM.build(**settings.architecture(2))
    model.updates += settings.total_updates()
    assert model(images).modified.shape == images.shape


# ---- memory ----

GIB = 2**30


def kept_bytes(work):
    """What a pass forwards keeps for the way back: features, and the weights beside."""
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage  # alive, so that no other takes its name
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        result = work()
    del result
    return sum(storage.nbytes() for storage in kept.values())


def test_memory_at_the_size_of_the_paper():
    """As docs/methods-counterfactual.md tells it, by shapes alone."""
    shared = SHARED | {"batch_size": 4, "base_filters": 16, "poolings": 4}
    settings = settings_of(shared, variant="latent")
    with torch.device("meta"):
        model = DDIM.build(**settings.architecture(3))
        images = torch.empty(8, 1, 128, 160, 112)
        labels = torch.zeros(8, dtype=torch.long)
    draws = torch.Generator()
    for updates, told in ((0, 44.7), (settings.autoencoder_updates, 4.9)):
        model.updates.fill_(updates)
        kept = kept_bytes(lambda: model.losses(images, labels, draws)["loss"])
        assert kept / GIB == pytest.approx(told, rel=0.01)
