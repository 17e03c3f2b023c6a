"""Conditional diffusion (Sanchez et al., 2022): to noise and back, to the healthy class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import Field

from pipeline.method.options import AsWritten, AtLeastZero, Count
from pipeline.method.training.settings import SingleOptions, SingleSettings
from pipeline.method.without_critic import WithoutCritic

if TYPE_CHECKING:
    from pipeline.method.denoiser import Denoiser


class DdimOptions(SingleOptions):
    """Options of conditional diffusion; defaults are the publication's.

    Attributes
    ----------
    timesteps : int
        Of the diffusion, with a linear schedule of its variances.
    class_dropout : float
        Share of the training images whose class is hidden.
    steps : int
        In which an explanation would go through all timesteps.
    depth : float
        Share of them that it goes through, towards noise and back.
    guidance : float
        Factor on what the healthy class changes in the predicted noise.
    """

    averaging: Annotated[float, Field(ge=0, lt=1), AsWritten] = 0.9999
    timesteps: Annotated[int, Field(ge=2)] = 1000
    class_dropout: Annotated[float, Field(ge=0, le=1), AsWritten] = 0.35
    steps: Count = 100
    depth: Annotated[float, Field(gt=0, le=1), AsWritten] = 0.75
    guidance: AtLeastZero = 3


class DdimSettings(SingleSettings, DdimOptions):
    """All that a fit depends on besides data, device and threads."""


class Ddim(WithoutCritic):
    """The image goes towards noise as an image of no class, and comes back as a healthy one."""

    name = "ddim"
    title = "Conditional diffusion"
    deforms = False
    summary = (
        "Conditional diffusion turns the diseased image into noise step by step and without "
        "chance (DDIM inversion), and the noise back into an image, guided to the healthy class."
    )
    citation = (
        "Sanchez P., Kascenas A., Liu X., O'Neil A.Q., Tsaftaris S.A.: What is Healthy? Generative"
        " Counterfactual Diffusion for Lesion Localization. DGM4MICCAI 2022."
        " doi:10.1007/978-3-031-18576-2_4"
    )
    options = DdimOptions
    reads = DdimSettings

    def build(self, **architecture: Any) -> Denoiser:
        """An untrained `pipeline.method.denoiser.Denoiser`."""
        from pipeline.method.denoiser import Denoiser

        return Denoiser(method=self.name, **architecture)

    def explanation_operations(self, settings: SingleSettings, shape: tuple[int, ...]) -> int:
        """Those of the network, times the images that it sees."""
        import torch

        from pipeline.method.training.operations import count_operations

        with torch.device("meta"):
            model = self.build(**settings.architecture(len(shape)))
            image, number = torch.empty(1, 1, *shape), torch.zeros(1, dtype=torch.long)
        return model.evaluations * count_operations(lambda: model.noise(image, number, number))

    def detail(self, settings: SingleSettings) -> str:
        """Steps and guidance."""
        read = cast(DdimSettings, settings)
        return f"in {read.steps} steps, guidance {read.guidance:g}"
