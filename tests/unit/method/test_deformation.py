"""Sampling conventions of the displacement fields."""

import pytest
import torch

from pipeline.method.deformation import warp


@pytest.mark.parametrize("dimensions", [2, 3])
def test_agrees_with_the_reference(formulas, signal, dimensions):
    expected = formulas[f"deform{dimensions}d"]
    shape = expected["shape"]
    phi = 2.5 * signal((shape[0], dimensions, *shape[2:]), 0.17)
    deformed = warp(signal(shape, 0.31), phi)
    assert deformed.double().sum().item() == pytest.approx(expected["sum"], rel=1e-4)
    assert deformed.double().abs().sum().item() == pytest.approx(expected["abs_sum"], rel=1e-4)
    first = deformed.flatten()[:8].tolist()
    assert first == pytest.approx(expected["first8"], rel=1e-4, abs=1e-6)


def test_channel_0_displaces_along_the_last_axis(formulas):
    image = torch.zeros(1, 1, 5, 6)
    image[0, 0, 2, 3] = 1
    phi = torch.zeros(1, 2, 5, 6)
    phi[:, 0] = 1
    moved = warp(image, phi)[0, 0].argmax().item()
    expected = formulas["shift_channel0_plus1_moves_pixel_from_(2,3)_to"]
    assert list(divmod(moved, 6)) == expected


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_whole_voxel_shifts_of_a_volume(axis):
    image = torch.rand(1, 1, 4, 5, 6)
    phi = torch.zeros(1, 3, 4, 5, 6)
    phi[:, 2 - axis] = 1
    expected = torch.zeros_like(image)
    size = image.shape[2 + axis]
    shifted = image.narrow(2 + axis, 1, size - 1)
    expected.narrow(2 + axis, 0, size - 1).copy_(shifted)  # zero beyond the last voxel
    torch.testing.assert_close(warp(image, phi), expected, atol=1e-5, rtol=0)


def test_a_field_of_another_grid_is_refused():
    with pytest.raises(ValueError, match="a field of shape"):
        warp(torch.zeros(1, 1, 4, 4), torch.zeros(1, 3, 4, 4))
