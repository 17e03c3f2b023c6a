"""A study of one real head on coarse voxels, ready for the brain stages."""

from pathlib import Path

import nibabel as nib
import numpy as np
import yaml
from helpers.made_up_adni import write_adni_archive
from helpers.workflow import ROOT
from scipy.ndimage import binary_dilation

from pipeline.brain.packaged_heads import TEMPLATE_HEAD, load_head

VOXEL = 4  # every fourth voxel of the packaged head: 4 mm
THINNED = (slice(None, None, VOXEL),) * 3


def small_brain(path: Path) -> None:
    """Write the ICBM brain, without its skull, on voxels of 4 mm."""
    head, brain = _head_and_brain()
    _save(np.where(brain, head.get_fdata()[THINNED], 0), head, path)


def small_head(path: Path) -> None:
    """Write brain and scalp of the ICBM head on voxels of 4 mm, and 0 between.

    To `orient` it has a skull, and to the stages after it the size of a brain.
    """
    head, brain = _head_and_brain()
    scalp = binary_dilation(brain, iterations=4) & ~binary_dilation(brain, iterations=3)
    _save(np.where(brain | scalp, head.get_fdata()[THINNED], 0), head, path)


def _head_and_brain() -> tuple[nib.Nifti1Image, np.ndarray]:
    head, mask = load_head(TEMPLATE_HEAD)
    return head, np.asarray(mask.dataobj)[THINNED] > 0


def _save(data: np.ndarray, head: nib.Nifti1Image, path: Path) -> None:
    affine = head.affine @ np.diag([VOXEL, VOXEL, VOXEL, 1])
    image = nib.Nifti1Image(data.astype(np.float32), affine)
    image.set_qform(affine, 1)
    image.set_sform(affine, 1)
    nib.save(image, path)


def write_small_study(folder: Path, **changes: object) -> Path:
    """Write an archive whose images are all that head, and a configuration of it alone.

    Parameters
    ----------
    folder
        Working folder of the study.
    changes
        Dotted keys with ``__``: ``brain__engines__crop="fsl"``, ``keep_intermediates=False``.

    Returns
    -------
    Path
        The configuration.
    """
    archive = folder / "data/adni"
    head = folder / "head.nii.gz"
    if not head.exists():
        small_head(head)
        made = write_adni_archive(archive / "ADNI", archive / "tables", subjects=80, seed=1)
        for image in made.images:
            target = archive / "ADNI" / f"{image}.gz"
            (archive / "ADNI" / image).unlink()
            target.hardlink_to(head)
    config = yaml.safe_load((ROOT / "config/paper.yaml").read_text())
    del config["datasets"]["copd"]
    dataset = config["datasets"]["adni"]
    dataset["brain"] |= {"template": str(head), "voxel_mm": 8, "shape": [24, 32, 24]}
    dataset["qc"]["drop"] = None
    dataset["splits"] = {
        "seed": 0,
        "fractions": {"train": 0.64, "validation": 0.16, "test": 0.2},
    }
    for key, value in changes.items():
        node = config if key in config else dataset
        *parents, last = key.split("__")
        for parent in parents:
            node = node[parent]
        node[last] = value
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(config))
    return path
