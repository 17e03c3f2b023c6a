"""The bridge to ITK, which counts mm to the left and back (LPS) where NIfTI counts RAS."""

import numpy as np
import SimpleITK as sitk

from pipeline.geometry.affine import voxel_sizes

# From RAS mm (NIfTI) to LPS mm (ITK) and back.
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def to_itk(data: np.ndarray, affine: np.ndarray) -> sitk.Image:
    """Image of ITK from a volume (x, y, z), or of vectors from (x, y, z, 3), and its RAS affine."""
    sizes = voxel_sizes(affine)
    ordered = np.ascontiguousarray(data.swapaxes(0, 2))
    image = sitk.GetImageFromArray(ordered, isVector=data.ndim == 4)
    image.SetSpacing(sizes.tolist())
    image.SetOrigin((RAS_TO_LPS[:3, :3] @ affine[:3, 3]).tolist())
    image.SetDirection((RAS_TO_LPS[:3, :3] @ affine[:3, :3] / sizes).ravel().tolist())
    return image
