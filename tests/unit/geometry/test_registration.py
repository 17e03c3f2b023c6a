"""Images in known poses are put where they belong, or refused."""

import numpy as np
import pytest
from scipy.ndimage import affine_transform, binary_erosion, gaussian_filter
from scipy.spatial.transform import Rotation

from pipeline.geometry.registration import register_images
from pipeline.stage.errors import ImageError


def texture(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Smooth random texture between -1 and 1."""
    image = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 3)
    return (image / np.abs(image).max()).astype(np.float32)


def brain(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Texture inside an ellipsoid on a background of -1, and the ellipsoid."""
    axes = np.meshgrid(*[np.linspace(-1, 1, size) for size in shape], indexing="ij")
    inside = sum(axis**2 for axis in axes) < 0.7**2
    return np.where(inside, 0.5 * texture(shape), -1).astype(np.float32), inside


def displaced(image: np.ndarray, linear: np.ndarray, shift: np.ndarray, cval: float) -> np.ndarray:
    """The image seen at `linear (p - centre) + centre + shift`."""
    centre = (np.array(image.shape) - 1) / 2
    offset = centre + shift - linear @ centre
    return affine_transform(image, linear, offset, order=1, cval=cval, output=np.float32)


def largest_error(matrix: np.ndarray, linear: np.ndarray, shift: np.ndarray, where: np.ndarray):
    """Largest distance in pixels between found and true positions of the pixels of a mask."""
    centre = (np.array(where.shape) - 1) / 2
    points = np.argwhere(where)
    true = (points - centre) @ linear.T + centre + shift
    found = points @ matrix[:-1, :-1].T + matrix[:-1, -1]
    return np.linalg.norm(found - true, axis=1).max()


def test_rigid_pose_of_a_volume_is_found():
    baseline, inside = brain((32, 40, 32))
    rotation = Rotation.from_euler("xyz", [6, -5, 4], degrees=True).as_matrix()
    shift = np.array([1.5, -1.0, 0.8])
    followup = displaced(baseline, rotation, shift, -1)
    mask = displaced(inside.astype(np.float32), rotation, shift, 0) > 0.95
    found = register_images(
        followup,
        baseline,
        transform="rigid",
        spacing=(5.0, 5.0, 5.0),
        fixed_mask=mask,
        moving_mask=inside,
    )
    in_voxels = np.diag([0.2, 0.2, 0.2, 1]) @ found.matrix @ np.diag([5, 5, 5, 1])
    assert largest_error(in_voxels, rotation, shift, mask) < 0.15
    np.testing.assert_allclose(found.matrix[:3, :3] @ found.matrix[:3, :3].T, np.eye(3), atol=1e-9)
    assert found.before < 0.8
    assert found.after > 0.99
    assert found.warning == ""
    # The sharp rim of this brain rings in the cubic interpolation; within it the images agree.
    within = binary_erosion(mask & found.inside, iterations=3)
    assert np.abs(found.moved - followup)[within].mean() < 0.01
    # Only what is made of brain alone counts as inside.
    assert not found.inside[followup == -1].any()


def test_affine_pose_of_a_film_is_found():
    normal = texture((64, 64))
    linear, shift = np.array([[1.08, 0.05], [-0.04, 0.95]]), np.array([2.0, -3.0])
    diseased = displaced(normal, linear, shift, -1)
    found = register_images(diseased, normal, transform="affine", spacing=(1.0, 1.0))
    centre = 31.5
    true = (np.argwhere(normal > -2) - centre) @ linear.T + centre + shift
    to_edge = np.minimum(true, 63 - true).min(axis=1).reshape(64, 64)
    assert largest_error(found.matrix, linear, shift, to_edge > 0) < 0.15
    # Where the moved film has no pixels, it is background and does not count.
    assert found.inside[to_edge > 0.2].all()
    outside = to_edge < -0.8
    assert outside.sum() > 50
    assert not found.inside[outside].any()
    assert (found.moved[outside] == -1).all()


@pytest.mark.parametrize("transform", ["rigid", "affine"])
def test_images_in_place_stay_there(transform):
    image = texture((64, 64))
    noise = np.random.default_rng(1).normal(0, 0.05, image.shape).astype(np.float32)
    found = register_images(image + noise, image, transform=transform, spacing=(1.0, 1.0))
    everywhere = np.ones(image.shape, bool)
    assert largest_error(found.matrix, np.eye(2), np.zeros(2), everywhere) < 0.3


def test_repeats_to_the_last_bit():
    normal = texture((64, 64))
    diseased = displaced(normal, np.eye(2), np.array([1.0, 0.5]), -1)
    results = [
        register_images(diseased, normal, transform="affine", spacing=(1.0, 1.0)) for _ in range(2)
    ]
    np.testing.assert_array_equal(results[0].moved, results[1].moved)
    np.testing.assert_array_equal(results[0].matrix, results[1].matrix)


def test_refuses_uniform_and_empty_images():
    image = texture((64, 64))
    with pytest.raises(ImageError, match="uniform"):
        register_images(image, np.zeros_like(image), transform="affine", spacing=(1.0, 1.0))
    nothing = np.zeros(image.shape, bool)
    with pytest.raises(ImageError, match="empty"):
        register_images(image, image, transform="affine", spacing=(1.0, 1.0), fixed_mask=nothing)


def test_a_result_less_alike_than_before_is_used_with_a_warning():
    image = texture((64, 64))
    # A negative: mutual information is best where the correlation is worst.
    negative = -displaced(image, np.eye(2), np.array([3.0, 2.0]), 0)
    found = register_images(image, negative, transform="rigid", spacing=(1.0, 1.0))
    assert found.after < found.before
    assert found.warning == (
        "less alike after the registration than before: "
        f"correlation {found.after:.3f}, before {found.before:.3f}"
    )
    assert np.abs(found.moved + image)[found.inside].mean() < 0.03  # where it belongs


def test_unknown_transform_is_an_error():
    image = texture((64, 64))
    with pytest.raises(ValueError, match="similarity"):
        register_images(image, image, transform="similarity", spacing=(1.0, 1.0))
