"""Cutting off the neck: the field of view from the top of the head downwards.

FSL's ``robustfov``, or ``niimath -robustfov``, which does what FSL's does. What an engine returns
for a volume and a height is the cropped array and its affine.
"""

from pathlib import Path

from pipeline.brain.engines import EMBEDDED, use_engine
from pipeline.brain.volume import save_volume


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
        As `pipeline.brain.engines.ENGINES` names it.
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
    InputError
        The engine is unknown or not installed.
    """
    crop, used = use_engine("crop", engine)
    data, affine = crop(source, height_mm)
    save_volume(data, affine, destination)
    return {**used, "shape": list(data.shape)}
