"""FSL's tools, with the options of the paper; fslpy's wrappers put their command lines together.

Smith et al., NeuroImage 23(S1), 2004; FLIRT: Jenkinson et al., NeuroImage 17(2), 2002; BET: Smith,
Human Brain Mapping 17(3), 2002.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from fsl import wrappers
from fsl.data.image import Image
from fsl.transform.affine import invert
from fsl.transform.flirt import fromFlirt

from pipeline.brain.external import load_result, run_tool
from pipeline.brain.template import Template
from pipeline.brain.tools import require_tool
from pipeline.brain.volume import load_volume, save_volume
from pipeline.stage.errors import ImageError
from pipeline.stage.rules import Rule

SEARCH_DEGREES = (-45, 45)


def reorient(data: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``fslreorient2std``: swap and flip axes to those of the MNI template.

    Parameters
    ----------
    data, affine
        Array (x, y, z) and the 4x4 matrix from voxel index to RAS mm.

    Returns
    -------
    data, affine
        The same values in another order.

    Raises
    ------
    ImageError
        The tool failed or wrote nothing. So for every function here.
    InputError
        FSL is not installed. So for every function here.
    """
    with _folder(data, affine) as folder:
        return _run(folder, "fslreorient2std", "image.nii", "result.nii")


def robustfov(source: Path, height_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """``robustfov``: the upper `height_mm` of the head."""
    with _folder(*load_volume(source)) as folder:
        return _run(folder, "robustfov", "image.nii", "result.nii", b=f"{height_mm:g}")


def flirt(source: Path, template: Template) -> tuple[np.ndarray, np.ndarray]:
    """``flirt -dof 7``, searching 45 degrees about each axis.

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
    """
    searches = {f"searchr{axis}": SEARCH_DEGREES for axis in "xyz"}
    with _folder(*load_volume(source)) as folder:
        save_volume(template.data, template.affine, folder / "template.nii")
        files = {"out": "result.nii", "omat": "matrix.mat"}
        moved, _ = _run(folder, "flirt", "image.nii", "template.nii", **files, dof=7, **searches)
        try:
            found = np.loadtxt(folder / "matrix.mat")
        except (OSError, ValueError) as error:
            raise ImageError(Rule.EMPTY_RESULT, "FSL flirt wrote no matrix") from error
        head, fixed = Image(str(folder / "image.nii")), Image(str(folder / "template.nii"))
        return moved, invert(fromFlirt(found, head, fixed, "world", "world"))


def bet(data: np.ndarray, affine: np.ndarray, fraction: float) -> np.ndarray:
    """``bet -R -f fraction -g 0``: what is brain, as a boolean array."""
    with _folder(data, affine) as folder:
        options = {"robust": True, "fracintensity": fraction, "g": 0}
        return _run(folder, "bet", "image.nii", "result.nii", **options)[0] != 0


@contextmanager
def _folder(data: np.ndarray, affine: np.ndarray) -> Iterator[Path]:
    """A folder of its own with the volume as ``image.nii``."""
    with tempfile.TemporaryDirectory(prefix="fsl-") as name:
        save_volume(data, affine, Path(name, "image.nii"))
        yield Path(name)


def _run(
    folder: Path, program: str, *arguments: str, **options: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Run a program in `folder`; returns the ``result.nii`` that it wrote."""
    directory = require_tool("fsl").folder.parent
    # The wrappers look for the programs there, and the programs for one another.
    environment = {"FSLDIR": str(directory), "FSLOUTPUTTYPE": "NIFTI"}
    os.environ.update(environment)
    command = getattr(wrappers, program)(*arguments, **options, cmdonly=True)
    run_tool(f"FSL {program}", command, folder=folder, environment=environment)
    return load_result(f"FSL {program}", folder / "result.nii")
