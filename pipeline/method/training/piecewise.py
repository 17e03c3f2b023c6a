"""Rectifiers and max-poolings without curvature, for networks whose input gradient is trained.

The gradient penalty (Eq. 3) is trained through the gradient of a gradient. Rectifiers and poolings
choose between linear pieces, so nothing flows back through the choice itself: it is a zero that
PyTorch's own modules send through the whole network all the same. The modules here leave it out,
which changes no number and saves a third of the penalty's work.
"""

from typing import Any

import torch
from torch import Tensor, nn


class _Rectify(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.relu()
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None) -> Tensor | None:
        if gradient is None:
            return None
        (y,) = ctx.saved_tensors
        return torch.ops.aten.threshold_backward(gradient, y.detach(), 0)


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, options: tuple[list[int] | bool, ...]) -> Tensor:
        pool = {
            4: torch.ops.aten.max_pool2d_with_indices,
            5: torch.ops.aten.max_pool3d_with_indices,
        }
        y, indices = pool[x.dim()](x, *options)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, indices)
        ctx.options = options
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None) -> tuple[Tensor | None, None]:
        if gradient is None:
            return None, None
        x, indices = ctx.saved_tensors
        spread = {
            4: torch.ops.aten.max_pool2d_with_indices_backward,
            5: torch.ops.aten.max_pool3d_with_indices_backward,
        }
        return spread[x.dim()](gradient, x.detach(), *ctx.options, indices), None


class PiecewiseRelu(nn.Module):
    """``max(x, 0)``."""

    def forward(self, x: Tensor) -> Tensor:
        return _Rectify.apply(x)


class PiecewiseMaxPool(nn.Module):
    """Max-pooling as that of a given module of PyTorch.

    Parameters
    ----------
    pool : torch.nn.MaxPool2d or torch.nn.MaxPool3d
    """

    def __init__(self, pool: nn.MaxPool2d | nn.MaxPool3d) -> None:
        super().__init__()
        dimensions = 2 if isinstance(pool, nn.MaxPool2d) else 3
        sizes = (pool.kernel_size, pool.stride, pool.padding, pool.dilation)
        each = ([s] * dimensions if isinstance(s, int) else list(s) for s in sizes)
        self.options = (*each, pool.ceil_mode)

    def forward(self, x: Tensor) -> Tensor:
        return _MaxPool.apply(x, self.options)


def without_curvature(network: nn.Module) -> nn.Module:
    """`network` itself, its rectifiers and max-poolings replaced by those of this module."""
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.ReLU):
            network.set_submodule(name, PiecewiseRelu())
        elif isinstance(module, nn.MaxPool2d | nn.MaxPool3d):
            network.set_submodule(name, PiecewiseMaxPool(module))
    return network
