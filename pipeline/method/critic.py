"""The critics: networks that score how much an image looks modified rather than healthy.

Both take images scaled to [-1, 1] and return one score per image. Neither has batch norms that
look at the batch, since the gradient penalty needs the score of an image to depend on it alone.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import ResNet
from torchvision.models.resnet import BasicBlock

from pipeline.method.training.settings import Variant
from pipeline.method.unet import initialise_convolution, load_reference_weights
from pipeline.method.weights import read_weights
from pipeline.stage.errors import InputError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_SD = (0.229, 0.224, 0.225)


class FilmCritic(nn.Module):
    """ResNet-18 with one output for images (N, 1, height, width).

    Its batch norms always use their running statistics, which come with the weights. With random
    weights they are mean 0 and variance 1, which leaves features as they are: the gradient of a
    new critic's score then has a norm of about 0.4, near the 1 that the penalty asks for.

    Parameters
    ----------
    base_filters : int
        Width of the first convolution (ResNet-18's own, and the paper's: 64).
    """

    def __init__(self, base_filters: int) -> None:
        super().__init__()
        self.network = _NarrowResNet18(base_filters)
        self.mean: Tensor
        self.sd: Tensor
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("sd", torch.tensor(IMAGENET_SD).view(1, 3, 1, 1), persistent=False)
        self.train(False)

    def train(self, mode: bool = True) -> "FilmCritic":
        """Keep evaluation mode, whatever `mode` is."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """Scores (N,) of images (N, 1, height, width) in [-1, 1]."""
        colour = (images / 2 + 0.5).expand(-1, 3, -1, -1)
        return self.network((colour - self.mean) / self.sd).squeeze(1)


class _NarrowResNet18(ResNet):
    """torchvision's ResNet-18, of any width and with one output."""

    conv1: nn.Conv2d

    def __init__(self, base_filters: int) -> None:
        super().__init__(BasicBlock, [2, 2, 2, 2], num_classes=1)
        if base_filters == self.conv1.out_channels:
            return
        self.inplanes = base_filters
        self.conv1 = nn.Conv2d(3, base_filters, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(base_filters)
        for level in range(4):
            stride = 1 if level == 0 else 2
            stage = self._make_layer(BasicBlock, base_filters * 2**level, 2, stride=stride)
            self.add_module(f"layer{level + 1}", stage)
        self.fc = nn.Linear(self.inplanes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # as torchvision does
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


class VolumeCritic(nn.Module):
    """Ten convolutions with four max-poolings for volumes (N, 1, *spatial).

    Module names are those of the authors' implementation. The score is the mean over the
    positions that the poolings leave. The first weights are PyTorch's own, as there: uniform with
    a standard deviation of ``1 / sqrt(3 fan_in)``, so that a new critic is nearly flat.

    Parameters
    ----------
    base_filters : int
        Width of the first convolution (paper: 16).
    variant : {"plain", "original"}
        ``original`` is the critic of VA-GAN's own code: it takes the images as they are, its last
        convolution has no border of zeros, and its first weights are of Kaiming's normal
        distribution, with biases of 0.
    """

    WIDTHS = (1, 2, 4, 4, 8, 8, 16, 16, 16)
    POOLED = (0, 1, 3, 5)  # convolutions that a max-pooling follows

    def __init__(self, base_filters: int, variant: Variant = "plain") -> None:
        super().__init__()
        self.original = variant == "original"
        inputs = 1
        layers: list[nn.Module] = []
        for index, width in enumerate(self.WIDTHS):
            convolution = nn.Conv3d(inputs, width * base_filters, kernel_size=3, padding=1)
            layers.append(nn.Sequential(convolution, nn.ReLU()))
            if index in self.POOLED:
                layers.append(nn.MaxPool3d(2))
            inputs = width * base_filters
        self.encoder = nn.Sequential(*layers)
        # Padded although 1x1x1, and nested ("classifier.0.0"), as in the published weights: the
        # border of zeros takes part in the mean, which damps the score on small grids.
        last = nn.Conv3d(inputs, 1, kernel_size=1, padding=0 if self.original else 1)
        self.classifier = nn.Sequential(nn.Sequential(last))
        if self.original:
            self.apply(initialise_convolution)

    def forward(self, images: Tensor) -> Tensor:
        """Scores (N,) of volumes (N, 1, *spatial) in [-1, 1]."""
        smallest = 2 ** len(self.POOLED)
        if min(images.shape[2:]) < smallest:
            raise InputError(
                f"volumes of {tuple(images.shape[2:])} are too small for the critic: every side of "
                f"the grid must have at least {smallest} voxels"
            )
        scaled = images if self.original else images / 2 + 0.5
        return self.classifier(self.encoder(scaled)).flatten(1).mean(1)


def build_critic(
    dimensions: int, weights: str, base_filters: int, variant: Variant = "plain"
) -> nn.Module:
    """Critic for images of two or three dimensions.

    Parameters
    ----------
    dimensions : {2, 3}
    weights : str
        ``random``, or a file of weights (see `pipeline.method.weights`): for films of a ResNet-18,
        whose last layer is left out.
    base_filters : int
        Width of the first convolution (paper: 64 for films, as the ImageNet weights want it, 16
        for volumes).
    variant : {"plain", "original"}
        Of a critic of volumes.

    Raises
    ------
    InputError
        If the weights cannot be had or do not fit.
    """
    critic = FilmCritic(base_filters) if dimensions == 2 else VolumeCritic(base_filters, variant)
    if weights == "random":
        return critic
    state = read_weights(Path(weights))
    if isinstance(critic, VolumeCritic):
        load_reference_weights(critic, state)
        return critic
    # One score instead of 1000 classes: the last layer starts at random.
    last = {name: w for name, w in critic.network.state_dict().items() if name.startswith("fc.")}
    load_reference_weights(critic.network, {**state, **last})
    return critic
