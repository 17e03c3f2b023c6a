"""Pictures out of images and fields: films as they are, volumes (x, y, z) in three planes."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Plane:
    """A plane through a volume, seen with the head up (axial: with the front of the head up).

    Attributes
    ----------
    name
        ``sagittal``, ``coronal`` or ``axial``.
    across
        Axis of the volume that the plane cuts.
    right, up
        Axes that run rightwards and upwards in the picture.
    sides
        What is left and right, up and down in the picture, for RAS volumes.
    """

    name: str
    across: int
    right: int
    up: int
    sides: str

    def picture(self, volume: np.ndarray, level: int) -> np.ndarray:
        """Plane `level` of a volume as rows from the top and columns from the left."""
        return np.take(volume, level, axis=self.across).T[::-1]

    def arrows(self, phi: np.ndarray, level: int) -> tuple[np.ndarray, np.ndarray]:
        """Displacements rightwards and downwards in the picture, from a field (3, x, y, z)."""
        # Channel 0 runs along z, 1 along y and 2 along x.
        right, up = phi[2 - self.right], phi[2 - self.up]
        return self.picture(right, level), -self.picture(up, level)


PLANES = (
    Plane("sagittal", across=0, right=1, up=2, sides="PASI"),
    Plane("coronal", across=1, right=0, up=2, sides="LRSI"),
    Plane("axial", across=2, right=0, up=1, sides="LRAP"),
)
