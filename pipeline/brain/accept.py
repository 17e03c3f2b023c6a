"""Volumes that other programs have prepared: checked to be what they claim, and taken over.

They come in at the stage that their data set names (`pipeline.brain.chain`): a head or a brain in
the template's space, or a brain anywhere.
"""

from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import affine_transform

from pipeline.brain.alignment import find_alignment
from pipeline.brain.chain import Prepared
from pipeline.brain.kind import border_value, check_kind
from pipeline.brain.orient import scan_facts, to_canonical
from pipeline.brain.scan import read_scan
from pipeline.brain.skull import can_be_brain
from pipeline.brain.template import (
    LOWEST_LIKENESS,
    LOWEST_OVERLAP,
    Template,
    head_correlation,
    load_template,
    packaged_template,
    template_brain,
)
from pipeline.brain.volume import check_values, dice, litres, save_volume
from pipeline.geometry.affine import voxel_sizes
from pipeline.stage.content import content_hash
from pipeline.stage.errors import ImageError
from pipeline.stage.rules import Rule

SAME_PLACE_MM = 0.01  # by which affines of one grid may differ


def accept_volume(
    source: Path,
    destination: Path,
    *,
    prepared: Prepared,
    mask: Path | None = None,
    template: Path | None = None,
) -> dict:
    """Check a prepared volume and write it as the stages would have left it.

    Parameters
    ----------
    source
        NIfTI or MGH volume, see `read_scan`.
    destination
        float32 volume in RAS order. ``registered`` and ``grid``: on the template's grid.
        ``skull_stripped`` and ``grid``: the brain, which is positive, 0 outside.
    prepared
        What `source` claims to be: ``registered``, a head in the template's space;
        ``skull_stripped``, a brain anywhere; ``grid``, a brain in the template's space.
    mask
        Brain mask on the grid of `source`, applied where that is not stripped.
    template
        T1 template with skull; None is the packaged ICBM 2009c.

    Returns
    -------
    dict
        Engine and version, what `orient_volume` tells of a raw volume; ``masked``, whether the mask
        was applied; and in the template's space what `register_to_template` tells (the ``matrix``
        is the identity), with ``overlap``, the Dice coefficient of the two brains.

    Raises
    ------
    ImageError
        The file is no usable volume, or not what it claims to be.
    InputError
        The template is missing or unreadable.
    """
    image = read_scan(source)
    data = np.asarray(image.dataobj)
    check_values(data)
    check_kind(data)
    data, affine = to_canonical(data, image.affine)
    facts = {
        "engine": "another program, checked by nibabel",
        "version": nib.__version__,
        "prepared": prepared,
        **scan_facts(image, data, affine),
        "content": content_hash(data),
    }
    background = border_value(data)
    inside = data != background
    if prepared == "registered":
        if can_be_brain(inside, affine):
            raise ImageError(
                Rule.BAD_BRAIN, "a brain without its skull, not a head; set prepared: grid"
            )
    else:
        facts["masked"] = mask is not None and not can_be_brain(inside, affine)
        if mask is not None and facts["masked"]:
            inside, background = _read_mask(mask, data.shape, affine), 0.0
        _check_brain(inside, affine, masked=facts["masked"])
        # The background is the darkest from here on, and 0.
        data = np.where(inside, data - min(background, data[inside].min()), 0)
    if prepared != "skull_stripped":
        fixed = load_template(Path(template) if template else packaged_template())
        data, inside = _on_grid(data, affine, fixed), _on_grid(inside, affine, fixed) > 0.5
        if prepared == "grid":
            data = np.where(inside, data, 0)
        facts |= _compare(data, inside, fixed, brain_alone=prepared == "grid")
        affine = fixed.affine
    save_volume(data, affine, destination)
    return facts


def _check_brain(inside: np.ndarray, affine: np.ndarray, *, masked: bool) -> None:
    if can_be_brain(inside, affine):
        return
    found = litres(inside, affine)
    if masked:
        raise ImageError(Rule.BAD_BRAIN, f"its mask holds {found:.2f} l, which cannot be a brain")
    raise ImageError(
        Rule.BAD_BRAIN,
        f"not skull-stripped: {found:.2f} l are not background, and no brain mask lies beside it",
    )


def _read_mask(path: Path, shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """A mask in RAS order; `ImageError` where it lies on another grid than its image."""
    image = read_scan(path)
    mask, place = to_canonical(np.asarray(image.dataobj), image.affine)
    if mask.shape != shape or not np.allclose(place, affine, atol=SAME_PLACE_MM):
        raise ImageError(Rule.BAD_GEOMETRY, "its brain mask lies on another grid")
    return mask > 0.5


def _on_grid(data: np.ndarray, affine: np.ndarray, template: Template) -> np.ndarray:
    """A volume resampled (linear) to the template's grid, 0 outside its field of view."""
    matrix = np.linalg.inv(affine) @ template.affine
    shape = template.data.shape
    if data.shape == shape and np.allclose(matrix, np.eye(4), atol=1e-4):
        return data.astype(np.float32)
    return affine_transform(
        data.astype(np.float32), matrix[:3, :3], matrix[:3, 3], output_shape=shape, order=1
    )


def _compare(data: np.ndarray, inside: np.ndarray, fixed: Template, *, brain_alone: bool) -> dict:
    """How a volume lies beside the template; `ImageError` where it lies elsewhere."""
    brain, sizes = template_brain(fixed), voxel_sizes(fixed.affine)
    facts: dict[str, object] = {}
    if brain_alone:
        overlap = dice(inside, brain)
        if overlap < LOWEST_OVERLAP:
            raise ImageError(
                Rule.NOT_REGISTERED,
                "the brain does not lie where the template's does: they overlap by "
                f"{overlap:.2f} (Dice); prepared: skull_stripped registers it",
            )
        facts["overlap"] = round(overlap, 4)
    alignment = find_alignment(data, fixed.data, brain, sizes)
    if alignment.likeness < LOWEST_LIKENESS:
        raise ImageError(
            Rule.NOT_REGISTERED,
            f"not in the template's space: its likeness to it is {alignment.likeness:.2f}",
        )
    reference = np.where(brain, fixed.data, 0) if brain_alone else fixed.data
    return facts | {
        "matrix": np.eye(4).tolist(),
        "correlation": head_correlation(data, reference, sizes),
        "likeness": alignment.likeness,
        "alignment": alignment.better,
    }
