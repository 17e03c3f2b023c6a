"""Intensity inhomogeneity: N4 bias field correction with the defaults of ANTs.

ANTs' ``N4BiasFieldCorrection``, or ``niimath -n4``, a port of it. What an engine returns for a
volume is the corrected array and its affine. As the embedded engine the port is chosen over the
package of ANTs (antspyx) because the results agree (correlation of the corrected heads 0.99999999)
while it takes a fifth of the time (5 to 9 s against 26 to 40 s for a head at 1 mm on one core) and
starts at once.

Tustison et al., "N4ITK: improved N3 bias correction", IEEE Trans. Med. Imaging 29(6), 2010.
"""

from pathlib import Path

from pipeline.brain.engines import EMBEDDED, use_engine
from pipeline.brain.volume import save_volume


def correct_bias(source: Path, destination: Path, *, engine: str = EMBEDDED) -> dict:
    """Divide a volume by its estimated bias field.

    Parameters
    ----------
    source
        Cropped volume.
    destination
        Corrected volume on the same grid.
    engine
        As `pipeline.brain.engines.ENGINES` names it.

    Returns
    -------
    dict
        Engine and version.

    Raises
    ------
    ImageError
        The tool failed, or its result is not finite.
    InputError
        The engine is unknown or not installed.
    """
    correct, used = use_engine("bias", engine)
    data, affine = correct(source)
    save_volume(data, affine, destination)
    return used
