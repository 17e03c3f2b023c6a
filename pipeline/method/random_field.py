"""Smooth random displacement fields: what a score is worth that knows nothing of the disease."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from pipeline.method.baseline import Baseline
from pipeline.method.interface import Explainer, Explanation, Fitted, Place, Words

if TYPE_CHECKING:
    from torch import Tensor

# In shortest sides of the image: of a Gaussian that smooths noise, and of the displacements.
SMOOTHING, LENGTH = 1 / 8, 1 / 32


class RandomField(Baseline):
    """The floor: another field for each image and seed, as smooth as a disease's may be."""

    name = "random-field"
    title = "Random field"
    deforms = True
    summary = (
        "Random field deforms each diseased image by smoothed noise, a displacement field that "
        "knows nothing of the disease."
    )

    def fit(self, packed: Path, settings: Mapping[str, Any], place: Place) -> Fitted:
        """There is nothing to fit."""
        from pipeline.dataset.packed import PackedDataset

        dimensions = PackedDataset.open(packed).pairs_image.ndim - 1
        return Fitted({"dimensions": dimensions, "seed": settings["seed"]}, {})

    def build(self, *, dimensions: int, seed: int) -> Explainer:  # type: ignore[override]
        """A model whose fields depend on the image and on `seed`."""
        import numpy as np
        import torch
        from scipy.ndimage import gaussian_filter
        from torch import nn

        from pipeline.method.deformation import warp

        class Drawing(nn.Module):
            method = self.name

            def __init__(self) -> None:
                super().__init__()
                self.dimensions = dimensions

            def forward(self, x1: Tensor) -> Explanation:
                phi = torch.stack([torch.from_numpy(self._draw(image[0])) for image in x1.cpu()])
                phi = phi.to(x1.device)
                return Explanation(warp(x1, phi), phi)

            def _draw(self, image: Tensor) -> np.ndarray:
                rng = np.random.default_rng([seed, crc32(image.numpy().tobytes())])
                side = min(image.shape)
                noise = rng.standard_normal((dimensions, *image.shape))
                smooth = gaussian_filter(noise, (0, *[SMOOTHING * side] * dimensions))
                return (LENGTH * side * smooth / smooth.std()).astype(np.float32)

        return Drawing()

    def words(self, settings: Mapping[str, Any]) -> Words:
        """What a fit is."""
        return Words("without training", "")
