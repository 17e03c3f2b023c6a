"""Simulated heads: real anatomies, each subject's own shape, known atrophy and a simple scanner.

Frames, all in RAS millimetres. *Anatomy*: the packaged head, brain centre at 0. *Subject*: the
subject at the first visit, free of disease, `I(q) = anatomy(w(q))`, `w` a random diffeomorphism.
*Visit*: `I_v(q) = I(A(D(q)))`, disease `D` and ageing `A` being flows of known velocity fields.
*Scanner*: `S(s) = I_v(P^-1 s)` with the rigid pose `P`. Hence

    S(s + u(s)) with u(s) = P(D^-1(A^-1(P^-1 s))) - s   is the subject at the first visit,
    S(s + u(s)) with u(s) = P(D^-1(P^-1 s)) - s         is the aged subject without the disease,

both posed as the visit is.
"""

from dataclasses import dataclass

import nibabel as nib
import numpy as np
from scipy import fft, ndimage
from scipy.spatial.transform import Rotation

from pipeline.demo.anatomy import (
    GRID_ORIGIN,
    GRID_SHAPE,
    GRID_SPACING,
    SIDES,
    STRUCTURES,
    Anatomy,
)
from pipeline.geometry.diffeomorphism import integrate, random_velocity, sample_field

# The family of the disease: by structure, how often a side of it is affected. An affected side has
# a severity of its own. docs/demo.md has the sources.
CHANCES = {
    "ventricle": 0.4,
    "medial temporal": 0.4,
    "lateral temporal": 0.2,
    "frontal": 0.2,
    "parietal": 0.2,
    "precuneus": 0.15,
    "occipital": 0.1,
}
MILDEST = 0.4  # severity of an affected side, relative to the severest
# Ageing is the same for all and of both sides: the ventricles grow, and the whole cortex shrinks.
AGEING = {
    f"{side} {name}": 0.5 if name == "ventricle" else -0.5 for name in STRUCTURES for side in SIDES
}
# The scanner's field of view around its isocentre, in mm: empty above the head, neck below.
FIELD_OF_VIEW = np.array([[-100.0, 100.0], [-125.0, 125.0], [-140.0, 105.0]])
ORIENTATIONS = ("LPS", "LIP", "PSR", "PIR", "ASL", "LAS")


@dataclass(frozen=True)
class Subject:
    """A simulated person; fields live on the anatomy grid, in grid steps.

    Attributes
    ----------
    anatomy
        The packaged head behind this subject.
    shape
        Displacement of the map `w` from subject to anatomy.
    disease
        Velocity of the tissue, at most 1 mm; by the subject's own pattern.
    ageing
        Velocity of the tissue, at most 1 mm.
    contrast
        Exponent of the subject's intensities.
    """

    anatomy: Anatomy
    shape: np.ndarray
    disease: np.ndarray
    ageing: np.ndarray
    contrast: float


@dataclass(frozen=True)
class Visit:
    """A scan and its true displacement fields, in scanner space.

    Attributes
    ----------
    image
        What the scanner delivers, int16.
    total
        Field `u` (5D vector image, mm, RAS) that leads back to the subject at the first visit.
    disease
        Field that removes the disease alone.
    """

    image: nib.Nifti1Image
    total: nib.Nifti1Image
    disease: nib.Nifti1Image


def atrophy_velocity(regions: dict[str, np.ndarray], rates: dict[str, float]) -> np.ndarray:
    """Velocity of tissue whose regions grow or shrink at given rates.

    The velocity is the gradient of a potential whose Laplacian, which is the rate of change of
    volume, is given (Karacali & Davatzikos, IEEE TMI 2006); the rest of the brain makes up for the
    sum, so that the head keeps its size, and the velocity fades to 0 towards the skull.

    Parameters
    ----------
    regions
        Share of each region and of `brain` in every grid point, 0 to 1.
    rates
        Relative rate of change of volume by region.

    Returns
    -------
    numpy.ndarray
        Velocity in grid steps, scaled to a maximum of 1 mm.
    """
    rate = sum(value * ndimage.gaussian_filter(regions[name], 1) for name, value in rates.items())
    brain = ndimage.gaussian_filter(regions["brain"], 1)
    rate = rate - brain * (rate.sum() / brain.sum())
    frequencies = np.meshgrid(
        *[2 * np.pi * fft.fftfreq(size) for size in rate.shape[:2]],
        2 * np.pi * fft.rfftfreq(rate.shape[2]),
        indexing="ij",
    )
    squared = sum(frequency**2 for frequency in frequencies)
    squared[0, 0, 0] = 1
    potential = -fft.rfftn(rate) / squared
    velocity = np.stack(
        [fft.irfftn(1j * frequency * potential, rate.shape) for frequency in frequencies]
    )
    inside = ndimage.gaussian_filter(regions["brain"], 5 / GRID_SPACING)
    velocity *= np.clip((inside - 0.2) / 0.6, 0, 1)
    largest = np.sqrt((velocity**2).sum(axis=0).max())
    return (velocity / (largest * GRID_SPACING)).astype(np.float32)


