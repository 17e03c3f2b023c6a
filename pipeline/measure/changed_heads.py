"""Heads changed on purpose: as other scanners and patients would show them, or at fault.

A change takes a `Head` and returns one. `GOOD` must be kept, `FAULTS` must be noticed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from itertools import product

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine
from nibabel.processing import resample_to_output
from scipy.ndimage import binary_dilation, binary_fill_holes, center_of_mass
from scipy.spatial.transform import Rotation

from pipeline.brain.packaged_heads import load_head, sample
from pipeline.geometry.affine import voxel_sizes

VOXEL_MM = 2.0
NECK_MM = 30.0  # below the middle of the brain begin cheeks and neck, outside the brain
MARGIN_MM = 5.0  # below the brain, that a cut leaves
MENINGES_MM = 10.0  # of skull and dura that a bad mask takes in
BACKGROUND = 0.1  # of the 99th percentile
TURN, MOVE_MM = 20.0, 30.0  # of the displaced copies


@dataclass(frozen=True)
class Head:
    """A head, its brain and where it came from.

    Attributes
    ----------
    data : array, shape (x, y, z)
        In RAS order, not negative.
    brain : array of bool, shape (x, y, z)
    affine : array, shape (4, 4)
        Voxel index -> RAS mm.
    origin : array, shape (4, 4)
        RAS mm -> RAS mm of the packaged head.
    """

    data: np.ndarray
    brain: np.ndarray
    affine: np.ndarray
    origin: np.ndarray

    @property
    def centre(self) -> np.ndarray:
        """Middle of the brain, RAS mm."""
        return apply_affine(self.affine, center_of_mass(self.brain))


Change = Callable[[Head], Head]


def packaged(name: str, voxel_mm: float = VOXEL_MM) -> Head:
    """A packaged head at a voxel size."""
    head, brain = map(nib.as_closest_canonical, load_head(name))
    head, brain = (
        resample_to_output(image, voxel_mm, order=order) for image, order in ((head, 1), (brain, 0))
    )
    data = np.maximum(head.get_fdata(dtype=np.float32), 0)
    return Head(data, np.asarray(brain.dataobj) > 0.5, head.affine, np.eye(4))


def outside(head: Head, *, factor: float, neck_alone: bool = False) -> Head:
    """Everything outside the brain, or only cheeks and neck, brighter or darker."""
    other = ~binary_dilation(head.brain)
    if neck_alone:
        highest = np.linalg.inv(head.affine) @ [*(head.centre - [0, 0, NECK_MM]), 1]
        other[:, :, max(0, round(highest[2])) :] = False
    return replace(head, data=np.where(other, factor * head.data, head.data))


def gamma(head: Head, *, exponent: float) -> Head:
    """Another contrast."""
    level = head.data.max()
    return replace(head, data=(head.data / level) ** exponent * level)


def cut_neck(head: Head) -> Head:
    """A field of view that ends below the brain."""
    lowest = np.flatnonzero(head.brain.any(axis=(0, 1)))[0]
    start = max(0, int(lowest - MARGIN_MM / voxel_sizes(head.affine)[2]))
    affine = head.affine.copy()
    affine[:3, 3] += start * head.affine[:3, 2]
    return replace(
        head, data=head.data[:, :, start:], brain=head.brain[:, :, start:], affine=affine
    )


def turned(head: Head, *, vector: Sequence[float]) -> Head:
    """A pose: the head turned about the middle of its brain by a rotation vector in degrees."""
    shape = np.array(head.data.shape)
    margin = (np.linalg.norm(shape) - shape).astype(int) // 8
    affine = head.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ margin
    back = _way_back(head, vector)
    data, brain = (
        sample(nib.Nifti1Image(values, head.affine), back, tuple(shape + 2 * margin), affine)
        for values in (head.data, head.brain.astype(np.float32))
    )
    return Head(data, brain > 0.5, affine, head.origin @ back)


def scaled(head: Head, *, factors: Sequence[float]) -> Head:
    """Other voxel sizes: a head of another size, or a header that is wrong."""
    scale = np.diag([*factors, 1.0])
    return replace(head, affine=scale @ head.affine, origin=head.origin @ np.linalg.inv(scale))


def flipped(head: Head, *, axes: Sequence[int]) -> Head:
    """Voxels flipped along axes under a header that stays."""
    mirror = np.eye(4)
    for axis in axes:
        mirror[axis, axis], mirror[axis, 3] = -1, head.data.shape[axis] - 1
    origin = head.origin @ head.affine @ mirror @ np.linalg.inv(head.affine)
    data, brain = (np.flip(values, axes) for values in (head.data, head.brain))
    return Head(data, brain, head.affine, origin)


def after(*changes: Change) -> Change:
    """Changes one after the other."""
    return lambda head: reduce(lambda changed, change: change(changed), changes, head)


def _unit(axis: int) -> np.ndarray:
    return np.eye(3)[axis]


GOOD: dict[str, Change] = {
    "as it is": lambda head: head,
    **{f"scalp ×{factor:g}": partial(outside, factor=factor) for factor in (0.5, 2, 4)},
    **{
        f"cheeks, neck ×{factor:g}": partial(outside, factor=factor, neck_alone=True)
        for factor in (0.5, 4)
    },
    **{f"gamma {exponent:g}": partial(gamma, exponent=exponent) for exponent in (0.5, 2)},
    **{
        f"scalp ×{factor:g}, gamma {exponent:g}": after(
            partial(outside, factor=factor), partial(gamma, exponent=exponent)
        )
        for factor, exponent in ((0.5, 0.5), (4, 2))
    },
    "neck cut": cut_neck,
    **{
        f"turned {angle:+d} about {'xyz'[axis]}": partial(turned, vector=angle * _unit(axis))
        for axis, angle in product(range(3), (30, -30))
    },
    "turned 30 obliquely": partial(turned, vector=30 / np.sqrt(3) * np.ones(3)),
    **{f"size ×{factor:g}": partial(scaled, factors=[factor] * 3) for factor in (0.9, 1.1)},
}
FAULTS: dict[str, Change] = {
    **{
        f"voxel sizes ×{factor:g}": partial(scaled, factors=[factor] * 3)
        for factor in (0.5, 0.8, 1.25, 2)
    },
    **{
        f"voxel size ×{factor:g} along z": partial(scaled, factors=[1, 1, factor])
        for factor in (0.5, 0.8, 1.25, 2)
    },
    **{
        f"flipped along {' and '.join('xyz'[axis] for axis in axes)}": partial(flipped, axes=axes)
        for axes in ((0,), (1,), (2,), (1, 2), (0, 2), (0, 1))
    },
}


def displacements() -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Rotation vectors (degrees) and shifts (mm): along each axis to either side, and obliquely."""
    oblique = [np.array([1, y, z]) / np.sqrt(3) for y, z in product((1, -1), repeat=2)]
    directions = [*(sign * _unit(axis) for axis, sign in product(range(3), (1, -1))), *oblique]
    still = np.zeros(3)
    return {
        f"turned by {TURN:g} degrees": [(TURN * direction, still) for direction in directions],
        f"moved by {MOVE_MM:g} mm": [(still, MOVE_MM * direction) for direction in directions],
    }


