"""The U-Net of the generators.

Module names are those of the authors' published implementation, so that its weights load as
they are.
"""

from collections.abc import Mapping, Sequence
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from pipeline.method.interface import Explainer
from pipeline.method.training.settings import Variant
from pipeline.stage.errors import InputError

DESIRED_CLASS = 0
GIVEN_CLASS = 1


class UNet(nn.Module):
    """U-Net, in one of two variants.

    ``plain`` is that of the paper's code: it knows which class an image has and which is wanted.
    ``original`` is that of VA-GAN's own code. It knows no classes; it upsamples by transposed
    convolutions of 4x4(x4) with stride 2, each of which leaves `base_filters` channels; its last
    convolution has no batch norm, the others no biases; and batch norms start with a weight of 1.
    The first weights have that code's standard deviation; it cuts the normal distribution at two
    of them, which is left out here.

    Parameters
    ----------
    dimensions : {2, 3}
        Of the images.
    outputs : int
        Channels of the output.
    base_filters : int
        Channels at full resolution (paper: 64 for films, 16 for volumes).
    poolings : int
        Halvings of the resolution (paper: 4 for films, 3 for volumes).
    variant : {"plain", "original"}
        Others are ``plain`` here.
    """

    def __init__(
        self, *, dimensions: int, outputs: int, base_filters: int, poolings: int, variant: Variant
    ) -> None:
        super().__init__()
        self.dimensions, self.poolings, self.variant = dimensions, poolings, variant
        original = variant == "original"
        widths = [base_filters * 2**level for level in range(poolings + 1)]

        blocks = _Blocks(dimensions, original)
        pool = _layer("MaxPool", dimensions)
        self.down0 = nn.Sequential(*blocks.double(1, widths[0], widths[0]))
        for level in range(1, poolings):
            double = blocks.double(widths[level - 1], widths[level], widths[level])
            self.add_module(f"down{level}", nn.Sequential(pool(2), *double))
        self.pool = pool(2)
        # Three constant channels tell the desired class, the given class and their difference.
        classes = 0 if original else 3
        self.bottleneck = nn.Sequential(
            *blocks.double(widths[-2] + classes, widths[-1], widths[-1])
        )
        for level in range(poolings, 0, -1):
            skipped, wide = widths[level - 1], widths[level]
            upsampled = base_filters if original else skipped
            self.add_module(f"up{level}", blocks.upsampling(wide, upsampled))
            merged = upsampled + skipped
            if level > 1:
                double = blocks.double(merged, skipped, skipped)
            else:
                double = [blocks.single(merged, skipped), blocks.last(skipped, outputs)]
            self.add_module(f"conv{8 - level}", nn.Sequential(*double))
        self.apply(initialise_convolution if original else _initialise)

    def forward(self, x1: Tensor) -> Tensor:
        """Output (N, outputs, *spatial) of diseased images `x1` (N, 1, *spatial)."""
        check_halvings(x1.shape[2:], self.poolings)
        features, skips = x1, []
        for level in range(self.poolings):
            features = self.get_submodule(f"down{level}")(features)
            skips.append(features)
        features = self.pool(features)
        if self.variant != "original":
            features = torch.cat([features, _classes(features)], dim=1)
        features = self.bottleneck(features)
        for level in range(self.poolings, 0, -1):
            upsampled = self.get_submodule(f"up{level}")(features)
            merged = torch.cat([upsampled, skips[level - 1]], dim=1)
            features = self.get_submodule(f"conv{8 - level}")(merged)
        return features


def check_halvings(shape: Sequence[int], poolings: int) -> None:
    """Whether images of a shape can be halved so often.

    Raises
    ------
    InputError
        If they cannot.
    """
    if any(size % 2**poolings for size in shape):
        raise InputError(
            f"images of {tuple(shape)} cannot be halved {poolings} times: choose a grid whose "
            f"sizes are multiples of {2**poolings}, or fewer `poolings`"
        )


def _classes(features: Tensor) -> Tensor:
    """Constant channels (N, 3, *spatial) beside `features` (N, channels, *spatial)."""
    spatial = features.shape[2:]
    classes = _class_values(features.dtype, features.device)
    return classes.view(1, 3, *[1] * len(spatial)).expand(len(features), 3, *spatial)


@cache  # a tensor made of numbers makes a GPU wait
def _class_values(dtype: torch.dtype, device: torch.device) -> Tensor:
    values = [DESIRED_CLASS, GIVEN_CLASS, GIVEN_CLASS - DESIRED_CLASS]
    return torch.tensor(values, dtype=dtype, device=device)


def _layer(kind: str, dimensions: int) -> type[nn.Module]:
    return getattr(nn, f"{kind}{dimensions}d")


class _Blocks:
    """Makes the parts of a U-Net of some dimensions, of either variant."""

    def __init__(self, dimensions: int, original: bool) -> None:
        self.dimensions, self.original = dimensions, original

    def _convolution(self, inputs: int, outputs: int, bias: bool) -> nn.Module:
        convolution = _layer("Conv", self.dimensions)
        return convolution(inputs, outputs, kernel_size=3, padding=1, bias=bias)

    def _norm(self, channels: int) -> nn.Module:
        return _layer("BatchNorm", self.dimensions)(channels, eps=1e-3, momentum=0.01)

    def single(self, inputs: int, outputs: int) -> nn.Sequential:
        """Convolution, batch norm, ReLU."""
        convolution = self._convolution(inputs, outputs, bias=not self.original)
        return nn.Sequential(convolution, self._norm(outputs), nn.ReLU())

    def double(self, inputs: int, middle: int, outputs: int) -> list[nn.Module]:
        """Twice convolution, batch norm, ReLU."""
        return [self.single(inputs, middle), self.single(middle, outputs)]

    def last(self, inputs: int, outputs: int) -> nn.Sequential:
        """A convolution that no ReLU follows; and no batch norm in the original variant."""
        convolution = self._convolution(inputs, outputs, bias=True)
        return nn.Sequential(convolution, *([] if self.original else [self._norm(outputs)]))

    def upsampling(self, inputs: int, outputs: int) -> nn.Sequential:
        """Twice the resolution, batch norm, ReLU."""
        if self.original:
            transposed = _layer("ConvTranspose", self.dimensions)
            up = transposed(inputs, outputs, kernel_size=4, stride=2, padding=1, bias=False)
        else:
            mode = {2: "bilinear", 3: "trilinear"}[self.dimensions]
            upsample = nn.Upsample(scale_factor=2, mode=mode, align_corners=True)
            up = nn.Sequential(upsample, self._convolution(inputs, outputs, bias=True))
        return nn.Sequential(up, self._norm(outputs), nn.ReLU())


def initialise_convolution(module: nn.Module) -> None:
    """Kaiming's normal distribution and biases of 0, if `module` is a convolution."""
    if isinstance(module, _ConvNd):
        nn.init.kaiming_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _initialise(module: nn.Module) -> None:
    initialise_convolution(module)
    # Small batch-norm weights make a new generator start near the identity, which training needs.
    if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
        nn.init.normal_(module.weight, mean=0.1, std=0.01)


def load_reference_weights(module: nn.Module | Explainer, weights: Mapping[str, Tensor]) -> None:
    """Load weights that carry the state-dict names of the authors' implementation.

    Works for `UNet` and for `pipeline.method.critic.VolumeCritic`.

    Raises
    ------
    InputError
        If names or shapes are not those of `module`.
    """
    try:
        module.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise InputError(f"the weights do not fit the network: {error}") from error
