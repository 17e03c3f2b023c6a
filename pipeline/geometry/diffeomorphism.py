"""Smooth invertible deformations on a regular grid, in two or three dimensions.

A field is an array `(d, *shape)`: component `i` is the displacement along array axis `i`, in grid
steps. The map of a field `u` takes the grid position `p` to `p + u(p)`; between grid points it is
interpolated linearly, outside the grid it keeps the value at the edge. Resampling an image by the
map, `image(p + u(p))`, therefore moves what is seen by about `-u`.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage


def grid_positions(shape: tuple[int, ...]) -> np.ndarray:
    """Index coordinates of every point of a grid, `(d, *shape)`, float32."""
    return np.indices(shape, dtype=np.float32)


def sample_field(field: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Interpolate a field linearly.

    Parameters
    ----------
    field
        Array `(channels, *shape)`, finite; any number of channels.
    positions
        Grid coordinates `(d, ...)`, finite, in steps of the field's grid.

    Returns
    -------
    numpy.ndarray
        Array `(channels, ...)`, float32.
    """
    # Where nothing near moves, as in most of the grid of a local deformation, the value is 0, and
    # interpolating that would be most of the time.
    near = _near_any(field, positions)
    nearby = positions[:, near]
    sampled = np.zeros((len(field), *positions.shape[1:]), np.float32)
    for values, channel in zip(sampled, field, strict=True):
        values[near] = ndimage.map_coordinates(channel, nearby, np.float32, order=1, mode="nearest")
    return sampled


def _near_any(field: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Which positions lie at the box that holds all of the field that is not 0."""
    boxes = ndimage.find_objects(field.any(axis=0).astype(np.uint8))
    near = np.full(positions.shape[1:], bool(boxes))
    for box in boxes:  # one, or none
        for where, extent, size in zip(positions, box, field.shape[1:], strict=True):
            # Beyond the grid the value at its edge counts.
            if extent.start > 0:
                near &= where > extent.start - 1
            if extent.stop < size:
                near &= where < extent.stop
    return near


def random_velocity(
    shape: tuple[int, ...], *, rng: np.random.Generator, amplitude: float, smoothness: float
) -> np.ndarray:
    """Draw a smooth random stationary velocity field.

    Parameters
    ----------
    shape
        Grid of the field.
    rng
        Source of the randomness.
    amplitude
        Root mean square of each component, in grid steps.
    smoothness
        Standard deviation of the Gaussian that smooths the noise, in grid steps.

    Returns
    -------
    numpy.ndarray
        Velocity `(d, *shape)`, float32.
    """
    noise = rng.standard_normal((len(shape), *shape), dtype=np.float32)
    velocity = np.stack([ndimage.gaussian_filter(component, smoothness) for component in noise])
    axes = tuple(range(1, velocity.ndim))
    return velocity * (amplitude / np.sqrt(np.mean(velocity**2, axis=axes, keepdims=True)))


def integrate(velocity: np.ndarray, *, largest_step: float = 0.25) -> np.ndarray:
    """Displacement of the flow of a stationary velocity field after unit time.

    Scaling and squaring (Arsigny et al., MICCAI 2006): the velocity is halved until no step exceeds
    `largest_step` grid steps, and the small map is then composed with itself as many times. The
    flow of `-velocity` is the inverse map.

    Parameters
    ----------
    velocity
        Velocity `(d, *shape)`, in grid steps.
    largest_step
        Bound of the first, unsquared displacement, in grid steps.

    Returns
    -------
    numpy.ndarray
        Displacement `(d, *shape)`, float32.
    """
    largest = float(np.abs(velocity).max())
    if largest == 0:
        return np.zeros(velocity.shape, np.float32)
    squarings = int(np.ceil(np.log2(largest / largest_step))) if largest > largest_step else 0
    step = np.asarray(velocity, np.float32) / 2**squarings
    # Midpoint rule: the error of a plain Euler step would double with every squaring.
    displacement = compose(step, step / 2) - step / 2
    for _ in range(squarings):
        displacement = compose(displacement, displacement)
    return displacement


def compose(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Displacement of the map `p -> outer(inner(p))`; both fields on the same grid."""
    return inner + sample_field(outer, grid_positions(inner.shape[1:]) + inner)


def invert(
    displacement: np.ndarray, *, tolerance: float = 1e-3, iterations: int = 200
) -> np.ndarray:
    """Displacement of the inverse map, by fixed-point iteration.

    The inverse `w` fulfils `w(p) = -u(p + w(p))` (Chen et al., Medical Physics 2008). It leaves the
    grid where the map itself does; there the field's edge value counts.

    Parameters
    ----------
    displacement
        Displacement `(d, *shape)`, in grid steps.
    tolerance
        Largest change of the last iteration, in grid steps.
    iterations
        Iterations after which to give up.

    Returns
    -------
    numpy.ndarray
        Displacement `(d, *shape)`, float32.

    Raises
    ------
    ValueError
        If the iteration does not settle: the map folds or is too steep.
    """
    positions = grid_positions(displacement.shape[1:])
    inverse = -displacement.astype(np.float32)
    for _ in range(iterations):
        # Half steps: also settle where the field expands by more than a factor of two.
        change = (-sample_field(displacement, positions + inverse) - inverse) / 2
        inverse = inverse + change
        if np.abs(change).max() < tolerance / 2:
            return inverse
    raise ValueError("the displacement field cannot be inverted: it folds or is too steep")


def jacobian_determinant(displacement: np.ndarray, *, spacing: ArrayLike = 1.0) -> np.ndarray:
    """Local change of volume of the map, by central differences.

    Parameters
    ----------
    displacement
        Displacement `(d, *shape)`.
    spacing
        Distance of the grid points in the displacement's unit, one number or one an axis.

    Returns
    -------
    numpy.ndarray
        Determinant `shape`; positive everywhere where the map does not fold.
    """
    dimensions = len(displacement)
    steps = np.broadcast_to(np.asarray(spacing, float), dimensions)
    gradient = np.stack([np.stack(np.gradient(component, *steps)) for component in displacement])
    return np.linalg.det(np.moveaxis(gradient, (0, 1), (-2, -1)) + np.eye(dimensions))
