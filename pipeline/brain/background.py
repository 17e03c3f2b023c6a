"""Voxels that are NaN outside the head, as programs write them that resample or mask a scan."""

import numpy as np
from scipy import ndimage

# Wide enough for a gap between head and image border, too narrow for any between ear and head.
BALL_MM = 10.0
# NaN this far from where a ball can be is a cut through the head, not a fold of its surface.
DEPTH_MM = 20.0
GRID_MM = 2.0  # on which balls are moved


def background(missing: np.ndarray, voxel_mm: np.ndarray) -> np.ndarray:
    """Which of the missing voxels are background.

    They are joined to the border of the image, and lie near where a ball of 10 mm can come from
    outside. So holes in the head are none, nor are missing slices, nor cuts into the brain.

    Parameters
    ----------
    missing
        Boolean array (x, y, z).
    voxel_mm
        Size of the voxels along the axes.

    Returns
    -------
    numpy.ndarray
        Boolean, of the shape of `missing`.
    """
    from skimage.measure import block_reduce  # slow to load, and few volumes come here

    labels, count = ndimage.label(missing)
    outside = np.zeros(count + 1, dtype=bool)
    for axis in range(3):
        for side in (0, -1):
            outside[np.unique(np.take(labels, side, axis))] = True
    outside[0] = False  # what is not missing
    outside = outside[labels]
    steps = tuple(max(1, round(GRID_MM / size)) for size in voxel_mm)
    deep = _deep(block_reduce(outside, steps, np.max), voxel_mm * steps)
    for axis, step in enumerate(steps):
        deep = np.repeat(deep, step, axis)
    return outside & ~deep[tuple(map(slice, missing.shape))]


def _deep(outside: np.ndarray, voxel_mm: np.ndarray) -> np.ndarray:
    """What lies deeper than `DEPTH_MM` behind the room in which a ball can be."""
    margin = [(int(BALL_MM / size) + 2,) * 2 for size in voxel_mm]
    room = np.pad(outside, margin, constant_values=True)
    centres = ndimage.distance_transform_edt(room, voxel_mm) > BALL_MM
    reached = ndimage.distance_transform_edt(~centres, voxel_mm) <= BALL_MM
    deep = ndimage.distance_transform_edt(~reached, voxel_mm) > DEPTH_MM
    return deep[tuple(slice(before, -after) for before, after in margin)]
