"""``brainextractor``, the port of BET (Smith, Human Brain Mapping 17(3), 2002) to Python.

That is called BET-compatible, not BET: its threshold is not FSL's. FSL's fraction f is used as
f ** 0.275 with search depths of 7 and 3 mm, on voxels of 1 mm with a margin of zeros, without which
the surface leaves the array and the port crashes. FSL's ``-R`` repeats BET from a better centre; on
a stripped brain the first centre is the brain's already.

The port runs in a process of its own, since it can end in a segmentation fault.
"""

import sys

import nibabel as nib
import numpy as np
from nibabel.processing import resample_from_to

from pipeline.brain.external import mask_of_module
from pipeline.geometry.affine import voxel_sizes

MARGIN_MM = 35
# Depths, in mm, at which the surface looks inwards for the darkest and the brightest value.
DARKEST_DEPTH_MM = 7.0
BRIGHTEST_DEPTH_MM = 3.0


def port_threshold(fraction: float) -> float:
    """Threshold of the port that does what FSL's fraction does.

    Parameters
    ----------
    fraction
        FSL's fractional intensity threshold, 0..1.

    Returns
    -------
    float
        The port's ``bt``; 0.25 becomes 0.683.
    """
    return fraction**0.275


def find_brain(data: np.ndarray, affine: np.ndarray, fraction: float) -> np.ndarray:
    """What is within the port's surface, as a boolean array on the grid of `data`.

    Parameters
    ----------
    data, affine
        Stripped brain, array (x, y, z), and the 4x4 matrix from voxel index to RAS mm.
    fraction
        Fractional intensity threshold in FSL's terms.

    Raises
    ------
    ImageError
        The port failed or crashed.
    """
    head = nib.Nifti1Image(data, affine)
    padded = resample_from_to(head, _padded_grid(data.shape, affine), order=1)
    volume = np.asarray(padded.dataobj), padded.affine
    mask = mask_of_module("BET", __name__, *volume, str(port_threshold(fraction)))
    return np.asarray(resample_from_to(nib.Nifti1Image(*mask), head, order=0).dataobj) > 0


def _padded_grid(shape: tuple[int, ...], affine: np.ndarray) -> tuple[tuple[int, ...], np.ndarray]:
    """Grid of 1 mm around the field of view, with a margin."""
    sizes = voxel_sizes(affine)
    padded = tuple(np.ceil(shape * sizes).astype(int) + 2 * MARGIN_MM)
    grid = affine.copy()
    grid[:3, :3] = affine[:3, :3] / sizes
    # The first voxels keep their place, the margin lies before them.
    grid[:3, 3] -= grid[:3, :3] @ np.full(3, MARGIN_MM)
    return padded, grid


def main(head: str, mask: str, threshold: str) -> None:
    """The process: run the port on a 1 mm isotropic, zero-padded head and write its mask."""
    from brainextractor import BrainExtractor  # with numba and trimesh, which are slow to start

    extractor = BrainExtractor(
        nib.load(head), bt=float(threshold), d1=DARKEST_DEPTH_MM, d2=BRIGHTEST_DEPTH_MM
    )
    extractor.run()
    extractor.save_mask(mask)


if __name__ == "__main__":
    main(*sys.argv[1:])
