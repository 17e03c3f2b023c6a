"""Cutting off the neck: the field of view from the top of the head downwards.

Engine: ``niimath -robustfov``, which does what FSL's robustfov does.
"""

from pathlib import Path

from pipeline.brain.external import niimath_version, run_niimath
from pipeline.brain.volume import save_volume


def crop_field_of_view(source: Path, destination: Path, *, height_mm: float = 170) -> dict:
    """Keep the upper part of the field of view.

    Parameters
    ----------
    source
        Oriented volume.
    destination
        Cropped volume; voxels and their positions in mm are those of the source.
    height_mm
        Height to keep, in mm, measured from the top of the head (the paper's: 170).

    Returns
    -------
    dict
        Engine, version, shape of the result.

    Raises
    ------
    ImageError
        niimath failed.
    """
    data, affine = run_niimath(source, ["-robustfov", f"{height_mm:g}"])
    save_volume(data, affine, destination)
    return {
        "engine": "niimath -robustfov",
        "version": niimath_version(),
        "shape": list(data.shape),
    }
