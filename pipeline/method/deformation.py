"""Spatial deformation of images by displacement fields (paper, Eq. 1)."""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional


@lru_cache(maxsize=8)
def _identity_grid(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Voxel coordinates (1, *shape, d), the coordinate along the last array axis first."""
    axes = [torch.arange(size, dtype=dtype, device=device) for size in shape]
    coordinates = torch.meshgrid(*axes, indexing="ij")
    return torch.stack(coordinates[::-1], dim=-1).unsqueeze(0)


def warp(x1: Tensor, phi: Tensor) -> Tensor:
    """Deform images: ``xhat0(p) = x1(p + phi(p))``, bi- or trilinear, 0 outside the grid.

    Parameters
    ----------
    x1 : Tensor, shape (N, 1, *spatial)
        Images of two or three dimensions.
    phi : Tensor, shape (N, d, *spatial)
        Displacements in voxels. Channel 0 displaces along the last array axis, channel 1 along
        the one before, channel 2 along the first.

    Returns
    -------
    Tensor, shape (N, 1, *spatial)
        The deformed images (Eq. 1).
    """
    shape = tuple(x1.shape[2:])
    if phi.shape[1] != len(shape) or phi.shape[2:] != x1.shape[2:]:
        raise ValueError(f"a field of shape {tuple(phi.shape)} for images of {tuple(x1.shape)}")
    positions = _identity_grid(shape, x1.dtype, x1.device) + phi.movedim(1, -1)
    # grid_sample wants -1 and 1 at the centres of the first and last voxel (align_corners=True).
    extent = positions.new_tensor([max(size - 1, 1) for size in reversed(shape)])
    return functional.grid_sample(
        x1, positions * (2 / extent) - 1, mode="bilinear", padding_mode="zeros", align_corners=True
    )
