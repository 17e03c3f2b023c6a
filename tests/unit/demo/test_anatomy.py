import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from pipeline.demo.anatomy import carry_labels

SHAPE = (40, 44, 36)


def brain(radii, centre):
    """Ellipsoid with texture, and a label in its middle."""
    offsets = np.indices(SHAPE) - np.reshape(centre, (3, 1, 1, 1))
    distance = np.sqrt(((offsets / np.reshape(radii, (3, 1, 1, 1))) ** 2).sum(0))
    texture = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=SHAPE), 3)
    image = (distance < 1) * (1 - 0.5 * distance + texture)
    return image.astype(np.float32), (distance < 0.4).astype(np.float32)


def as_image(array):
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    image.SetSpacing([3.0] * 3)
    return image


def test_labels_follow_the_brain_and_repeat_exactly():
    fixed, truth = brain((14, 16, 12), (21, 23, 18))
    moving, labels = brain((13, 15, 13), (18, 20, 17))
    carried = [carry_labels(as_image(fixed), as_image(moving), as_image(labels)) for _ in range(2)]
    np.testing.assert_array_equal(carried[0], carried[1])
    overlap = 2 * np.sum((carried[0] > 0) & (truth > 0)) / (carried[0].sum() + truth.sum())
    assert overlap > 0.8
