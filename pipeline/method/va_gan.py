"""VA-GAN (Baumgartner et al., CVPR 2018): the generator adds to the image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import model_validator

from pipeline.method.adversarial import EVERY_UPDATE, Adversarial
from pipeline.method.interface import Explanation
from pipeline.method.options import Count, NumberOf
from pipeline.method.training.settings import AdversarialOptions

if TYPE_CHECKING:
    from torch import Tensor


# What goes with the variant ``original``: how the paper ran VA-GAN's own code on ADNI, for 1,500
# updates of the generator with a validation after every 10.
ORIGINAL = {
    "learning_rate": 0.001,
    "critic_boost_every": 100,
    "batch_size": 2,
    "accumulated_batches": 6,
    "epochs": 150,
    "updates_per_epoch": 10,
    "epoch_counts": "generator_updates",
}


class VaGanOptions(AdversarialOptions):
    """Options of VA-GAN; defaults are those of the variant, as the paper ran it."""

    critic_updates: Count = 5
    initial_generator_updates: NumberOf = 25
    variant: Literal["plain", "original"] = "plain"

    @model_validator(mode="before")
    @classmethod
    def _go_with_the_variant(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("variant") == "original":
            return {**ORIGINAL, **given}
        return given


class VaGan(Adversarial):
    """The generator's output is a difference map, and pays for its size.

    The variant ``original`` is VA-GAN's own code, which the paper ran on ADNI: other networks
    (`pipeline.method.unet.UNet`, `pipeline.method.critic.VolumeCritic`), a modified image of
    ``tanh(x1 + output)``, and a schedule of its own (`ORIGINAL`). Films keep the critic they have.
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
        "brain": {"lambda": 100, "variant": "original"},
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
