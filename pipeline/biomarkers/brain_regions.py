"""Volume, displacement and intensity by region of the brain and by tissue."""

import numpy as np
import torch
from skimage.filters import threshold_multiotsu

from pipeline.geometry.diffeomorphism import jacobian_determinant
from pipeline.method.deformation import warp

TISSUES = ("cerebrospinal fluid", "grey matter", "white matter")
BACKGROUND = -1.0


def tissue_shares(image: np.ndarray, phi: np.ndarray | None) -> dict[str, np.ndarray]:
    """Masks of the tissues of the modified image, told apart by intensity (multi-level Otsu).

    Parameters
    ----------
    image : array, shape (x, y, z)
        Diseased brain in [-1, 1], background -1.
    phi : array, shape (3, x, y, z), or None
        The field that modifies it; None leaves it as it is.

    Returns
    -------
    dict
        By tissue; empty where the brain has too few grey values to tell three tissues apart.
    """
    try:
        low, high = threshold_multiotsu(image[image > BACKGROUND], classes=len(TISSUES))
    except ValueError:  # of its histogram fewer bins are filled than there are tissues
        return {}
    if phi is not None:
        tensor = torch.from_numpy(np.ascontiguousarray(phi, np.float32))[None]
        image = warp(torch.from_numpy(np.array(image))[None, None], tensor)[0, 0].numpy()
    brain = image > BACKGROUND
    masks = (brain & (image <= low), (image > low) & (image <= high), image > high)
    return {name: mask.astype(float) for name, mask in zip(TISSUES, masks, strict=True)}


def measure_regions(
    difference: np.ndarray,
    phi: np.ndarray | None,
    shares: dict[str, np.ndarray],
    voxel_mm: float,
) -> list[dict]:
    """Measure a change by region.

    Parameters
    ----------
    difference : array, shape (x, y, z)
        Modified minus diseased image.
    phi : array, shape (3, x, y, z), or None
        Displacement field in voxels; None for a method without.
    shares : dict of array
        Share of each voxel in each region, already inside the mask of the pair.
    voxel_mm : float
        Side of a voxel.

    Returns
    -------
    list of dict
        Columns structure, measure, unit and value. *Volume change*: the mean Jacobian determinant
        over the region minus 1, which is the region's volume with the disease relative to that
        without (positive: larger in the disease). *Displacement*: mean length. *Difference*: mean,
        on the scale of the images, -1 to 1 (positive: the disease darkens).
    """
    rows = []
    if phi is not None:
        growth = 100 * (jacobian_determinant(phi[::-1]) - 1)
        length = voxel_mm * np.linalg.norm(phi, axis=0)
    for structure, share in shares.items():
        if not share.any():
            continue
        found = {("difference", "intensity"): difference}
        if phi is not None:
            found |= {("volume change", "%"): growth, ("displacement", "mm"): length}
        rows += [
            {
                "structure": structure,
                "measure": measure,
                "unit": unit,
                "value": float(np.average(values, weights=share)),
            }
            for (measure, unit), values in found.items()
        ]
    return rows
