import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from pipeline.geometry import diffeomorphism


def inner(array: np.ndarray, margin: int) -> np.ndarray:
    """Points whose image surely stays on the grid."""
    return array[(slice(None), *[slice(margin, -margin)] * (array.ndim - 1))]


@pytest.fixture(params=[(48, 40), (30, 28, 26)], ids=["2D", "3D"])
def velocity(request):
    rng = np.random.default_rng(3)
    return diffeomorphism.random_velocity(request.param, rng=rng, amplitude=1.0, smoothness=5)


def test_a_random_velocity_has_the_amplitude_asked_for_and_is_smooth(velocity):
    axes = tuple(range(1, velocity.ndim))
    np.testing.assert_allclose(np.sqrt((velocity**2).mean(axis=axes)), 1.0, rtol=1e-4)
    assert np.abs(np.diff(velocity, axis=1)).max() < 0.6


def test_the_same_generator_state_draws_the_same_velocity():
    draw = [
        diffeomorphism.random_velocity(
            (9, 8), rng=np.random.default_rng(seed), amplitude=1, smoothness=2
        )
        for seed in (5, 5, 6)
    ]
    np.testing.assert_array_equal(draw[0], draw[1])
    assert not np.allclose(draw[0], draw[2])


@pytest.mark.parametrize(
    "where",
    [np.s_[4:7, 3:9], np.s_[:3, 5:6], np.s_[9:, 11:], np.s_[:, 2:5], np.s_[:, :], np.s_[0:0, :]],
    ids=["middle", "one edge", "corner", "from edge to edge", "everywhere", "nowhere"],
)
def test_a_field_is_interpolated_to_the_bit_wherever_it_moves(where):
    rng = np.random.default_rng(1)
    field = np.zeros((3, 12, 14), np.float32)
    field[:, *where] = rng.standard_normal(field[:, *where].shape)
    # On the grid's points, between them, and beyond it.
    positions = np.meshgrid(np.arange(-3, 16, 0.25), np.arange(-3, 18, 0.5), indexing="ij")
    positions = np.stack([*positions]).astype(np.float32)
    found = diffeomorphism.sample_field(field, positions)
    assert found.dtype == np.float32
    expected = [map_coordinates(part, positions, order=1, mode="nearest") for part in field]
    np.testing.assert_array_equal(found, expected)


def test_a_constant_velocity_is_a_translation():
    velocity = np.full((2, 12, 10), 3.0, np.float32)
    np.testing.assert_allclose(diffeomorphism.integrate(velocity), 3.0, rtol=1e-6)


def test_without_a_velocity_nothing_moves():
    still = diffeomorphism.integrate(np.zeros((3, 4, 5, 6)))
    assert still.dtype == np.float32
    np.testing.assert_array_equal(still, np.zeros((3, 4, 5, 6)))


def test_the_flow_of_a_linear_velocity_is_the_exponential():
    # dx/dt = 0.1 (x - 40) from x(0): x(1) = 40 + exp(0.1) (x - 40).
    x = np.arange(81, dtype=np.float32) - 40
    velocity = np.stack([np.tile(0.1 * x[:, None], (1, 5)), np.zeros((81, 5), np.float32)])
    displacement = diffeomorphism.integrate(velocity, largest_step=0.02)
    expected = (np.exp(0.1) - 1) * x
    np.testing.assert_allclose(displacement[0, 8:-8, 2], expected[8:-8], rtol=5e-3, atol=1e-3)
    np.testing.assert_array_equal(displacement[1], 0)


def test_the_flow_of_the_negative_velocity_is_the_inverse(velocity):
    forward = diffeomorphism.integrate(velocity)
    backward = diffeomorphism.integrate(-velocity)
    assert np.abs(inner(diffeomorphism.compose(forward, backward), 6)).max() < 0.06
    assert np.abs(inner(forward, 6)).max() > 1


def test_a_flow_does_not_fold(velocity):
    steep = diffeomorphism.integrate(3 * velocity)
    assert diffeomorphism.jacobian_determinant(steep).min() > 0
    assert diffeomorphism.jacobian_determinant(3 * velocity).min() < 0.3


def test_inversion_composes_to_the_identity(velocity):
    forward = diffeomorphism.integrate(velocity)
    inverse = diffeomorphism.invert(forward)
    assert np.abs(inner(diffeomorphism.compose(forward, inverse), 6)).max() < 2e-3
    assert np.abs(inner(diffeomorphism.compose(inverse, forward), 6)).max() < 0.06


def test_a_folding_map_cannot_be_inverted():
    x = np.arange(32, dtype=np.float32)
    fold = np.stack([np.tile(8 * np.sin(x)[:, None], (1, 8)), np.zeros((32, 8), np.float32)])
    with pytest.raises(ValueError, match="cannot be inverted"):
        diffeomorphism.invert(fold)


def test_composition_applies_the_inner_map_first():
    shift = np.zeros((2, 20, 20), np.float32)
    shift[0] = 2
    stretch = np.stack([0.1 * np.indices((20, 20))[0], np.zeros((20, 20))]).astype(np.float32)
    # outer(inner(p)) = 1.1 (p + 2), on the points that inner keeps on the grid.
    composed = diffeomorphism.compose(stretch, shift)
    x = np.arange(17)
    np.testing.assert_allclose(composed[0, :17, 3], 1.1 * (x + 2) - x, rtol=1e-5)


def test_the_jacobian_determinant_of_a_scaling_in_millimetres():
    spacing = (2.0, 3.0, 4.0)
    points = np.indices((8, 8, 8)) * np.reshape(spacing, (3, 1, 1, 1))
    determinant = diffeomorphism.jacobian_determinant(0.1 * points, spacing=spacing)
    np.testing.assert_allclose(determinant, 1.1**3, rtol=1e-6)
