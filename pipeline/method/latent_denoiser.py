"""Conditional diffusion in the latent space of an autoencoder (Rombach et al., CVPR 2022)."""

from typing import Any

import torch
from monai.networks.nets.autoencoderkl import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional

from pipeline.method.denoiser import RES_BLOCKS, Denoiser, norm_groups
from pipeline.method.interface import Explanation


class LatentDenoiser(nn.Module):
    """An autoencoder, trained first, and a diffusion model of its latents, trained then.

    The autoencoder is MONAI's, without attention; its width doubles with each halving, and the
    diffusion model begins with the width that it ends with. Updates are counted in the weights, so
    that a training that goes on knows what it trains.

    Parameters
    ----------
    method : str
        Whose model it is.
    dimensions : {2, 3}
        Of the images.
    base_filters : int
        Channels at full resolution.
    poolings, autoencoder_poolings : int
        Halvings of the resolution; so many of them by the autoencoder.
    autoencoder_updates : int
        The first so many updates train the autoencoder, the others the diffusion model.
    latent_channels, kl_weight
        As the method's options have them.
    **diffusion
        See `pipeline.method.denoiser.Denoiser`.
    """

    updates: Tensor
    scale: Tensor

    def __init__(
        self,
        *,
        method: str,
        dimensions: int,
        base_filters: int,
        poolings: int,
        autoencoder_poolings: int,
        autoencoder_updates: int,
        latent_channels: int,
        kl_weight: float,
        **diffusion: Any,
    ) -> None:
        super().__init__()
        self.method, self.dimensions = method, dimensions
        self.autoencoder_updates, self.kl_weight = autoencoder_updates, kl_weight
        widths = [base_filters * 2**level for level in range(autoencoder_poolings + 1)]
        self.autoencoder = AutoencoderKL(
            spatial_dims=dimensions,
            in_channels=1,
            out_channels=1,
            num_res_blocks=RES_BLOCKS,
            channels=widths,
            attention_levels=[False] * len(widths),
            latent_channels=latent_channels,
            norm_num_groups=norm_groups(base_filters),
            with_encoder_nonlocal_attn=False,
            with_decoder_nonlocal_attn=False,
        )
        self.denoiser = Denoiser(
            method=method,
            dimensions=dimensions,
            channels=latent_channels,
            base_filters=widths[-1],
            poolings=poolings - autoencoder_poolings,
            **diffusion,
        )
        # Also where weights have shapes alone, it is known how many updates there were: none.
        self.register_buffer("updates", torch.zeros((), dtype=torch.long, device="cpu"))
        self.register_buffer("scale", torch.ones(()))

    @property
    def ready(self) -> bool:
        """Whether the diffusion model has been trained."""
        return bool(self.updates > self.autoencoder_updates)

    def losses(self, images: Tensor, labels: Tensor, draws: torch.Generator) -> dict[str, Tensor]:
        """Loss of what this update trains; see `pipeline.method.training.single.Learner`.

        Of the autoencoder: mean absolute error, and the divergence of the latents from normal ones;
        of the diffusion model: that of latents, which are scaled as the first ones it sees.
        """
        if self.updates < self.autoencoder_updates:
            losses = self._autoencoder_losses(images, draws)
        else:
            with torch.no_grad():
                latents = _drawn(*self._distribution(images), draws)
                if self.updates == self.autoencoder_updates:
                    self.scale.copy_(1 / latents.std())
            losses = self.denoiser.losses(latents * self.scale, labels, draws)
        self.updates += 1
        return losses

    def _autoencoder_losses(self, images: Tensor, draws: torch.Generator) -> dict[str, Tensor]:
        mean, deviation = self._distribution(images)
        reconstructed = self.autoencoder.decode(_drawn(mean, deviation, draws)).float()
        reconstruction = functional.l1_loss(reconstructed, images)
        variance = deviation.square()
        divergence = (mean.square() + variance - 1 - variance.log()).sum() / (2 * images.numel())
        return {
            "loss": reconstruction + self.kl_weight * divergence,
            "reconstruction": reconstruction,
            "divergence": divergence,
        }

    def _distribution(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the latents of images, before they are scaled."""
        mean, deviation = self.autoencoder.encode(images)
        return mean.float(), deviation.float()

    @torch.no_grad()
    def forward(self, x1: Tensor) -> Explanation:
        """Explain diseased images `x1` of shape (N, 1, *spatial).

        What the diffusion changes in the reconstruction is added to the image, so that what the
        autoencoder loses is no change. Before the diffusion model is trained, nothing changes.
        """
        if not self.ready:
            return Explanation(x1, None)
        latents = self.encode(x1)
        difference = self.decode(self.denoiser.to_healthy(latents)) - self.decode(latents)
        return Explanation((x1 + difference).clamp(-1, 1), None)

    def encode(self, images: Tensor) -> Tensor:
        """Means of the latents (N, latent_channels, *halved) of images, scaled."""
        return self._distribution(images)[0] * self.scale

    def decode(self, latents: Tensor) -> Tensor:
        """Images (N, 1, *spatial) of scaled latents."""
        return self.autoencoder.decode(latents / self.scale)


def _drawn(mean: Tensor, deviation: Tensor, draws: torch.Generator) -> Tensor:
    """Normal variables; MONAI's own come from the global random state, which is no run's own."""
    return mean + deviation * torch.randn(mean.shape, generator=draws).to(mean.device)
