"""Linear registration of two images of one subject, from coarse to fine.

The metric is Mattes mutual information, the default of elastix. Measured on a real brain with
simulated ventricular widening in known poses, the mean error was 0.08 mm on voxels of 1.3 mm, where
correlation came to 0.16 mm, and 0.3 mm on voxels of 5.2 mm, where correlation came to 0.2 mm.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import SimpleITK as sitk

from pipeline.stage.errors import ImageError
from pipeline.stage.rules import Rule

BACKGROUND = -1.0
# Of the interpolated mask: a pixel below it is made of pixels outside the moved image.
INSIDE = 0.95
COARSEST = 16  # pixels: coarser levels hold too little to register
MAX_ITERATIONS = 200
# Interpolation alone can cost a perfectly aligned pair this much correlation.
TOLERANCE = 1e-3
HISTOGRAM_BINS = 32


@dataclass(frozen=True)
class Registration:
    """Result of `register_images`.

    Attributes
    ----------
    moved
        Moving image on the fixed image's grid, by cubic interpolation, so that edges may overshoot;
        -1 where it has no pixels.
    inside
        Boolean; where `moved` is made of pixels inside the moving image (or its mask).
    matrix
        Homogeneous (D+1, D+1); maps positions of the fixed image to those of the moving image, both
        in mm from the centre of the first pixel along the array axes.
    before, after
        Correlation of the images in the overlap of their masks, with linear interpolation.
    """

    moved: np.ndarray
    inside: np.ndarray
    matrix: np.ndarray
    before: float
    after: float

    @property
    def warning(self) -> str:
        """What makes the result doubtful, ``""`` if nothing does.

        That the images correlate less than before proves no failure, since the registration goes by
        their mutual information: it is for people to look at.
        """
        if self.after >= self.before - TOLERANCE:
            return ""
        return (
            "less alike after the registration than before: "
            f"correlation {self.after:.3f}, before {self.before:.3f}"
        )


def _image(array: np.ndarray, spacing: tuple[float, ...]) -> sitk.Image:
    # SimpleITK reads arrays backwards; transposed, its axes are the array's.
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T, dtype=np.float32))
    image.SetSpacing([float(s) for s in spacing])
    return image


def _array(image: sitk.Image) -> np.ndarray:
    return np.ascontiguousarray(sitk.GetArrayFromImage(image).T)


def _correlation(first: np.ndarray, second: np.ndarray, mask: np.ndarray) -> float:
    if mask.sum() < 2 or np.ptp(first[mask]) == 0 or np.ptp(second[mask]) == 0:
        return float("nan")
    return float(np.corrcoef(first[mask], second[mask])[0, 1])


def _initial(kind: str, dimension: int, centre: np.ndarray) -> sitk.Transform:
    if kind == "affine":
        transform = sitk.AffineTransform(dimension)
    else:
        transform = sitk.Euler3DTransform() if dimension == 3 else sitk.Euler2DTransform()
    transform.SetCenter([float(c) for c in centre])
    return transform


def _homogeneous(transform: sitk.Transform, dimension: int) -> np.ndarray:
    origin = np.array(transform.TransformPoint([0.0] * dimension))
    matrix = np.eye(dimension + 1)
    for axis, unit in enumerate(np.eye(dimension)):
        matrix[:dimension, axis] = np.array(transform.TransformPoint(unit.tolist())) - origin
    matrix[:dimension, dimension] = origin
    return matrix


def register_images(
    fixed: np.ndarray,
    moving: np.ndarray,
    *,
    transform: Literal["rigid", "affine"],
    spacing: tuple[float, ...],
    fixed_mask: np.ndarray | None = None,
    moving_mask: np.ndarray | None = None,
) -> Registration:
    """Register `moving` to `fixed` from coarse to fine, starting from where they lie.

    Repeatable: every pixel counts in the metric and one thread adds them up.

    Parameters
    ----------
    fixed, moving
        Images of one shape (D axes), background -1.
    transform
        ``rigid`` or ``affine``.
    spacing
        Distance of pixels along each array axis in mm, of both images.
    fixed_mask, moving_mask
        Boolean; pixels outside are left out of the metric. Default: all pixels.

    Raises
    ------
    ImageError
        If the registration fails.
    """
    if transform not in ("rigid", "affine"):
        raise ValueError(f"transform is {transform!r}, neither 'rigid' nor 'affine'")
    fixed_mask = np.ones(fixed.shape, bool) if fixed_mask is None else fixed_mask
    moving_mask = np.ones(moving.shape, bool) if moving_mask is None else moving_mask
    if not np.isfinite(_correlation(fixed, moving, fixed_mask & moving_mask)):
        raise ImageError(
            Rule.NOT_REGISTERED, "registration: an image is empty or uniform inside the masks"
        )

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    fixed_image, moving_image = _image(fixed, spacing), _image(moving, spacing)
    moving_weight = _image(moving_mask, spacing)
    centre = np.mean(np.argwhere(fixed_mask), axis=0) * spacing
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(HISTOGRAM_BINS)
    method.SetMetricFixedMask(sitk.Cast(_image(fixed_mask, spacing), sitk.sitkUInt8))
    method.SetMetricMovingMask(sitk.Cast(moving_weight, sitk.sitkUInt8))
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0,
        minStep=1e-3,
        numberOfIterations=MAX_ITERATIONS,
        relaxationFactor=0.6,
        gradientMagnitudeTolerance=1e-8,
        estimateLearningRate=method.EachIteration,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    factors = [f for f in (4, 2, 1) if min(fixed.shape) // f >= COARSEST] or [1]
    method.SetShrinkFactorsPerLevel(factors)
    method.SetSmoothingSigmasPerLevel([f / 2 if f > 1 else 0 for f in factors])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    method.SetInitialTransform(_initial(transform, fixed.ndim, centre), inPlace=True)
    try:
        found = method.Execute(fixed_image, moving_image)
    except RuntimeError as error:
        raise ImageError(
            Rule.NOT_REGISTERED, "registration: " + str(error).strip().splitlines()[-1]
        ) from error
    matrix = _homogeneous(found, fixed.ndim)
    if not np.isfinite(matrix).all():
        raise ImageError(Rule.NOT_REGISTERED, "registration: the transform is not finite")

    # Cubic B-splines, as elastix does at the end by default. They ring at the rim of a brain, so
    # what judges the alignment is the linear interpolation.
    moved, judged = (
        _array(sitk.Resample(moving_image, fixed_image, found, kind, BACKGROUND))
        for kind in (sitk.sitkBSpline3, sitk.sitkLinear)
    )
    weight = sitk.Resample(moving_weight, fixed_image, found, sitk.sitkLinear, 0.0)
    inside = _array(weight) >= INSIDE
    # On the same pixels: those at the rim, which only one of the two would count, decide otherwise.
    common = fixed_mask & moving_mask & inside
    before, after = (_correlation(fixed, image, common) for image in (moving, judged))
    if not np.isfinite([before, after]).all():
        raise ImageError(Rule.NOT_REGISTERED, "registration: the images do not overlap afterwards")
    return Registration(moved, inside, matrix, before, after)
