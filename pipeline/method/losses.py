"""Losses of critic and generator (paper, Eq. 2 to 6)."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.method.interface import Explanation

Critic = Callable[[Tensor], Tensor]


class CriticLoss(NamedTuple):
    """Terms of the critic's loss, each a scalar: ``total = real - fake + weight * penalty``."""

    total: Tensor
    real: Tensor
    fake: Tensor
    penalty: Tensor


class GeneratorLoss(NamedTuple):
    """Terms of the generator's loss, each a scalar: ``total = adversarial + lambda * penalty``."""

    total: Tensor
    adversarial: Tensor
    penalty: Tensor


def field_penalty(phi: Tensor) -> Tensor:
    """Roughness of displacement fields `phi` (N, d, *spatial): Eq. 5, a scalar.

    The mean over batch and voxels of the sum, over the 4 or 6 neighbours n of p, of
    ``||phi(p) - phi(n)||``. A neighbour outside the grid counts as 0; 1e-10 is added to each
    absolute difference so that the norm has a gradient where the field is constant.
    """
    total = phi.new_zeros(())
    for axis in range(2, phi.dim()):
        # One layer of zeros on both ends: differences then hold each inner edge once, and the
        # edges to the outside. An inner edge counts for both of its voxels.
        padding = [0, 0] * (phi.dim() - 1 - axis) + [1, 1]
        differences = functional.pad(phi, padding).diff(dim=axis)
        norms = (differences.abs() + 1e-10).square().sum(dim=1).sqrt()
        inner = norms.narrow(axis - 1, 1, norms.shape[axis - 1] - 2)
        total = total + norms.sum() + inner.sum()
    return total / (phi.numel() / phi.shape[1])


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor, alpha: Tensor) -> Tensor:
    """Mean of ``(||gradient of D at x|| - 1)^2``, Eq. 3, with ``x = alpha real + (1-alpha) fake``.

    `alpha` (N,) holds one number in [0, 1) per pair.
    """
    alpha = alpha.view(-1, *[1] * (real.dim() - 1))
    mixed = (alpha * real + (1 - alpha) * fake).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def critic_loss(
    critic: Critic,
    real: Tensor,
    fake: Tensor,
    alpha: Tensor,
    weight: float,
    autocast: AbstractContextManager[Any] | None = None,
) -> CriticLoss:
    """Loss of the critic, Eq. 2 and 3: low scores for `real` x0, high ones for `fake` xhat0.

    `autocast` is the context in which the two scores are computed; the gradient penalty, a
    difference of nearly equal numbers, always has the full precision.
    """
    # Two evaluations and not one of both together: their gradients on the last bias then cancel
    # exactly, where a rounding error would be blown up by Adam.
    with autocast or nullcontext():
        mean_real, mean_fake = critic(real).float().mean(), critic(fake).float().mean()
    penalty = gradient_penalty(critic, real, fake, alpha)
    return CriticLoss(mean_real - mean_fake + weight * penalty, mean_real, mean_fake, penalty)


def generator_loss(
    critic: Critic, explanation: Explanation, penalty: Tensor, weight: float
) -> GeneratorLoss:
    """Loss of the generator, Eq. 4 to 6; `penalty` is its method's, `weight` is lambda."""
    adversarial = critic(explanation.modified).float().mean()
    return GeneratorLoss(adversarial + weight * penalty, adversarial, penalty)
