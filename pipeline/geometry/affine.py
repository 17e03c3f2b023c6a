"""Affines: 4x4 matrices from voxel index to RAS mm."""

import numpy as np


def voxel_sizes(affine: np.ndarray) -> np.ndarray:
    """Voxel sizes in mm of a 4x4 affine."""
    return np.linalg.norm(affine[:3, :3], axis=0)
