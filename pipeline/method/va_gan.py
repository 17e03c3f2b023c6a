"""VA-GAN (Baumgartner et al., CVPR 2018): the generator adds to the image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.method.adversarial import EVERY_UPDATE, Adversarial
from pipeline.method.interface import Explanation
from pipeline.method.options import Count, NumberOf
from pipeline.method.training.settings import AdversarialOptions

if TYPE_CHECKING:
    from torch import Tensor


class VaGanOptions(AdversarialOptions):
    """Options of VA-GAN; defaults as the paper ran it."""

    critic_updates: Count = 5
    initial_generator_updates: NumberOf = 25


class VaGan(Adversarial):
    """The generator's output is a difference map, and pays for its size.

    In the variant ``original``, as its own authors ran it on ADNI, the modified image is
    ``tanh(x1 + output)``.
    """

    name = "va-gan"
    title = "VA-GAN"
    deforms = False
    summary = "VA-GAN adds a difference map to the diseased image, which pays for its mean size."
    citation = (
        "Baumgartner C.F., Koch L.M., Can Tezcan K., Xi Ang J., Konukoglu E.: Visual Feature"
        " Attribution using Wasserstein GANs. CVPR 2018. doi:10.1109/CVPR.2018.00867"
    )
    options = VaGanOptions
    published: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "brain": {"lambda": 100},
        "chest": {"lambda": 50},
        "image": {"lambda": 50, **EVERY_UPDATE},
    }

    def outputs(self, dimensions: int) -> int:
        """The difference map."""
        return 1

    def explain(
        self, x1: Tensor, output: Tensor, *, flow_scale: float, variant: str
    ) -> Explanation:
        """Add `output` to `x1`."""
        modified = x1 + output
        return Explanation(modified.tanh() if variant == "original" else modified, None)

    def penalty(
        self, x1: Tensor, output: Tensor, explanation: Explanation, *, variant: str
    ) -> Tensor:
        """Mean absolute difference."""
        difference = explanation.modified - x1 if variant == "original" else output
        return difference.abs().mean()
