"""niimath, which does in one program what several of FSL's and ANTs' do."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import niimath
import numpy as np

from pipeline.brain.external import load_result, run_tool


def robustfov(source: Path, height_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """``-robustfov``: the upper `height_mm` of the head."""
    return _run(source, ["-robustfov", f"{height_mm:g}"])


def n4(source: Path) -> tuple[np.ndarray, np.ndarray]:
    """``-n4``, a port of ANTs' N4 with its defaults."""
    return _run(source, ["-n4"])


def apply_niimath(source: Path, operation: Sequence[str | Path], folder: Path) -> None:
    """Apply one operation in `folder`; the volume becomes ``result.nii`` there.

    Parameters
    ----------
    source
        Volume of an earlier stage.
    operation
        Operation and its arguments, e.g. ``["-robustfov", "170"]``. Files given by a bare name lie
        in `folder`.
    folder
        The tool's own working folder.

    Raises
    ------
    ImageError
        niimath failed.
    """
    # Plain names in a folder of our own: niimath never sees what the source's path holds.
    image = folder / "image.nii.gz"
    image.symlink_to(Path(source).resolve())
    command = [niimath.bin, image.name, "-gz", "0", *operation, "result.nii", "-odt", "float"]
    run_tool(f"niimath {operation[0]}", command, folder=folder)


def _run(source: Path, operation: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    with tempfile.TemporaryDirectory(prefix="niimath-") as folder:
        apply_niimath(source, operation, Path(folder))
        return load_result(f"niimath {operation[0]}", Path(folder, "result.nii"))