def draw_pattern(rng: np.random.Generator) -> dict[str, float]:
    """Draw which regions a subject's disease affects, and how much.

    Returns
    -------
    dict of float
        Relative rate of change of volume by affected region, at least one: growth of ventricles is
        positive, loss of tissue negative.
    """
    pattern: dict[str, float] = {}
    while not pattern:
        for name, chance in CHANCES.items():
            for side in SIDES:
                affected, rate = rng.random() < chance, rng.uniform(MILDEST, 1)
                if affected:
                    pattern[f"{side} {name}"] = rate if name == "ventricle" else -rate
    return pattern


def make_subject(anatomy: Anatomy, *, rng: np.random.Generator, variation_mm: float) -> Subject:
    """Draw a person.

    Parameters
    ----------
    anatomy
        The head to start from.
    rng
        Source of the randomness.
    variation_mm
        Root mean square of each component of the subject's own deformation, in mm.
    """
    velocity = random_velocity(
        GRID_SHAPE, rng=rng, amplitude=variation_mm / GRID_SPACING, smoothness=20 / GRID_SPACING
    )
    # Head size, by axis: a velocity linear in the position is a scaling about the brain's centre.
    growth = rng.normal(0, 0.02, 3)
    for axis in range(3):
        position = np.arange(GRID_SHAPE[axis]) + GRID_ORIGIN[axis] / GRID_SPACING
        velocity[axis] += growth[axis] * np.moveaxis(position[:, None, None], 0, axis)
    shape = integrate(velocity)
    positions = np.indices(GRID_SHAPE, dtype=np.float32) + shape
    names = list(anatomy.regions)
    warped = sample_field(np.stack([anatomy.regions[name] for name in names]), positions)
    regions = dict(zip(names, warped, strict=True))
    return Subject(
        anatomy,
        shape,
        atrophy_velocity(regions, draw_pattern(rng)),
        atrophy_velocity(regions, AGEING),
        contrast=float(np.exp(rng.uniform(-0.2, 0.2))),
    )


