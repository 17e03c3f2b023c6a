"""An autoencoder and a classifier: images move in latent space until the disease is gone."""

from typing import Protocol

import torch
from monai.networks.nets.autoencoder import AutoEncoder
from torch import Tensor, nn
from torch.nn import functional

from pipeline.method.disease_classifier import Classifier
from pipeline.method.interface import Explanation


class Coder(Protocol):
    """An autoencoder of images (N, 1, *spatial); the latent is (N, ...)."""

    def encode(self, images: Tensor, /) -> Tensor: ...
    def decode(self, latent: Tensor, /) -> Tensor: ...


class Shifter(nn.Module):
    """Moves an image's latent against the gradient of the classifier's evidence for the disease.

    Parameters
    ----------
    method : str
        Whose model it is.
    autoencoder : Coder
        A module.
    classifier : nn.Module
        Logits of the disease (N,) of images (N, 1, *spatial).
    dimensions : {2, 3}
        Of the images.
    steps, max_shift, target
        As the method's options have them.
    """

    ready = True  # for `pipeline.method.training.single.Learner`

    def __init__(
        self,
        *,
        method: str,
        autoencoder: Coder,
        classifier: nn.Module,
        dimensions: int,
        steps: int,
        max_shift: float,
        target: float,
    ) -> None:
        super().__init__()
        self.method, self.dimensions = method, dimensions
        self.autoencoder, self.classifier = autoencoder, classifier
        self.steps, self.max_shift, self.target = steps, max_shift, target

    def losses(self, images: Tensor, labels: Tensor, draws: torch.Generator) -> dict[str, Tensor]:
        """Squared error of the reconstruction, and cross-entropy of the class.

        No weight is in both, so that their sum trains either network as if it were alone.
        See `pipeline.method.training.single.Learner`.
        """
        reconstructed = self.autoencoder.decode(self.autoencoder.encode(images))
        reconstruction = functional.mse_loss(reconstructed.float(), images)
        logits = self.classifier(images).float()
        classification = functional.binary_cross_entropy_with_logits(logits, labels.float())
        return {
            "loss": reconstruction + classification,
            "reconstruction": reconstruction,
            "classification": classification,
        }

    def forward(self, x1: Tensor) -> Explanation:
        """Explain diseased images `x1` of shape (N, 1, *spatial).

        The shift is the first, of `steps` ever longer ones, that brings the probability of the
        disease down to `target`; or the last before it rises. What it changes in the reconstruction
        is added to the image, so that what the autoencoder loses is no change.
        """
        with torch.enable_grad():
            latent = self.autoencoder.encode(x1).detach().requires_grad_()
            start = self.autoencoder.decode(latent)
            logits = self.classifier(start)
            (gradient,) = torch.autograd.grad(logits.sum(), latent)
        with torch.no_grad():
            shifted, lowest = start, logits
            going = torch.ones_like(logits, dtype=torch.bool)
            way = -gradient * _length(latent) / _length(gradient).clamp_min(1e-12)
            for step in range(1, self.steps + 1):
                candidate = self.autoencoder.decode(
                    latent + self.max_shift * step / self.steps * way
                )
                logits = self.classifier(candidate)
                going = going & (logits < lowest)
                shifted = torch.where(_each(going, candidate), candidate, shifted)
                lowest = torch.where(going, logits, lowest)
                going = going & (lowest.sigmoid() > self.target)
            return Explanation((x1 + (shifted - start)).clamp(-1, 1), None)


def build_autoencoder(
    dimensions: int, base_filters: int, poolings: int, latent_channels: int
) -> AutoEncoder:
    """MONAI's convolutional autoencoder, untrained.

    The width doubles with each of `poolings` halvings, of which the last leaves the latent with
    `latent_channels`.
    """
    return AutoEncoder(
        spatial_dims=dimensions,
        in_channels=1,
        out_channels=1,
        channels=[*(base_filters * 2**level for level in range(poolings)), latent_channels],
        strides=[1] + [2] * poolings,
        num_res_units=1,
        norm="batch",
    )


def build_shifter(
    *,
    method: str,
    dimensions: int,
    base_filters: int,
    poolings: int,
    latent_channels: int,
    steps: int,
    max_shift: float,
    target: float,
) -> Shifter:
    """A `Shifter` of untrained networks; see there and `build_autoencoder`."""
    return Shifter(
        method=method,
        autoencoder=build_autoencoder(dimensions, base_filters, poolings, latent_channels),
        classifier=Classifier(dimensions, base_filters),
        dimensions=dimensions,
        steps=steps,
        max_shift=max_shift,
        target=target,
    )


def _each(values: Tensor, like: Tensor) -> Tensor:
    """One value (N,) for each image, to be spread over the image."""
    return values.view(-1, *[1] * (like.dim() - 1))


def _length(latent: Tensor) -> Tensor:
    """Euclidean length of each latent."""
    return _each(latent.flatten(1).norm(dim=1), latent)
