"""The grid and the intensities that the networks see.

Linear resampling to isotropic voxels, a centred crop or padding to the wanted shape, then the 5th
and 95th percentile of the whole volume become -1 and 1, and values beyond are clipped. More than
5 % of the volume is background, so the background becomes -1.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy
from scipy.ndimage import affine_transform, gaussian_filter

from pipeline.brain.volume import load_volume, save_volume
from pipeline.geometry.affine import voxel_sizes
from pipeline.stage.errors import ImageError
from pipeline.stage.rules import Rule

PERCENTILES = (5.0, 95.0)
# Voxels larger than this times the source's are averages, not samples, or thin structures alias.
LARGEST_PLAIN_STEP = 1.5
FWHM_PER_SIGMA = np.sqrt(8 * np.log(2))


def resample_to_grid(
    source: Path, destination: Path, *, voxel_mm: float, shape: Sequence[int]
) -> dict:
    """Resample a brain to the training grid and scale its intensities.

    Parameters
    ----------
    source
        Brain in the template's space, 0 outside.
    destination
        float32 volume in [-1, 1] of the wanted shape; its affine maps voxel index to the template's
        RAS mm, and the centres of both fields of view coincide.
    voxel_mm
        Voxel size (the paper's: 1.3). Above 1.5 times the source's, a Gaussian with the full width
        at half maximum that separates the two resolutions is applied before sampling; the
        background stays 0.
    shape
        Voxels along x, y and z (the paper's: 128, 160, 112).

    Returns
    -------
    dict
        Engine, version, the two percentiles, and whether the source was smoothed.

    Raises
    ------
    ImageError
        The brain fills so little of the grid that the percentiles coincide.
    """
    data, affine = load_volume(source)
    step = voxel_mm / voxel_sizes(affine)
    smoothed = bool(np.any(step > LARGEST_PLAIN_STEP))
    if smoothed:
        brain = (data != 0).astype(np.uint8)
        fwhm = np.sqrt(np.maximum(step**2 - 1, 0))
        data = gaussian_filter(data, fwhm / FWHM_PER_SIGMA, mode="constant")
    offset = (np.array(data.shape) - 1) / 2 - step * (np.array(shape) - 1) / 2
    volume = affine_transform(data, np.diag(step), offset, output_shape=tuple(shape), order=1)
    if smoothed:
        # The Gaussian's tails must not turn background into brain.
        inside = affine_transform(brain, np.diag(step), offset, output_shape=tuple(shape), order=0)
        volume[inside == 0] = 0
    low, high = np.percentile(volume, PERCENTILES)
    if not high > low:
        raise ImageError(
            Rule.NO_CONTENT, "the brain fills too little of the grid to scale its intensities"
        )
    scaled = np.clip((volume - low) / (high - low) * 2 - 1, -1, 1)
    grid = affine.copy()
    grid[:3, :3] = affine[:3, :3] * step
    grid[:3, 3] += affine[:3, :3] @ offset
    save_volume(scaled, grid, destination)
    return {
        "engine": "scipy affine_transform",
        "version": scipy.__version__,
        "percentiles": [float(low), float(high)],
        "smoothed": smoothed,
    }
