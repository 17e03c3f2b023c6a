"""One displacement field for everybody, found without a network: the average of the disease."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.method.baseline import Baseline, class_means
from pipeline.method.interface import Cost, Explainer, Explanation, Fitted, Place, Words

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

# Nodes along each axis between which the field is interpolated: its smoothness.
NODES = (3, 5, 9, 17)
STEPS = 200
RATE = 1 / 640  # of Adam, in shortest sides of the image: a tenth of a pixel of 64


class ConstantField(Baseline):
    """What DeFI-GAN must beat: the field that turns the mean diseased into the mean healthy image.

    It minimises the mean squared difference of the two, by Adam, on a grid of nodes; of several
    grids that with the highest score on the validation pairs is kept.
    """

    name = "constant-field"
    title = "Constant field"
    deforms = True
    seeded = False
    summary = (
        "Constant field deforms every diseased image by the same displacement field, which "
        "registers the mean diseased to the mean healthy training image."
    )

    def fit(self, packed: Path, settings: Mapping[str, Any], place: Place) -> Fitted:
        """Register the class means with each of `NODES`; the validation pairs choose."""
        import torch

        from pipeline.dataset.packed import PackedDataset
        from pipeline.method.explain import score_pairs
        from pipeline.method.ncc import subject_average

        healthy, diseased = (
            torch.from_numpy(mean)[None, None].to(place.device) for mean in class_means(packed)
        )
        data, found = PackedDataset.open(packed), []
        for nodes in NODES:
            architecture = {"dimensions": diseased.ndim - 2, "nodes": nodes}
            model = self.build(**architecture).to(place.device)
            (field,) = model.parameters()
            optimiser = torch.optim.Adam([field], lr=RATE * min(diseased.shape[2:]))
            for _ in range(STEPS):
                loss = (model(diseased).modified - healthy).square().mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            ncc = subject_average(score_pairs(model, data, "validation"))
            log.info("%d nodes along each axis: NCC %.3f on the validation pairs", nodes, ncc)
            found.append((ncc, Fitted(architecture, model.state_dict())))
        return max(found, key=lambda fitted: fitted[0])[1]

    def build(self, *, dimensions: int, nodes: int) -> Explainer:  # type: ignore[override]
        """A model of so many nodes along each axis, whose field is 0."""
        import torch
        from torch import nn
        from torch.nn import functional

        from pipeline.method.deformation import warp

        class Deforming(nn.Module):
            method = self.name

            def __init__(self) -> None:
                super().__init__()
                self.dimensions = dimensions
                self.field = nn.Parameter(torch.zeros(1, dimensions, *[nodes] * dimensions))

            def forward(self, x1: Tensor) -> Explanation:
                mode = {2: "bilinear", 3: "trilinear"}[dimensions]
                phi = functional.interpolate(
                    self.field, size=x1.shape[2:], mode=mode, align_corners=True
                ).expand(len(x1), -1, *x1.shape[2:])
                return Explanation(warp(x1, phi), phi)

        return Deforming()

    def cost(self, settings: Mapping[str, Any], shape: tuple[int, ...]) -> Cost:
        """Its steps; each takes a fraction of the time of a network's."""
        return super().cost(settings, shape)._replace(steps=STEPS)

    def words(self, settings: Mapping[str, Any]) -> Words:
        """What a fit is."""
        return Words("by registration of the mean diseased to the mean healthy training image", "")
