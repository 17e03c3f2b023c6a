"""The critics against the reference implementation and torchvision."""

import pytest
import torch
from torchvision.models import resnet18

from pipeline.method.critic import IMAGENET_MEAN, IMAGENET_SD, VolumeCritic, build_critic
from pipeline.method.unet import load_reference_weights
from pipeline.stage.errors import InputError


def test_volumes_agree_with_the_reference(golden, formulas):
    arrays, meta, weights = golden("critic_3d")
    critic = VolumeCritic(meta["base_filters"])
    load_reference_weights(critic, weights)
    with torch.no_grad():
        scores = critic(torch.from_numpy(arrays["x"]))
    torch.testing.assert_close(scores, torch.from_numpy(arrays["score"])[:, 0], rtol=1e-4, atol=0)
    count = sum(weight.numel() for weight in VolumeCritic(16).parameters())
    assert count == formulas["critic_3d_params"]


def test_first_weights_of_volumes_are_those_of_the_published_code():
    """Uniform with a standard deviation of 1 / sqrt(3 fan_in); the critic is nearly flat.

    The published critic's gradient has a norm of 1.6e-6 to 2.0e-6 at 128x160x112 (with Kaiming's
    normal distribution: 1.3e-2). Half of that grid has the same, and takes an eighth of the time.
    """
    torch.manual_seed(0)
    critic = build_critic(3, "random", 16)
    convolutions = [module for module in critic.modules() if isinstance(module, torch.nn.Conv3d)]
    assert len(convolutions) == 10
    for convolution in convolutions:
        bound = convolution.weight[0].numel() ** -0.5
        for values, tolerance in ((convolution.weight, 0.1), (convolution.bias, 0.4)):
            assert values.abs().max() <= bound
            if values.numel() > 1:
                assert values.std().item() == pytest.approx(bound / 3**0.5, rel=tolerance)
    image = (torch.rand(1, 1, 64, 80, 56) * 2 - 1).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(image).sum(), image)
    assert 1e-6 < gradient.norm() < 3e-6


def test_vagans_own_critic_takes_images_as_they_are():
    """And its score is the mean over what the poolings leave, without a border of zeros."""
    torch.manual_seed(0)
    critic = build_critic(3, "random", 4, "original")
    image = torch.rand(1, 1, 32, 32, 16) * 2 - 1
    last = critic.classifier[0][0]
    weight, bias = last.weight.detach()[0, :, 0, 0, 0], 0.5
    torch.nn.init.constant_(last.bias, bias)
    features = critic.encoder(image)
    assert features.shape[2:] == (2, 2, 1)
    expected = (features.mean((2, 3, 4)) * weight).sum(1) + bias
    torch.testing.assert_close(critic(image), expected)
    for module in critic.modules():
        if isinstance(module, torch.nn.Conv3d) and module is not last:
            expected = (2 / module.weight[0].numel()) ** 0.5
            assert module.weight.std().item() == pytest.approx(expected, rel=0.2)
            assert (module.bias == 0).all()
    count = sum(weight.numel() for weight in VolumeCritic(16, "original").parameters())
    assert count == 5_268_833


def test_small_volumes_are_refused():
    critic = VolumeCritic(1)
    assert critic(torch.zeros(1, 1, 16, 20, 16)).shape == (1,)
    with pytest.raises(InputError, match="at least 16 voxels"):
        critic(torch.zeros(1, 1, 32, 32, 8))


def test_films_are_scored_by_a_resnet_from_a_file(tmp_path):
    torch.manual_seed(0)
    published = resnet18()
    for module in published.modules():  # running statistics that matter
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 2)
    torch.save(published.state_dict(), tmp_path / "resnet.pth")
    critic = build_critic(2, str(tmp_path / "resnet.pth"), 64).train()

    images = torch.rand(2, 1, 64, 64) * 2 - 1
    mean, sd = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_SD))
    published.fc = critic.network.fc
    expected = published.eval()(((images / 2 + 0.5).repeat(1, 3, 1, 1) - mean) / sd)
    scores = critic(images)
    torch.testing.assert_close(scores, expected[:, 0])
    # The score of an image depends on it alone, in training mode too.
    torch.testing.assert_close(critic(images[:1]), scores[:1])


@pytest.mark.parametrize("base_filters", [16, 64])
def test_a_random_film_critic_is_well_scaled(base_filters):
    torch.manual_seed(0)
    critic = build_critic(2, "random", base_filters)
    images = torch.nn.functional.avg_pool2d(torch.rand(4, 1, 64, 64) * 2 - 1, 5, 1, 2) * 3
    images.requires_grad_()
    (gradient,) = torch.autograd.grad(critic(images).sum(), images)
    assert 0.1 < gradient.flatten(1).norm(dim=1).mean() < 3


def test_critic_weights_that_cannot_be_used(tmp_path):
    with pytest.raises(InputError, match=r"missing\.pt is not a readable file of weights"):
        build_critic(2, str(tmp_path / "missing.pt"), 64)
    (tmp_path / "text.pt").write_text("not weights")
    with pytest.raises(InputError, match=r"text\.pt is not a readable file of weights"):
        build_critic(3, str(tmp_path / "text.pt"), 4)
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(InputError, match="do not fit"):
        build_critic(2, str(tmp_path / "other.pt"), 64)
