"""DeFI-GAN, the paper's method: the generator deforms the image (Eq. 1 and 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pipeline.method.adversarial import EVERY_UPDATE, Adversarial
from pipeline.method.interface import Explanation
from pipeline.method.options import Count, NumberOf
from pipeline.method.training.settings import AdversarialOptions

if TYPE_CHECKING:
    from torch import Tensor


class DefiGanOptions(AdversarialOptions):
    """Options of DeFI-GAN; defaults as in the paper."""

    critic_updates: Count = 100
    initial_generator_updates: NumberOf = 0
    variant: Literal["plain"] = "plain"


class DefiGan(Adversarial):
    """The generator's output is a displacement field, and pays for its roughness."""

    name = "defi-gan"
    title = "DeFI-GAN"
    deforms = True
    reference = True
    summary = (
        "DeFI-GAN deforms the diseased image by a displacement field, which pays for its roughness."
    )
    options: ClassVar[type[AdversarialOptions]] = DefiGanOptions
    published: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "brain": {"lambda": 10},
        "chest": {"lambda": 25},
        "image": {"lambda": 25, "flow_scale": 10, **EVERY_UPDATE},
    }

    def outputs(self, dimensions: int) -> int:
        """One an axis; the first channel is unused, as in the published weights."""
        return 1 + dimensions

    def explain(
        self, x1: Tensor, output: Tensor, *, flow_scale: float, variant: str
    ) -> Explanation:
        """Deform `x1` by the field in `output` (Eq. 1)."""
        from pipeline.method.deformation import warp

        phi = output[:, 1:] * flow_scale
        return Explanation(warp(x1, phi), phi)

    def penalty(
        self, x1: Tensor, output: Tensor, explanation: Explanation, *, variant: str
    ) -> Tensor:
        """Roughness of the field, Eq. 5."""
        from pipeline.method.losses import field_penalty

        assert explanation.displacement is not None  # made by `explain`
        return field_penalty(explanation.displacement)
