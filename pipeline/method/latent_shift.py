"""Latent shift (Cohen et al., MIDL 2021): along a classifier's gradient in latent space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import Field

from pipeline.method.options import AsWritten, Count, Positive
from pipeline.method.training.settings import SingleOptions, SingleSettings
from pipeline.method.without_critic import WithoutCritic

if TYPE_CHECKING:
    from pipeline.method.shifter import Shifter


class LatentShiftOptions(SingleOptions):
    """Options of latent shift.

    Attributes
    ----------
    latent_channels : int
        Of the autoencoder, where the resolution is lowest.
    steps : int
        Tried, at most, up to the longest shift.
    max_shift : float
        The longest shift, in lengths of the latent.
    target : float
        Probability of the disease that is low enough.
    """

    latent_channels: Count = 16
    steps: Count = 20
    max_shift: Positive = 1
    target: Annotated[float, Field(gt=0, lt=1), AsWritten] = 0.1


class LatentShiftSettings(SingleSettings, LatentShiftOptions):
    """All that a fit depends on besides data, device and threads."""


class LatentShift(WithoutCritic):
    """An autoencoder and a classifier, trained at once and independently of each other."""

    name = "latent-shift"
    title = "Latent shift"
    deforms = False
    summary = (
        "Latent shift moves the diseased image in the latent space of an autoencoder against the "
        "gradient of a classifier, until the classifier takes it for healthy."
    )
    citation = (
        "Cohen J.P., Brooks R., En S., Zucker E., Pareek A., Lungren M.P., Chaudhari A.:"
        " Gifsplanation via Latent Shift: A Simple Autoencoder Approach to Counterfactual"
        " Generation for Chest X-rays. MIDL 2021. arXiv:2102.09475"
    )
    options = LatentShiftOptions
    reads = LatentShiftSettings

    def build(self, **architecture: Any) -> Shifter:
        """An untrained `pipeline.method.shifter.Shifter`."""
        from pipeline.method.shifter import build_shifter

        return build_shifter(method=self.name, **architecture)

    def explanation_operations(self, settings: SingleSettings, shape: tuple[int, ...]) -> int:
        """Those of the gradient and of every step."""
        import torch

        from pipeline.method.training.operations import count_operations

        with torch.device("meta"):
            model = self.build(**settings.architecture(len(shape)))
            image = torch.empty(1, 1, *shape)
        return count_operations(lambda: model.eval()(image))

    def detail(self, settings: SingleSettings) -> str:
        """Where the shift ends."""
        read = cast(LatentShiftSettings, settings)
        return f"to a probability of {read.target:g}"
