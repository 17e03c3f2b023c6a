"""N4 bias field correction by ANTs' own program; nipype puts its command line together."""

import os
import shlex
import tempfile
from pathlib import Path

import numpy as np

os.environ["NIPYPE_NO_ET"] = "1"  # nipype asks a server for its newest version otherwise
from nipype.interfaces.ants import N4BiasFieldCorrection

from pipeline.brain.external import load_result, run_tool
from pipeline.brain.tools import require_tool
from pipeline.brain.volume import load_volume, save_volume


def n4(source: Path) -> tuple[np.ndarray, np.ndarray]:
    """``N4BiasFieldCorrection`` with its defaults.

    Parameters
    ----------
    source
        Cropped volume.

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
        save_volume(*load_volume(source), folder / "image.nii")
        n4 = N4BiasFieldCorrection(
            command=shlex.quote(str(program)),
            dimension=3,
            input_image=str(folder / "image.nii"),
            output_image="result.nii",
        )
        command = shlex.split(n4.cmdline)
        run_tool("ANTs N4", command, folder=folder, environment=n4.inputs.environ)
        return load_result("ANTs N4", folder / "result.nii")
