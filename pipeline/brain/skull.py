"""Removing the skull, in two stages as the paper chains them: ROBEX, then BET.

What an engine of ``skull`` returns for a head (array and affine) is the mask of its brain. One of
``skull_refine`` gets the stripped brain and a fractional intensity threshold, too, and returns what
of the field of view it would keep.
"""

from pathlib import Path

import numpy as np

from pipeline.brain.engines import EMBEDDED, use_engine
from pipeline.brain.volume import check_values, litres, load_volume, save_volume
from pipeline.stage.errors import ImageError, InputError
from pipeline.stage.rules import Rule

# Volume of an adult brain without its skull, in litres, with a wide margin.
BRAIN_LITRES = (0.4, 2.6)
LARGEST_SHARE = 0.9
SMALLEST_REFINED_SHARE = 0.5


def strip_skull(source: Path, destination: Path, *, engine: str = EMBEDDED) -> dict:
    """Remove the skull.

    Parameters
    ----------
    source
        Head in the template's space.
    destination
        The same volume, 0 outside the brain.
    engine
        As `pipeline.brain.engines.ENGINES` names it.

    Returns
    -------
    dict
        Engine, version, volume of the brain in litres.

    Raises
    ------
    ImageError
        The engine failed or its mask cannot be that of a brain.
    InputError
        The engine is unknown, not installed, or cannot run on this machine.
    """
    find_brain, used = use_engine("skull", engine)
    data, affine = load_volume(source)
    mask = find_brain(data, affine)
    found = _check_brain(used["engine"], mask, affine)
    save_volume(np.where(mask, data, 0), affine, destination)
    return {**used, "litres": found}


def refine_skull(
    source: Path, destination: Path, *, engine: str = EMBEDDED, fraction: float = 0.25
) -> dict:
    """Remove what the first stage left over.

    Parameters
    ----------
    source
        Output of `strip_skull`, 0 outside the brain.
    destination
        The same volume, 0 outside the brain.
    engine
        As `pipeline.brain.engines.ENGINES` names it.
    fraction
        Fractional intensity threshold in FSL's terms (``bet -f``); smaller keeps more.

    Returns
    -------
    dict
        Engine, version, volume of the brain in litres and its share of the first stage's.

    Raises
    ------
    ImageError
        The engine failed or crashed, or it keeps less than half of the brain.
    InputError
        `fraction` is not between 0 and 1; or as `strip_skull`.
    """
    if not 0 < fraction < 1:
        raise InputError(f"brain: the BET fraction {fraction} must lie between 0 and 1")
    find_brain, used = use_engine("skull_refine", engine)
    data, affine = load_volume(source)
    brain = data != 0
    if not brain.any():
        raise ImageError(Rule.BAD_BRAIN, f"{used['engine']}: no brain is left to work on")
    mask = find_brain(data, affine, fraction) & brain
    share = mask.sum() / brain.sum()
    if share < SMALLEST_REFINED_SHARE:
        raise ImageError(
            Rule.BAD_BRAIN,
            f"{used['engine']} keeps only {100 * share:.0f} % of the stripped brain",
        )
    found = _check_brain(used["engine"], mask, affine)
    check_values(data)
    save_volume(np.where(mask, data, 0), affine, destination)
    return {**used, "litres": found, "share": float(share)}


def can_be_brain(mask: np.ndarray, affine: np.ndarray) -> bool:
    """Whether a mask (x, y, z) holds as much as a brain, in a field of view that is not full."""
    fits = BRAIN_LITRES[0] <= litres(mask, affine) <= BRAIN_LITRES[1]
    return fits and mask.mean() <= LARGEST_SHARE


def _check_brain(tool: str, mask: np.ndarray, affine: np.ndarray) -> float:
    found = litres(mask, affine)
    if not can_be_brain(mask, affine):
        raise ImageError(Rule.BAD_BRAIN, f"{tool} finds a brain of {found:.2f} l, which cannot be")
    return round(found, 4)
