"""A made-up head to simulate subjects from, made in a moment."""

import numpy as np
from scipy import ndimage

from pipeline.demo.anatomy import GRID_ORIGIN, GRID_SHAPE, GRID_SPACING, Anatomy

CENTRES = {
    "ventricle": ((12, 0, 10), 11),
    "medial temporal": ((25, -10, -18), 10),
    "lateral temporal": ((48, 0, -18), 12),
    "frontal": ((25, 45, 20), 14),
    "parietal": ((30, -35, 42), 13),
    "precuneus": ((10, -48, 30), 8),
    "occipital": ((18, -55, 0), 10),
}


def ball(centre, radius, shape=GRID_SHAPE, spacing=GRID_SPACING, origin=GRID_ORIGIN) -> np.ndarray:
    """Share of a ball, mm, in each point of a grid."""
    points = np.indices(shape) * spacing + np.reshape(origin, (3, 1, 1, 1))
    distance = np.linalg.norm(points - np.reshape(centre, (3, 1, 1, 1)), axis=0)
    return np.clip((radius - distance) / spacing + 0.5, 0, 1).astype(np.float32)


def made_up_anatomy() -> Anatomy:
    """A textured ball of a head with a ball of a brain, and balls of structures in it."""
    regions = {
        f"{side} {name}": ball((sign * x, y, z), radius)
        for name, ((x, y, z), radius) in CENTRES.items()
        for side, sign in (("left", -1), ("right", 1))
    }
    regions["brain"] = ball((0, 0, 0), 70)
    rng = np.random.default_rng(0)
    texture = ndimage.gaussian_filter(rng.standard_normal(GRID_SHAPE), 1.5)
    ventricles = regions["left ventricle"] + regions["right ventricle"]
    image = ball((0, 0, 0), 80) * (0.8 + texture) - 0.6 * ventricles
    affine = np.diag([GRID_SPACING] * 3 + [1.0])
    affine[:3, 3] = GRID_ORIGIN
    return Anatomy(np.clip(image, 0, 2).astype(np.float32), affine, regions)
