"""Rectifiers and poolings without curvature give PyTorch's own numbers, with less work."""

import copy

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from pipeline.method.critic import build_critic
from pipeline.method.losses import critic_loss
from pipeline.method.training.piecewise import without_curvature

SHAPES = {2: (48, 40), 3: (32, 16, 24)}


@pytest.fixture(params=[2, 3])
def critics(request):
    """A critic of PyTorch's own modules and its like without curvature, and a batch for both."""
    torch.manual_seed(0)
    own = build_critic(request.param, "random", 8)
    real, fake = torch.rand(2, 2, 1, *SHAPES[request.param]) * 2 - 1
    return own, without_curvature(copy.deepcopy(own)), real, fake


def _backward(critic, real, fake):
    critic_loss(critic, real, fake, torch.tensor([0.3, 0.8]), 10).total.backward()
    return {name: weight.grad for name, weight in critic.named_parameters()}


def test_scores_and_gradients_are_those_of_pytorch(critics):
    own, ours, real, fake = critics
    torch.testing.assert_close(ours(real), own(real), rtol=0, atol=0)
    assert own.state_dict().keys() == ours.state_dict().keys()
    expected, found = _backward(own, real, fake), _backward(ours, real, fake)
    for name, gradient in expected.items():
        # PyTorch adds an exact zero, so only the order of sums may differ.
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


def test_the_penalty_skips_the_way_back_through_the_choices(critics):
    own, ours, real, fake = critics

    def convolutions(critic):
        with profile(activities=[ProfilerActivity.CPU]) as record:
            _backward(critic, real, fake)
        counts = {event.key: event.count for event in record.key_averages()}
        return counts["aten::convolution_backward"]

    layers = sum("onv" in type(module).__name__ for module in own.modules())
    assert convolutions(ours) == 3 * layers  # of the two scores and of the gradient
    # PyTorch goes back once more, through all that lies below the last rectifier.
    assert convolutions(own) in (4 * layers - 1, 4 * layers)
