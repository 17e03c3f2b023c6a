"""Figures and picture of one volume, from what the stages left.

Nothing is judged here: the figures of one volume say little until they stand beside those of the
others of its site and field strength (see `pipeline.qc.review`).
"""

from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image
from scipy.ndimage import binary_erosion, center_of_mass

from pipeline.brain.template import load_template, template_brain
from pipeline.brain.volume import dice, litres
from pipeline.geometry.affine import voxel_sizes
from pipeline.qc.asymmetry import brain_asymmetry, save_asymmetry
from pipeline.stage.files import atomic_path, write_json
from pipeline.stage.sidecar import read_sidecar

PLANE, OF_PLANES = 56, 128  # across x: empty in a failed volume
BACKGROUND = -1.0  # of volumes on the grid
TILE = 128  # side of each of the three planes, pixels
OUTLINE = (255, 80, 40)


def check_volume(
    orient: Path,
    template_space: Path,
    skull: Path,
    skull_refine: Path,
    grid: Path,
    template: Path,
    figures: Path,
    picture: Path,
    asymmetry: Path,
) -> None:
    """Measure one volume and draw it.

    Parameters
    ----------
    orient, template_space, skull, skull_refine, grid
        The volume after these stages (`template_space`: registered to the template). A stage that
        the volume did not reach left an empty file. Steps in the sidecar of `grid` tell whether the
        raw header contradicts itself, how the head correlates with the template, and whether it
        would fit better displaced.
    template
        T1 template with skull.
    figures
        JSON written: ``status``, ``stage``, ``rule`` and ``reason`` of the last stage; ``litres``,
        the volume of the refined brain in the template's space; ``correlation`` with the template
        within its head; ``overlap``, the Dice coefficient of the stripped and the refined brain;
        ``template_overlap``, that of the refined brain and the template's;
        ``empty_planes``, planes that are empty where brain must be; ``orientation``, what is
        wrong with it. Null where the volume did not come so far.
    picture
        JPEG written: sagittal, coronal and axial plane, left on the left, with the outline of the
        refined brain. An empty file where no stage made an image.
    asymmetry
        NPZ written: the brain's asymmetry, to be compared with that at the subject's other sessions
        (`pipeline.qc.asymmetry`). An empty file where `skull_refine` is empty.
    """
    status = read_sidecar(grid)
    volumes = {
        name: _read(path)
        for name, path in {
            "orient": orient,
            "template": template_space,
            "skull": skull,
            "skull_refine": skull_refine,
            "grid": grid,
        }.items()
    }
    head, first, second = (volumes[name] for name in ("template", "skull", "skull_refine"))
    prepared = volumes["grid"]
    facts = {
        "status": status["status"],
        "stage": status["stage"],
        "rule": status.get("rule", ""),
        "reason": status.get("reason", ""),
        "litres": None,
        "correlation": None,
        "overlap": None,
        "template_overlap": None,
        "empty_planes": None,
        "orientation": None,
    }
    fixed = load_template(template)
    reference = nib.Nifti1Image(fixed.data, fixed.affine)
    disagreement = next((step.get("contradiction", "") for step in status["steps"]), "")
    if head:
        lies = next((step for step in status["steps"] if "alignment" in step), {})
        if lies:
            facts["correlation"] = round(lies["correlation"], 4)
        doubts = disagreement, lies.get("alignment")
        facts["orientation"] = "; ".join(filter(None, doubts))
    if second:
        masks = [np.asarray(image.dataobj) != 0 for image in (first, second)]
        facts["litres"] = round(litres(masks[1], second.affine), 4)
        facts["overlap"] = round(dice(*masks), 4)
        facts["template_overlap"] = round(dice(masks[1], template_brain(fixed)), 4)
    if prepared:
        facts["empty_planes"] = empty_planes(np.asarray(prepared.dataobj) > BACKGROUND)
    shown = head or volumes["orient"]
    with atomic_path(picture) as temporary:
        if shown:
            draw_planes(shown, second).save(temporary, "JPEG", quality=80, subsampling=0)
        else:
            temporary.touch()
    save_asymmetry(brain_asymmetry(second, reference) if second else None, asymmetry)
    write_json(facts, figures)


def _read(path: Path) -> nib.Nifti1Image | None:
    """Volume in RAS orientation; None where a stage left an empty file."""
    if path.stat().st_size == 0:
        return None
    image = nib.as_closest_canonical(nib.squeeze_image(nib.load(path)))
    # Read once, though it is looked at several times.
    return nib.Nifti1Image(np.asarray(image.dataobj, np.float32), image.affine)


def empty_planes(brain: np.ndarray) -> list[str]:
    """Planes that are empty where brain must be: that across x which the published code looks at.

    Its test compares the least value of plane 44 with the greatest of plane 56, of 128; plane 44
    always has background, so plane 56 decides. On another grid the plane at the same share counts.

    Parameters
    ----------
    brain
        Boolean (x, y, z), the field of view centred on the template's.

    Returns
    -------
    list of str
        Such as ``["x56"]``; none if there is brain in it.
    """
    plane = int((PLANE + 0.5) / OF_PLANES * len(brain))
    return [] if brain[plane].any() else [f"x{plane}"]


def draw_planes(volume: nib.Nifti1Image, brain: nib.Nifti1Image | None) -> Image.Image:
    """Sagittal, coronal and axial plane in a row, with the outline of the brain.

    Parameters
    ----------
    volume
        Volume in RAS orientation.
    brain
        The same volume, 0 outside the brain; None: no outline, and planes through the middle.
    """
    data = np.asarray(volume.dataobj, np.float32)
    mask = np.zeros(data.shape, bool) if brain is None else np.asarray(brain.dataobj) != 0
    centre = center_of_mass(mask) if mask.any() else (np.array(data.shape) - 1) / 2
    bright = np.percentile(data[mask] if mask.any() else data, 99.5)
    grey = np.clip(255 * data / max(bright, 1e-6), 0, 255).astype(np.uint8)
    sizes = voxel_sizes(volume.affine)
    strip = Image.new("RGB", (3 * TILE, TILE))
    for axis, at in enumerate(np.round(centre).astype(int)):
        plane, outlined = (np.rot90(np.take(array, at, axis)) for array in (grey, mask))
        width, height = np.delete(np.array(data.shape) * sizes, axis)
        scale = TILE / max(width, height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        tile = np.array(
            Image.fromarray(plane).resize(size, Image.Resampling.BILINEAR).convert("RGB")
        )
        area = np.array(Image.fromarray(outlined).resize(size, Image.Resampling.NEAREST))
        tile[area & ~binary_erosion(area)] = OUTLINE
        corner = axis * TILE + (TILE - size[0]) // 2, (TILE - size[1]) // 2
        strip.paste(Image.fromarray(tile), corner)
    return strip