def displaced(head: Head, vector: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Data of a head, turned about the middle of its brain and moved, on its own grid."""
    back = _way_back(head, vector, shift)
    return sample(nib.Nifti1Image(head.data, head.affine), back, head.data.shape, head.affine)


def _way_back(
    head: Head, vector: Sequence[float] | np.ndarray, shift: float | np.ndarray = 0.0
) -> np.ndarray:
    """Where positions come from after a turn about the middle of the brain and a move: 4x4, mm."""
    back = np.eye(4)
    back[:3, :3] = Rotation.from_rotvec(vector, degrees=True).as_matrix().T
    back[:3, 3] = head.centre - back[:3, :3] @ (head.centre + shift)
    return back


def bad_masks(head: Head) -> dict[str, np.ndarray]:
    """What a skull stripping that failed would keep."""
    x, y, z = (round(at) for at in center_of_mass(head.brain))
    size = voxel_sizes(head.affine).min()
    tissue = binary_fill_holes(head.data > BACKGROUND * np.percentile(head.data, 99))

    def half(*part: slice) -> np.ndarray:
        mask = np.zeros_like(head.brain)
        mask[part] = head.brain[part]
        return mask

    whole = slice(None)
    around = binary_dilation(head.brain, iterations=round(MENINGES_MM / size))
    return {
        "left half": half(slice(x)),
        "front half": half(whole, slice(y, None)),
        "upper half": half(whole, whole, slice(z, None)),
        f"brain and {MENINGES_MM:g} mm around it": around & tissue,
        "whole head": tissue,
        "nothing": np.zeros_like(head.brain),
    }
