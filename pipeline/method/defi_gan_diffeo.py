"""Diffeomorphic DeFI-GAN: the generator's output is a velocity, whose flow deforms the image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pipeline.method.defi_gan import DefiGan
from pipeline.method.interface import Explanation
from pipeline.method.options import Count, NumberOf
from pipeline.method.training.settings import AdversarialOptions

if TYPE_CHECKING:
    from torch import Tensor

LINEAR = {2: "bilinear", 3: "trilinear"}
MEANS = 6  # running means of 3 voxels: nearly a Gaussian of a standard deviation of 2 voxels


class DefiGanDiffeoOptions(AdversarialOptions):
    """Options of the diffeomorphic DeFI-GAN; defaults are those of DeFI-GAN."""

    critic_updates: Count = 100
    initial_generator_updates: NumberOf = 0
    variant: Literal["plain", "half"] = "plain"


class DefiGanDiffeo(DefiGan):
    """DeFI-GAN with ``phi = exp(v)``: its fields can be undone, and fold nowhere.

    v is the generator's output, smoothed. Critic, losses and penalty are DeFI-GAN's. The variant
    ``half`` integrates the velocity at half the resolution, which takes a quarter or an eighth of
    the work and makes smoother fields.
    """

    name = "defi-gan-diffeo"
    title = "Diffeomorphic DeFI-GAN"
    reference = False
    summary = (
        "Diffeomorphic DeFI-GAN deforms the diseased image by the flow of a stationary velocity "
        "field, which can be undone and does not fold; its displacement pays for its roughness."
    )
    citation = (
        "Pombo G., Gray R., Cardoso M.J., Ourselin S., Rees G., Ashburner J., Nachev P.: Equitable"
        " modelling of brain imaging by counterfactual augmentation with morphologically"
        " constrained 3D deep generative models. Medical Image Analysis 84 (2023)."
        " doi:10.1016/j.media.2022.102723"
    )
    options = DefiGanDiffeoOptions
    published: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def explain(
        self, x1: Tensor, output: Tensor, *, flow_scale: float, variant: str
    ) -> Explanation:
        """Deform `x1` by the flow of the velocity in `output`."""
        from torch.nn import functional

        from pipeline.method.deformation import warp

        velocity = output[:, 1:] * flow_scale
        if variant == "half":
            mode = LINEAR[x1.dim() - 2]
            halved = functional.interpolate(velocity, scale_factor=0.5, mode=mode) / 2
            phi = 2 * functional.interpolate(_flow(halved), scale_factor=2, mode=mode)
        else:
            phi = _flow(velocity)
        return Explanation(warp(x1, phi), phi)


def _flow(velocity: Tensor) -> Tensor:
    """exp of the smoothed velocity: between the voxels of a rough one a flow may turn so far that
    what is left of it on the grid folds.
    """
    from torch.nn import functional

    from pipeline.method.deformation import exponential

    mean = functional.avg_pool2d if velocity.dim() == 4 else functional.avg_pool3d
    for _ in range(MEANS):
        velocity = mean(velocity, 3, stride=1, padding=1, count_include_pad=False)
    return exponential(velocity)
