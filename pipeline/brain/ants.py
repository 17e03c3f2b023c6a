"""N4 bias field correction by ANTs' own program; nipype puts its command line together."""

import os
import shlex
import tempfile
from pathlib import Path

import numpy as np

os.environ["NIPYPE_NO_ET"] = "1"  # nipype asks a server for its newest version otherwise
from nipype.interfaces.ants import N4BiasFieldCorrection

from pipeline.brain.engines import require_tool
from pipeline.brain.external import load_result, run_tool
from pipeline.brain.volume import save_volume


def ants_version() -> str:
    """Version of the installed ANTs."""
    return require_tool("ants").version


def n4(data: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``N4BiasFieldCorrection`` with its defaults.

    Parameters
    ----------
    data, affine
        Array (x, y, z) and the 4x4 matrix from voxel index to RAS mm.

    Returns
    -------
    data, affine
        The corrected volume on the same grid.

    Raises
    ------
    ImageError
        The tool failed or wrote nothing.
    InputError
        ANTs is not installed.
    """
    program = require_tool("ants").folder / N4BiasFieldCorrection._cmd
    with tempfile.TemporaryDirectory(prefix="ants-") as name:
        folder = Path(name)
        save_volume(data, affine, folder / "image.nii")
        n4 = N4BiasFieldCorrection(
            command=shlex.quote(str(program)),
            dimension=3,
            input_image=str(folder / "image.nii"),
            output_image="result.nii",
        )
        command = shlex.split(n4.cmdline)
        run_tool("ANTs N4", command, folder=folder, environment=n4.inputs.environ)
        return load_result("ANTs N4", folder / "result.nii")
