"""What a volume shows by its grey values alone, where it is no T1 scan of a whole head."""

import numpy as np

from pipeline.brain.skull import can_be_brain
from pipeline.geometry.affine import voxel_sizes
from pipeline.stage.errors import ImageError
from pipeline.stage.rules import Rule

AIR_HU = (-1100, -900)  # air in a CT, in Hounsfield units
LEAST_AIR = 0.05  # share of a CT; MRI has no such values, but where it was scaled by chance
BONE_HU = 300
# Under the crown of a head lie scalp, skull and brain: bright, dark, bright. The columns of voxels
# that end within 40 mm of its top are followed downwards, if the field of view does not cut them.
CROWN_MM = 40.0
MOST_CUT = 0.5  # share of them that may begin at the border of the field of view
SURFACE = 0.1  # of the brightest; what is darker is air
BRAIN_MM = (20.0, 30.0)  # where brain lies below the surface
# By which it gets darker on the way, of the brightness of that brain. Under a scalp 0.3 to 3,
# without one at most 0.08, even where the mask is 9 mm too wide (docs/prepared.md).
SKULL_DARKER = 0.25


def check_kind(data: np.ndarray) -> None:
    """Refuse a volume that cannot be an MRI scan.

    Parameters
    ----------
    data
        Array (x, y, z), finite and not all the same.

    Raises
    ------
    ImageError
        It is a mask or a CT.
    """
    least, most = data.min(), data.max()
    if np.all((data == least) | (data == most)):
        raise ImageError(Rule.WRONG_KIND, "two values alone: a mask; give the scan itself")
    if least <= AIR_HU[1] and most >= BONE_HU:
        air = np.count_nonzero((data >= AIR_HU[0]) & (data <= AIR_HU[1])) / data.size
        if air >= LEAST_AIR:
            reason = f"{air:.0%} of the voxels are air in Hounsfield units: a CT; give a T1 MRI"
            raise ImageError(Rule.WRONG_KIND, reason)


def border_value(data: np.ndarray) -> float:
    """The value that most voxels of the border of a volume (x, y, z) have: its background."""
    border = [np.take(data, side, axis).ravel() for axis in range(3) for side in (0, -1)]
    values, counts = np.unique(np.concatenate(border), return_counts=True)
    return float(values[counts.argmax()])


def check_skull(data: np.ndarray, affine: np.ndarray) -> None:
    """Refuse a brain without its skull.

    It is one if what differs from the background has the size of a brain (`can_be_brain`), and no
    skull shows below its crown.

    Parameters
    ----------
    data
        Array (x, y, z) in RAS order, finite and not all the same.
    affine
        4x4 matrix from voxel index to RAS mm.

    Raises
    ------
    ImageError
        The skull is gone.
    """
    background = border_value(data)
    tissue = data != background
    if not can_be_brain(tissue, affine):
        return
    bright = np.where(tissue, data - min(background, data[tissue].min()), 0)
    if _darkening(bright, float(voxel_sizes(affine)[2])) < SKULL_DARKER:
        reason = "the skull is gone; give the original scan, or say prepared: skull_stripped"
        raise ImageError(Rule.WRONG_KIND, reason)


def _darkening(bright: np.ndarray, voxel_mm: float) -> float:
    """By how much it gets darker below the crown.

    Infinite where the field of view cuts most of that, or nothing lies below it.
    """
    downwards = bright[:, :, ::-1]
    inside = downwards > SURFACE * np.percentile(bright[bright > 0], 98)
    surface = inside.argmax(axis=2)
    columns = inside.any(axis=2)
    columns &= surface <= surface[columns].min() + CROWN_MM / voxel_mm
    cut = surface == 0
    if np.mean(cut[columns]) > MOST_CUT:
        return np.inf
    columns &= ~cut
    brain, last = (round(depth / voxel_mm) for depth in BRAIN_MM)
    ways = np.minimum(surface[columns][:, None] + np.arange(last), bright.shape[2] - 1)
    seen = np.median(np.take_along_axis(downwards[columns], ways, axis=1), axis=0)
    darker = np.maximum.accumulate(seen) - seen
    level = np.median(seen[brain:])
    return float(darker[:brain].max() / level) if level > 0 else np.inf
