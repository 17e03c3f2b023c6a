"""Cutting off the neck: the field of view from the top of the head downwards.

Engines: FSL's ``robustfov``, or ``niimath -robustfov``, which does what FSL's does.
"""

from pathlib import Path

from pipeline.brain.engines import EMBEDDED
from pipeline.brain.external import niimath_version, run_niimath
from pipeline.brain.volume import load_volume, save_volume


def crop_field_of_view(
    source: Path, destination: Path, *, engine: str = EMBEDDED, height_mm: float = 170
) -> dict:
    """Keep the upper part of the field of view.

    Parameters
    ----------
    source
        Oriented volume.
    destination
        Cropped volume; voxels and their positions in mm are those of the source.
    engine
        ``embedded`` or ``fsl``.
    height_mm
        Height to keep, in mm, measured from the top of the head (the paper's: 170).

    Returns
    -------
    dict
        Engine, version, shape of the result.

    Raises
    ------
    ImageError
        The tool failed.
    """
    if engine == EMBEDDED:
        data, affine = run_niimath(source, ["-robustfov", f"{height_mm:g}"])
        used = {"engine": "niimath -robustfov", "version": niimath_version()}
    else:
        from pipeline.brain import fsl

        data, affine = fsl.robustfov(*load_volume(source), height_mm)
        used = {"engine": "FSL robustfov", "version": fsl.fsl_version()}
    save_volume(data, affine, destination)
    return {**used, "shape": list(data.shape)}
