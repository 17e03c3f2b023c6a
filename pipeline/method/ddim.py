"""Conditional diffusion (Sanchez et al., 2022): to noise and back, to the healthy class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, cast

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from pipeline.method.options import AsWritten, AtLeastZero, Count, mistake
from pipeline.method.training.settings import Averaging, SingleOptions, SingleSettings
from pipeline.method.without_critic import WithoutCritic

if TYPE_CHECKING:
    from pipeline.method.denoiser import Denoiser
    from pipeline.method.latent_denoiser import LatentDenoiser

# Options of the variant ``latent`` alone.
OF_LATENTS = {"autoencoder_share", "autoencoder_poolings", "latent_channels", "kl_weight"}


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
    variant : str
        ``latent``: the diffusion runs in the latent space of an autoencoder that is trained first.
    autoencoder_share : float
        Of ``latent``: share of the updates that train the autoencoder.
    autoencoder_poolings : int
        Of ``latent``: how many of the ``poolings`` are the autoencoder's.
    latent_channels : int
        Of ``latent``: channels of the latents.
    kl_weight : float
        Of ``latent``: weight of the divergence of the latents from normal ones.
    """

    averaging: Averaging = 0.9999
    timesteps: Annotated[int, Field(ge=2)] = 1000
    class_dropout: Annotated[float, Field(ge=0, le=1), AsWritten] = 0.35
    steps: Count = 100
    depth: Annotated[float, Field(gt=0, le=1), AsWritten] = 0.75
    guidance: AtLeastZero = 3
    variant: Literal["plain", "latent"] = "plain"
    autoencoder_share: Annotated[float, Field(gt=0, lt=1), AsWritten] = 0.5
    autoencoder_poolings: Count = 2
    latent_channels: Count = 3
    kl_weight: AtLeastZero = 0.000001

    @model_validator(mode="after")
    def _check_variant(self) -> Self:
        if self.variant == "plain" and (unused := OF_LATENTS & self.model_fields_set):
            raise mistake("only `variant: latent` has it", min(unused))
        return self

    @model_serializer(mode="wrap")
    def _of_the_variant(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What the variant does not have is not told: no plain fit depends on it."""
        told: dict[str, Any] = dump(self)
        return told if self.variant == "latent" else _of_plain(told)


class DdimSettings(SingleSettings, DdimOptions):
    """All that a fit depends on besides data, device and threads."""

    @model_validator(mode="after")
    def _check_poolings(self) -> Self:
        if self.variant == "latent" and self.autoencoder_poolings > self.poolings:
            raise mistake(
                f"expected at most the {self.poolings} `poolings`, of which they are a part, found "
                f"{self.autoencoder_poolings}",
                "autoencoder_poolings",
            )
        return self

    @property
    def autoencoder_updates(self) -> int:
        """Updates of the autoencoder, before all others."""
        return int(self.autoencoder_share * self.total_updates())

    def architecture(self, dimensions: int) -> dict[str, Any]:
        """Arguments of the variant's network."""
        told = super().architecture(dimensions)
        if self.variant == "plain":
            return _of_plain(told)
        del told["autoencoder_share"]
        return told | {"autoencoder_updates": self.autoencoder_updates}


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

    def build(self, *, variant: str = "plain", **architecture: Any) -> Denoiser | LatentDenoiser:
        """An untrained model: see `pipeline.method.denoiser.Denoiser`; of the variant ``latent``,
        `pipeline.method.latent_denoiser.LatentDenoiser`.
        """
        if variant == "latent":
            from pipeline.method.latent_denoiser import LatentDenoiser

            return LatentDenoiser(method=self.name, **architecture)
        from pipeline.method.denoiser import Denoiser

        return Denoiser(method=self.name, **architecture)

    def training_operations(self, settings: SingleSettings, shape: tuple[int, ...]) -> int:
        """Those of all updates, of which those of the autoencoder are alike, and the others."""
        from pipeline.method.training.single import update_operations

        read = cast(DdimSettings, settings)
        if read.variant == "plain":
            return super().training_operations(read, shape)

        def build_trained(**architecture: Any) -> LatentDenoiser:
            trained = {**architecture, "autoencoder_updates": 0}
            return cast("LatentDenoiser", self.build(**trained))

        first = read.autoencoder_updates
        rest = read.total_updates() - first
        return first * update_operations(read, shape, self.build) + rest * update_operations(
            read, shape, build_trained
        )

    def explanation_operations(self, settings: SingleSettings, shape: tuple[int, ...]) -> int:
        """Those of the diffusion's network, times what it sees, and those of the autoencoder."""
        import torch

        from pipeline.method.training.operations import count_operations

        with torch.device("meta"):
            model: Any = self.build(**settings.architecture(len(shape)))
            diffused, number = torch.empty(1, 1, *shape), torch.zeros(1, dtype=torch.long)
        coding = 0
        if cast(DdimSettings, settings).variant == "latent":
            image, diffused = diffused, model.encode(diffused)
            coding = count_operations(lambda: (model.encode(image), model.decode(diffused)))
            coding += count_operations(lambda: model.decode(diffused))
            model = model.denoiser
        each = count_operations(lambda: model.noise(diffused, number, number))
        return coding + model.evaluations * each

    def detail(self, settings: SingleSettings) -> str:
        """Where it diffuses, steps and guidance."""
        read = cast(DdimSettings, settings)
        where = "in the latent space of an autoencoder, " if read.variant == "latent" else ""
        return f"{where}in {read.steps} steps, guidance {read.guidance:g}"


def _of_plain(told: Mapping[str, Any]) -> dict[str, Any]:
    """Options without those that the variant ``plain`` has not, or has not had from the start."""
    return {name: v for name, v in told.items() if name not in OF_LATENTS | {"variant"}}
