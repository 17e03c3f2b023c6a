"""A third method, as somebody would add it: the same displacement everywhere.

This file is what lies in ``pipeline/method``; beside it the registry and a configuration change.
"""

from __future__ import annotations

from math import prod
from typing import Any

from pydantic import PositiveFloat

from pipeline.method.interface import Cost, Explanation, Fitted, Method, Words
from pipeline.method.options import Options


class UniformShiftOptions(Options):
    """Voxels along the last axis, one way or the other."""

    length: PositiveFloat


class UniformShift(Method):
    """The way is the one that brings the mean diseased image nearer to the mean healthy one."""

    name = "uniform-shift"
    title = "Uniform shift"
    deforms = True
    summary = "Uniform shift moves the whole diseased image one way."
    citation = "Nobody: Where All Points Go. 2026."
    options = UniformShiftOptions

    def fit(self, packed, settings, place) -> Fitted:
        import torch

        from pipeline.dataset.packed import PackedDataset

        options = self.options.read({"length": settings["length"]})
        data = PackedDataset.open(packed)
        means = [
            torch.from_numpy(data.train[data.train_index["label"] == label].mean(0))[None, None]
            for label in (0, 1)
        ]
        dimensions = data.train.ndim - 1
        best, least = None, float("inf")
        for length in (options.length, -options.length):
            shift = torch.zeros(dimensions)
            shift[0] = length
            model = self.build(dimensions=dimensions)
            model.load_state_dict({"shift": shift})
            left = (model(means[1]).modified - means[0]).abs().mean().item()
            if left < least:
                best, least = shift, left
        return Fitted({"dimensions": dimensions}, {"shift": best})

    def build(self, *, dimensions: int) -> Any:
        import torch
        from torch import nn

        from pipeline.method.deformation import warp

        class Shift(nn.Module):
            def __init__(self, method: str) -> None:
                super().__init__()
                self.method, self.dimensions = method, dimensions
                self.register_buffer("shift", torch.zeros(dimensions))

            def forward(self, x1: torch.Tensor) -> Explanation:
                spatial = x1.shape[2:]
                phi = self.shift.view(1, -1, *[1] * dimensions).expand(len(x1), -1, *spatial)
                return Explanation(warp(x1, phi), phi)

        return Shift(self.name)

    def cost(self, settings, shape) -> Cost:
        return Cost(fit=2 * prod(shape), steps=2, explanation=prod(shape))

    def words(self, settings) -> Words:
        return Words("by two trials", f"of {settings['length']:g} voxels")
