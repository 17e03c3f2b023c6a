"""Spatial deformation of images by displacement fields (paper, Eq. 1), and by flows."""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

SQUARINGS = 7


@lru_cache(maxsize=8)
def _identity_grid(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Voxel coordinates (1, *shape, d), the coordinate along the last array axis first."""
    axes = [torch.arange(size, dtype=dtype, device=device) for size in shape]
    coordinates = torch.meshgrid(*axes, indexing="ij")
    return torch.stack(coordinates[::-1], dim=-1).unsqueeze(0)


@lru_cache(maxsize=8)
def _unit(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """A voxel (d,) where the first and the last one are 2 apart, in the order of the grid."""
    extent = [max(size - 1, 1) for size in reversed(shape)]
    return 2 / torch.tensor(extent, dtype=dtype, device=device)


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
    if phi.shape[1] != x1.dim() - 2 or phi.shape[2:] != x1.shape[2:]:
        raise ValueError(f"a field of shape {tuple(phi.shape)} for images of {tuple(x1.shape)}")
    return _sample(x1, phi, "zeros")


def exponential(velocity: Tensor, squarings: int = SQUARINGS) -> Tensor:
    """Displacement of the flow of a stationary velocity field after unit time.

    Scaling and squaring (Arsigny et al., MICCAI 2006): the flow after the time ``1 / 2^n`` is
    composed with itself, and what comes out again, n times. The flow of ``-v`` is the inverse map.
    Outside the grid the field keeps the value at the edge, so that the flow is continuous there.

    Parameters
    ----------
    velocity : Tensor, shape (N, d, *spatial)
        In voxels a unit of time; channels as of `warp`.
    squarings : int
        n.

    Returns
    -------
    Tensor, shape (N, d, *spatial)
        phi of Eq. 1 in voxels.
    """
    step = velocity / 2**squarings
    # Midpoint rule: the errors of plain steps along v and -v do not cancel, and each squaring
    # doubles them.
    phi = _sample(step, step / 2, "border")
    for _ in range(squarings):
        phi = phi + _sample(phi, phi, "border")
    return phi


def _sample(values: Tensor, phi: Tensor, outside: str) -> Tensor:
    """Values (N, channels, *spatial) at ``p + phi(p)``, bi- or trilinear."""
    shape = tuple(values.shape[2:])
    kept = shape, values.dtype, values.device
    positions = _identity_grid(*kept) + phi.movedim(1, -1)
    # grid_sample wants -1 and 1 at the centres of the first and last voxel (align_corners=True).
    return functional.grid_sample(
        values, positions * _unit(*kept) - 1, padding_mode=outside, align_corners=True
    )
