"""The embedded registration: a start of niimath, refined as a similarity transform by SimpleITK.

The start is ``niimath -allineate``, which finds the head whatever its pose; the nearest similarity
of its affine is then refined (Mattes mutual information, two resolutions). SimpleITK alone does not
find the way from the identity on heads posed by more than about ten degrees.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from pipeline.brain.alignment import coarse_factors
from pipeline.brain.niimath import apply_niimath
from pipeline.brain.template import Template
from pipeline.brain.volume import load_volume
from pipeline.geometry.itk import RAS_TO_LPS, to_itk
from pipeline.stage.errors import ImageError
from pipeline.stage.rules import Rule

# Voxel sizes of the two resolutions of the refinement, and the share of their voxels that is looked
# at: with all and 0.2 of them, and the template smoothed at 1 mm, it took 3.6 s a head for 1.6.
# Both end 0.2 to 0.3 mm from what all voxels give (nine heads, at the brain's farthest point).
LEVELS_MM = (4.0, 2.0)
SAMPLED = (0.3, 0.2)


def register(source: Path, template: Template) -> tuple[np.ndarray, np.ndarray]:
    """Register a volume to the template.

    Parameters
    ----------
    source
        Head.
    template
        T1 with skull.

    Returns
    -------
    data
        The head on the template's grid.
    matrix
        4x4, template RAS mm -> RAS mm of the head.

    Raises
    ------
    ImageError
        The start cannot be that of a head, or the images do not overlap.
    """
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    start = nearest_similarity(_affine_start(source, template.path.resolve()))
    fixed = to_itk(template.data, template.affine)
    moving = to_itk(*load_volume(source))
    transform = _refine(fixed, moving, start)
    resampled = sitk.Resample(moving, fixed, transform, sitk.sitkLinear, 0.0, sitk.sitkFloat32)
    return sitk.GetArrayFromImage(resampled).T, _to_matrix(transform)


def nearest_similarity(affine: np.ndarray) -> np.ndarray:
    """Similarity transform nearest to an affine one (polar decomposition).

    Parameters
    ----------
    affine
        4x4 matrix in mm.

    Returns
    -------
    ndarray
        4x4 matrix of a proper rotation times one scale; it takes the origin to where `affine` does.
        The origin of the template's space lies in the brain.

    Raises
    ------
    ImageError
        The affine mirrors or collapses space.
    """
    linear = affine[:3, :3]
    if np.linalg.det(linear) <= 0:
        raise ImageError(
            Rule.NOT_REGISTERED, "registration to the template failed: the start mirrors the head"
        )
    u, singular, vt = np.linalg.svd(linear)
    similarity = np.eye(4)
    similarity[:3, :3] = np.mean(singular) * (u @ vt)
    similarity[:3, 3] = affine[:3, 3]
    return similarity


def _affine_start(source: Path, template: Path) -> np.ndarray:
    """Affine matrix, template RAS mm -> source RAS mm."""
    with tempfile.TemporaryDirectory(prefix="allineate-") as name:
        folder = Path(name)
        # The volume that it writes beside the matrix is for nobody: the fastest will do.
        operation = ["-allineate", template, "-nearest", "-savemat", "start.json"]
        apply_niimath(source, operation, folder)
        try:
            start = json.loads((folder / "start.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ImageError(Rule.EMPTY_RESULT, "niimath -allineate wrote no matrix") from error
    return np.array(start["fixed_to_moving"])


def _refine(fixed: sitk.Image, moving: sitk.Image, start: np.ndarray) -> sitk.Transform:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(numberOfHistogramBins=32)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentagePerLevel(SAMPLED, seed=1)
    method.SetInterpolator(sitk.sitkLinear)
    # Smoothing every voxel of a template of 1 mm would take as long as all the rest.
    finest = coarse_factors(np.array(fixed.GetSpacing()), LEVELS_MM[-1])
    fixed = sitk.BinShrink(fixed, finest.tolist())
    spacing = np.array(fixed.GetSpacing())
    method.SetShrinkFactorsPerLevel([int(coarse_factors(spacing, mm).max()) for mm in LEVELS_MM])
    method.SetSmoothingSigmasPerLevel([2.0, 1.0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=1.0, minStep=1e-3, numberOfIterations=100, relaxationFactor=0.6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    transform = _to_transform(start)
    centre = fixed.TransformContinuousIndexToPhysicalPoint(
        [(size - 1) / 2 for size in fixed.GetSize()]
    )
    # About the centre of the template, so that turning and scaling do not move the head.
    centred = sitk.Similarity3DTransform()
    centred.SetCenter(centre)
    centred.SetMatrix(transform.GetMatrix())
    centred.SetTranslation(np.subtract(transform.TransformPoint(centre), centre).tolist())
    method.SetInitialTransform(centred, inPlace=True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError as error:
        raise ImageError(
            Rule.NOT_REGISTERED, "registration to the template failed: the images do not overlap"
        ) from error
    return centred


def _to_transform(matrix: np.ndarray) -> sitk.AffineTransform:
    lps = RAS_TO_LPS @ matrix @ RAS_TO_LPS
    return sitk.AffineTransform(lps[:3, :3].ravel().tolist(), lps[:3, 3].tolist())


def _to_matrix(transform: sitk.Transform) -> np.ndarray:
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    lps = np.eye(4)
    lps[:3, :3] = np.stack(
        [np.array(transform.TransformPoint(axis.tolist())) - origin for axis in np.eye(3)], axis=1
    )
    lps[:3, 3] = origin
    return RAS_TO_LPS @ lps @ RAS_TO_LPS
