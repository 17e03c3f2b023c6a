"""The difference of the class means: one map for everybody."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.method.baseline import Baseline, class_means
from pipeline.method.interface import Explainer, Explanation, Fitted, Place, Words

if TYPE_CHECKING:
    from torch import Tensor


class ClassDifference(Baseline):
    """What VA-GAN must beat: mean healthy minus mean diseased training image, added to each."""

    name = "class-difference"
    title = "Class difference"
    deforms = False
    seeded = False
    summary = (
        "Class difference adds the mean healthy minus the mean diseased training image to every "
        "diseased image."
    )

    def fit(self, packed: Path, settings: Mapping[str, Any], place: Place) -> Fitted:
        """Subtract the class means."""
        import torch

        healthy, diseased = class_means(packed)
        weights = {"difference": torch.from_numpy(healthy - diseased)}
        return Fitted({"shape": healthy.shape}, weights)

    def build(self, *, shape: tuple[int, ...]) -> Explainer:  # type: ignore[override]
        """A model of images of a `shape`, whose difference is 0."""
        import torch
        from torch import nn

        class Adding(nn.Module):
            method, dimensions = self.name, len(shape)
            difference: Tensor

            def __init__(self) -> None:
                super().__init__()
                self.register_buffer("difference", torch.zeros(*shape))

            def forward(self, x1: Tensor) -> Explanation:
                return Explanation(x1 + self.difference, None)

        return Adding()

    def words(self, settings: Mapping[str, Any]) -> Words:
        """What a fit is."""
        return Words("by averaging the training images of each class", "")
