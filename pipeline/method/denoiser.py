"""A diffusion model that knows the class of an image, and what it makes of a diseased one."""

from math import gcd

import torch
from monai.networks.nets.diffusion_model_unet import DiffusionModelUNet
from monai.networks.schedulers.ddim import DDIMScheduler
from torch import Tensor, nn
from torch.nn import functional

from pipeline.method.interface import Explanation

HEALTHY, DISEASED, NO_CLASS = range(3)
RES_BLOCKS = 2  # of a level (Sanchez et al. 2022)


def norm_groups(base_filters: int) -> int:
    """Groups of the group normalisation of networks whose widths are multiples of a width."""
    return gcd(base_filters, max(1, base_filters // 4))


class Denoiser(nn.Module):
    """Predicts the noise in an image of a class, and explains by taking a disease away.

    The network is MONAI's U-Net with time embedding. Its width grows by `base_filters` a level; on
    the lowest one attention has one head and looks at the class, too.

    Parameters
    ----------
    method : str
        Whose model it is.
    dimensions : {2, 3}
        Of the images.
    base_filters, poolings : int
        Channels at full resolution; halvings of the resolution.
    timesteps, class_dropout, steps, depth, guidance
        As the method's options have them.
    channels : int
        Of what is diffused: one of images.
    """

    ready = True  # for `pipeline.method.training.single.Learner`

    def __init__(
        self,
        *,
        method: str,
        dimensions: int,
        base_filters: int,
        poolings: int,
        timesteps: int,
        class_dropout: float,
        steps: int,
        depth: float,
        guidance: float,
        channels: int = 1,
    ) -> None:
        super().__init__()
        self.method, self.dimensions = method, dimensions
        self.class_dropout, self.guidance = class_dropout, guidance
        widths = [base_filters * level for level in range(1, poolings + 2)]
        self.classes = nn.Embedding(3, widths[-1])
        self.network = DiffusionModelUNet(
            spatial_dims=dimensions,
            in_channels=channels,
            out_channels=channels,
            num_res_blocks=RES_BLOCKS,
            channels=widths,
            attention_levels=[False] * poolings + [True],
            norm_num_groups=norm_groups(base_filters),
            num_head_channels=widths,
            with_conditioning=True,
            cross_attention_dim=widths[-1],
        )
        # Inversion is undone only where no estimate is cut off.
        self.scheduler = DDIMScheduler(num_train_timesteps=timesteps, clip_sample=False)
        self.scheduler.set_timesteps(steps)
        self._stride = timesteps // steps
        self._last = min(max(1, round(depth * steps)), (timesteps - 1) // self._stride)

    @property
    def evaluations(self) -> int:
        """Images that the network sees for one explanation."""
        return 3 * self._last

    def noise(self, images: Tensor, times: Tensor, classes: Tensor) -> Tensor:
        """Predicted noise in noisy images (N, channels, *spatial) of a time and class each (N,)."""
        return self.network(images, times, context=self.classes(classes).unsqueeze(1))

    def losses(self, images: Tensor, labels: Tensor, draws: torch.Generator) -> dict[str, Tensor]:
        """Mean squared error of the noise; see `pipeline.method.training.single.Learner`."""
        count, device = len(images), images.device
        times = torch.randint(self.scheduler.num_train_timesteps, (count,), generator=draws)
        noise = torch.randn(images.shape, generator=draws).to(device)
        hidden = (torch.rand(count, generator=draws) < self.class_dropout).to(device)
        noisy = self.scheduler.add_noise(images, noise, times)
        classes = labels.masked_fill(hidden, NO_CLASS)
        predicted = self.noise(noisy, times.to(device), classes)
        return {"loss": functional.mse_loss(predicted.float(), noise)}

    @torch.no_grad()
    def forward(self, x1: Tensor) -> Explanation:
        """Explain diseased images `x1` of shape (N, 1, *spatial)."""
        return Explanation(self.to_healthy(x1).clamp(-1, 1), None)

    def to_healthy(self, images: Tensor) -> Tensor:
        """Turn images into noise and back, guided to the healthy class."""
        return self.decode(self.encode(images, NO_CLASS), HEALTHY, self.guidance)

    def encode(self, images: Tensor, label: int) -> Tensor:
        """Turn images into noise, step by step without chance, as images of a class."""
        noisy = images
        for step in range(self._last):
            time = step * self._stride
            noise = self.noise(noisy, *self._at(noisy, time, label))
            noisy, _ = self.scheduler.reversed_step(noise, time, noisy)
        return noisy

    def decode(self, noisy: Tensor, label: int, guidance: float) -> Tensor:
        """Turn what `encode` made into images of a class, the way back.

        `guidance` is the factor on what the class changes in the noise: 1 means without guidance.
        """
        for step in range(self._last, 0, -1):
            time = step * self._stride
            pairs = zip(self._at(noisy, time, NO_CLASS), self._at(noisy, time, label), strict=True)
            times, classes = (torch.cat(pair) for pair in pairs)
            of_none, of_class = self.noise(torch.cat([noisy, noisy]), times, classes).chunk(2)
            noise = of_none + guidance * (of_class - of_none)
            noisy, _ = self.scheduler.step(noise, time, noisy)
        return noisy

    @staticmethod
    def _at(images: Tensor, time: int, label: int) -> tuple[Tensor, Tensor]:
        """A time and a class for each image."""
        times = torch.full((len(images),), time, device=images.device)
        return times, torch.full_like(times, label)