def _displace(displacement: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Move points (3, ...) in mm by a field of the anatomy grid."""
    origin = np.reshape(GRID_ORIGIN, (3, 1, 1, 1)).astype(np.float32)
    return points + GRID_SPACING * sample_field(displacement, (points - origin) / GRID_SPACING)


def _rigid(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    moved = np.tensordot(matrix[:3, :3], points, axes=1) + np.reshape(matrix[:3, 3], (3, 1, 1, 1))
    return moved.astype(np.float32)


def random_pose(
    rng: np.random.Generator, *, rotation_deg: float, translation_mm: float
) -> np.ndarray:
    """Rigid 4x4 matrix, anatomy to scanner: angles and shifts uniform up to the given bounds."""
    pose = np.eye(4)
    angles = rng.uniform(-rotation_deg, rotation_deg, 3)
    pose[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    pose[:3, 3] = rng.uniform(-translation_mm, translation_mm, 3)
    return pose


def _upsample(coarse: np.ndarray, positions: list[np.ndarray]) -> np.ndarray:
    """Interpolate one channel linearly at the grid of three lists of index coordinates."""
    for axis, where in enumerate(positions):
        low = np.clip(where.astype(int), 0, coarse.shape[axis] - 2)
        share = np.expand_dims((where - low).astype(np.float32), [a for a in range(3) if a != axis])
        coarse = coarse.take(low, axis) * (1 - share) + coarse.take(low + 1, axis) * share
    return coarse


def _bias(points: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Receive field: the exponential of a random quadratic of the position, around 1."""
    x = points / 100
    terms = np.stack([*x, *(x**2 - 0.5), x[0] * x[1], x[0] * x[2], x[1] * x[2]])
    return np.exp(np.tensordot(rng.normal(0, strength, len(terms)), terms, axes=1))


def _vector_image(field: np.ndarray, affine: np.ndarray) -> nib.Nifti1Image:
    image = nib.Nifti1Image(np.moveaxis(field, 0, -1)[:, :, :, None].astype(np.float32), affine)
    image.header.set_intent("vector")
    image.header.set_xyzt_units("mm")
    return image


def simulate_visit(
    subject: Subject,
    *,
    rng: np.random.Generator,
    severity_mm: float,
    ageing_mm: float,
    pose: np.ndarray,
    voxel_mm: tuple[float, float],
    bias: float,
    noise: float,
) -> Visit:
    """Scan a subject.

    Parameters
    ----------
    subject
        The person.
    rng
        Source of voxel size, orientation, bias field, gain and noise.
    severity_mm
        Largest displacement of tissue by the disease, in mm, up to the change along the flow.
    ageing_mm
        The same, by ageing since the first visit.
    pose
        Rigid 4x4 matrix, anatomy to scanner.
    voxel_mm
        Range of the thickness of the sagittal slices and of the side of their pixels, in mm.
    bias
        Strength of the receive field, 0 for none.
    noise
        Standard deviation of the noise in each channel, relative to white matter; the magnitude of
        the two channels makes it Rician.
    """
    # Points of the scanner at the field's spacing; all maps are composed here, so that the anatomy
    # is interpolated only once.
    count = np.ceil(np.ptp(FIELD_OF_VIEW, axis=1) / GRID_SPACING).astype(int) + 3
    start = FIELD_OF_VIEW[:, 0] - GRID_SPACING
    points = np.indices(count, dtype=np.float32) * np.float32(GRID_SPACING)
    points += np.reshape(start, (3, 1, 1, 1)).astype(np.float32)
    in_anatomy = _rigid(np.linalg.inv(pose), points)

    healing = integrate(severity_mm * subject.disease)
    healed = _displace(healing, in_anatomy)
    young = _displace(integrate(ageing_mm * subject.ageing), in_anatomy)
    young = _displace(healing, young)
    affine = np.diag([GRID_SPACING] * 3 + [1.0])
    affine[:3, 3] = start
    fields = [_vector_image(_rigid(pose, moved) - points, affine) for moved in (young, healed)]

    source = _displace(integrate(-severity_mm * subject.disease), in_anatomy)
    source = _displace(integrate(-ageing_mm * subject.ageing), source)
    source = _displace(subject.shape, source)
    voxel = _rigid(np.linalg.inv(subject.anatomy.affine), source)

    size = rng.uniform(*voxel_mm, 2).round(2)
    spacing = np.array([size[0], size[1], size[1]])  # sagittal slices, square pixels
    shape = np.floor(np.ptp(FIELD_OF_VIEW, axis=1) / spacing).astype(int)
    where = [
        (np.arange(shape[axis]) * spacing[axis] + FIELD_OF_VIEW[axis, 0] - start[axis])
        / GRID_SPACING
        for axis in range(3)
    ]
    positions = np.stack([_upsample(channel, where) for channel in voxel])
    signal = ndimage.map_coordinates(subject.anatomy.image, positions, np.float32, order=1)
    signal = np.maximum(signal, 0) ** subject.contrast
    signal *= _upsample(_bias(points, rng, bias).astype(np.float32), where)
    channels = noise * rng.standard_normal((2, *signal.shape), dtype=np.float32)
    magnitude = np.hypot(signal + channels[0], channels[1]) * rng.uniform(300, 900)

    grid = np.diag([*spacing, 1.0])
    grid[:3, 3] = FIELD_OF_VIEW[:, 0]
    image = nib.Nifti1Image(np.clip(np.rint(magnitude), 0, 32767).astype(np.int16), grid)
    target = nib.orientations.axcodes2ornt(rng.choice(ORIENTATIONS))
    image = image.as_reoriented(
        nib.orientations.ornt_transform(nib.orientations.io_orientation(grid), target)
    )
    image.set_sform(image.affine, "scanner")
    image.set_qform(image.affine, "scanner")
    image.header.set_xyzt_units("mm", "sec")
    return Visit(image, *fields)
