"""ROBEX as its authors distribute it; nipype puts the command line of its script together."""

import os
import shlex
import tempfile
from pathlib import Path

import numpy as np

os.environ["NIPYPE_NO_ET"] = "1"  # nipype asks a server for its newest version otherwise
from nipype.interfaces.robex.preprocess import RobexSegment

from pipeline.brain.external import load_result, run_tool
from pipeline.brain.tools import require_tool
from pipeline.brain.volume import save_volume
from pipeline.stage.errors import InputError


def find_brain(data: np.ndarray, affine: np.ndarray, seed: int = 0) -> np.ndarray:
    """``runROBEX.sh``: what is brain.

    Parameters
    ----------
    data, affine
        Head, array (x, y, z), and the 4x4 matrix from voxel index to RAS mm.
    seed
        Seed of ROBEX's random numbers.

    Returns
    -------
    ndarray
        Boolean (x, y, z).

    Raises
    ------
    ImageError
        The script failed or wrote no mask.
    InputError
        ROBEX is not installed, or its script could not stand the path of the temporary files.
    """
    script = require_tool("robex").folder / RobexSegment._cmd
    with tempfile.TemporaryDirectory(prefix="robex-") as name:
        folder = Path(name)
        if shlex.quote(name) != name:
            raise InputError(
                f"the script of ROBEX evaluates the paths it gets: set TMPDIR to a folder without "
                f"blanks and special characters, not {folder.parent}"
            )
        save_volume(data, affine, folder / "head.nii")
        robex = RobexSegment(
            command=shlex.quote(str(script)),
            in_file=str(folder / "head.nii"),
            out_file=str(folder / "brain.nii"),
            out_mask=str(folder / "mask.nii"),
            seed=seed,
        )
        run_tool("ROBEX", shlex.split(robex.cmdline), folder=folder)
        return load_result("ROBEX", folder / "mask.nii")[0] > 0
