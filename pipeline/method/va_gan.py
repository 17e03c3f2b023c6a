"""VA-GAN (Baumgartner et al., CVPR 2018): the generator adds to the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.method.adversarial import Adversarial
from pipeline.method.interface import Explanation
from pipeline.method.training.settings import AdversarialOptions

if TYPE_CHECKING:
    from torch import Tensor


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
    options = AdversarialOptions

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
