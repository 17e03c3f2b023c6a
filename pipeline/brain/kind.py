"""What a volume shows by its grey values alone, where it is no T1 scan of a whole head."""

import numpy as np

from pipeline.brain.volume import litres
from pipeline.stage.errors import ImageError
from pipeline.stage.rules import Rule

AIR_HU = (-1100, -900)  # air in a CT, in Hounsfield units
LEAST_AIR = 0.05  # share of a CT; MRI has no such values, but where it was scaled by chance
BONE_HU = 300
# A head with skull and neck takes more, an adult's brain less.
LARGEST_BRAIN_LITRES = 2.2
LEAST_BACKGROUND = 0.5  # share of voxels that are exactly 0 around a brain without skull


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


def is_skull_stripped(data: np.ndarray, affine: np.ndarray) -> bool:
    """Whether a volume holds a brain alone: zeros, and no more tissue than an adult's brain."""
    tissue = data != 0
    return tissue.mean() < 1 - LEAST_BACKGROUND and litres(tissue, affine) < LARGEST_BRAIN_LITRES
