"""Intensity inhomogeneity: N4 bias field correction with the defaults of ANTs.

Engine: ``niimath -n4``, a port of ANTs' N4BiasFieldCorrection. It is chosen over ANTs itself
(antspyx) because the results agree (correlation of the corrected heads 0.99999999) while it takes a
fifth of the time (5 to 9 s against 26 to 40 s for a head at 1 mm on one core) and starts at once.

Tustison et al., "N4ITK: improved N3 bias correction", IEEE Trans. Med. Imaging 29(6), 2010.
"""

from pathlib import Path

from pipeline.brain.external import niimath_version, run_niimath
from pipeline.brain.volume import save_volume


def correct_bias(source: Path, destination: Path) -> dict:
    """Divide a volume by its estimated bias field.

    Parameters
    ----------
    source
        Cropped volume.
    destination
        Corrected volume on the same grid.

    Returns
    -------
    dict
        Engine and version.

    Raises
    ------
    ImageError
        niimath failed, or its result is not finite.
    """
    data, affine = run_niimath(source, ["-n4"])
    save_volume(data, affine, destination)
    return {"engine": "niimath -n4", "version": niimath_version()}
