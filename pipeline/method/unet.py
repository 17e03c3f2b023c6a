"""The U-Net of the generators.

Module names are those of the authors' published implementation, so that its weights load as
they are.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pipeline.method.interface import Explainer
from pipeline.stage.errors import InputError

DESIRED_CLASS = 0
GIVEN_CLASS = 1


class UNet(nn.Module):
    """U-Net that knows which class an image has and which one is wanted.

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
    narrow : bool
        Whether every upsampling leaves `base_filters` channels, not those of its level.
    """

    def __init__(
        self, *, dimensions: int, outputs: int, base_filters: int, poolings: int, narrow: bool
    ) -> None:
        super().__init__()
        self.dimensions, self.poolings = dimensions, poolings
        widths = [base_filters * 2**level for level in range(poolings + 1)]

        pool = _layer("MaxPool", dimensions)
        self.down0 = nn.Sequential(*_double(dimensions, 1, widths[0], widths[0]))
        for level in range(1, poolings):
            blocks = _double(dimensions, widths[level - 1], widths[level], widths[level])
            self.add_module(f"down{level}", nn.Sequential(pool(2), *blocks))
        self.pool = pool(2)
        # Three constant channels tell the desired class, the given class and their difference.
        blocks = _double(dimensions, widths[-2] + 3, widths[-1], widths[-1])
        self.bottleneck = nn.Sequential(*blocks)
        for level in range(poolings, 0, -1):
            skipped, wide = widths[level - 1], widths[level]
            last = level == 1
            upsampled = base_filters if narrow else skipped
            self.add_module(f"up{level}", _upsampling(dimensions, wide, upsampled))
            merged, made = upsampled + skipped, outputs if last else skipped
            blocks = _double(dimensions, merged, skipped, made, relu=not last)
            self.add_module(f"conv{8 - level}", nn.Sequential(*blocks))
        self.apply(_initialise)

    def forward(self, x1: Tensor) -> Tensor:
        """Output (N, outputs, *spatial) of diseased images `x1` (N, 1, *spatial)."""
        if any(size % 2**self.poolings for size in x1.shape[2:]):
            raise InputError(
                f"images of {tuple(x1.shape[2:])} cannot be halved {self.poolings} times: choose "
                f"a grid whose sizes are multiples of {2**self.poolings}, or fewer `poolings`"
            )
        features, skips = x1, []
        for level in range(self.poolings):
            features = self.get_submodule(f"down{level}")(features)
            skips.append(features)
        features = self.pool(features)
        classes = features.new_tensor([DESIRED_CLASS, GIVEN_CLASS, GIVEN_CLASS - DESIRED_CLASS])
        spatial = features.shape[2:]
        constant = classes.view(1, 3, *[1] * len(spatial)).expand(len(features), 3, *spatial)
        features = self.bottleneck(torch.cat([features, constant], dim=1))
        for level in range(self.poolings, 0, -1):
            upsampled = self.get_submodule(f"up{level}")(features)
            merged = torch.cat([upsampled, skips[level - 1]], dim=1)
            features = self.get_submodule(f"conv{8 - level}")(merged)
        return features


def _layer(kind: str, dimensions: int) -> type[nn.Module]:
    return getattr(nn, f"{kind}{dimensions}d")


def _convolution(dimensions: int, inputs: int, outputs: int) -> nn.Module:
    return _layer("Conv", dimensions)(inputs, outputs, kernel_size=3, padding=1)


def _norm(dimensions: int, channels: int) -> nn.Module:
    return _layer("BatchNorm", dimensions)(channels, eps=1e-3, momentum=0.01)


def _double(
    dimensions: int, inputs: int, middle: int, outputs: int, relu: bool = True
) -> list[nn.Module]:
    """Twice convolution, batch norm, ReLU; the second ReLU only if `relu`."""
    first = [_convolution(dimensions, inputs, middle), _norm(dimensions, middle), nn.ReLU()]
    second = [_convolution(dimensions, middle, outputs), _norm(dimensions, outputs)]
    if relu:
        second.append(nn.ReLU())
    return [nn.Sequential(*first), nn.Sequential(*second)]


def _upsampling(dimensions: int, inputs: int, outputs: int) -> nn.Module:
    mode = {2: "bilinear", 3: "trilinear"}[dimensions]
    upsample = nn.Upsample(scale_factor=2, mode=mode, align_corners=True)
    convolution = nn.Sequential(upsample, _convolution(dimensions, inputs, outputs))
    return nn.Sequential(convolution, _norm(dimensions, outputs), nn.ReLU())


def _initialise(module: nn.Module) -> None:
    # Small batch-norm weights make a new generator start near the identity, which training needs.
    if isinstance(module, nn.Conv2d | nn.Conv3d):
        nn.init.kaiming_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
        nn.init.normal_(module.weight, mean=0.1, std=0.01)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


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
