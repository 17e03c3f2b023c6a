"""Displacement fields between two images of a pair, by deformable registration."""

import numpy as np
import SimpleITK as sitk

ITERATIONS = 60
SMOOTHING = 1.5  # of the field, standard deviation in pixels


def deformable_field(target: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Field that deforms `image` to look like `target`.

    Symmetric-forces demons, started from where the images lie (they are registered linearly).
    With the diseased image x1 and the registered healthy one as target this is the displacement
    that was observed, as far as intensities tell it.

    Parameters
    ----------
    target, image : array, shape (*spatial)
        Images of one scale.

    Returns
    -------
    array, shape (D, *spatial)
        phi in voxels with ``image(p + phi(p))`` near ``target(p)``, channel 0 along the last array
        axis, as of `pipeline.method.deformation.warp`.
    """
    # SimpleITK reads arrays backwards: its first axis is the array's last, as phi's first channel.
    fixed, moving = (sitk.GetImageFromArray(array.astype(np.float32)) for array in (target, image))
    demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
    demons.SetNumberOfIterations(ITERATIONS)
    demons.SetStandardDeviations(SMOOTHING)
    demons.SetNumberOfThreads(1)  # sums in a fixed order
    field = sitk.GetArrayFromImage(demons.Execute(fixed, moving))
    return np.moveaxis(field, -1, 0).astype(np.float32)
