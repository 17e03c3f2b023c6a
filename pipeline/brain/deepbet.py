"""deepbet: the brain found by two small networks, whose weights its package carries.

Fisch et al., "deepbet: Fast brain extraction of T1-weighted MRI using Convolutional Neural
Networks", Computers in Biology and Medicine 179, 2024.
"""

import sys

import nibabel as nib
import numpy as np

from pipeline.brain.external import mask_of_module
from pipeline.stage.description import load
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
        deepbet failed, as where it finds nothing.
    """
    return mask_of_module("deepbet", __name__, data, affine)[0] > 0


def main(head: str, mask: str) -> None:
    """The process: find the brain of a head on the processor and write its mask."""
    use_huge_pages()
    extraction = load("deepbet:BrainExtraction")
    import torch  # which it works with

    torch.set_flush_denormal(True)  # as for training: a sixth of the time
    _, found, _ = extraction(no_gpu=True).run(nib.load(head))
    nib.save(found, mask)


if __name__ == "__main__":
    main(*sys.argv[1:])
