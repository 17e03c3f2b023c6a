"""Pictures, arrows and lengths are where and what they say."""

import numpy as np
import pytest
import torch

from pipeline.drawing.panels import (
    ARROWS,
    COLOURS,
    arrows_in,
    cut,
    log_jacobian,
    planes_of,
    plt,
    scale_bar,
    show_field,
)
from pipeline.method.deformation import warp

SHAPE = (20, 30, 24)


@pytest.mark.parametrize(
    ("plane", "right", "up"), [("sagittal", 1, 2), ("coronal", 0, 2), ("axial", 0, 1)]
)
def test_pictures_and_arrows_of_a_volume_go_the_same_way(plane, right, up):
    """A bright voxel beside the middle is found where its direction is in the picture."""
    volume = np.zeros(SHAPE)
    at = [round(20 * 40 / 128), round(30 * 83 / 160), round(24 / 2)]
    at[right] += 3
    at[up] += 2
    volume[tuple(at)] = 1
    picture = cut(volume, plane)
    row, column = np.argwhere(picture)[0]
    assert column == at[right]
    assert row == SHAPE[up] - 1 - at[up]
    phi = np.zeros((3, *SHAPE))
    phi[2 - right], phi[2 - up] = 1.5, 0.5  # channel 0 runs along the last array axis
    rightwards, down = arrows_in(phi, plane)
    assert np.unique(rightwards) == [1.5]
    assert np.unique(down) == [-0.5]


def test_film_is_shown_as_it_is():
    film = np.arange(12.0).reshape(3, 4)
    assert planes_of(film) == ("film",)
    assert cut(film, "film") is film


def test_an_arrow_runs_from_where_an_intensity_is_to_where_it_goes():
    image = torch.zeros(1, 1, 16, 16)
    image[0, 0, 6, 9] = 1
    phi = torch.zeros(1, 2, 16, 16)
    phi[0, 0], phi[0, 1] = 4, -4
    row, column = np.argwhere(warp(image, phi)[0, 0].numpy())[0]
    figure, axes = plt.subplots()
    right, down = phi[0].numpy()
    arrows = show_field(axes, image[0, 0].numpy(), right, down, COLOURS["paper"], step=1, scale=5)
    index = int(np.flatnonzero((arrows.XY == [9, 6]).all(axis=1))[0])
    # The drawn arrow is five times as long, its colour the true length.
    assert [arrows.U[index] / 5, arrows.V[index] / 5] == [column - 9, row - 6]
    assert arrows.get_array()[index] == pytest.approx(np.hypot(4, 4))
    plt.close(figure)


def test_growth_has_a_positive_logarithm_and_a_fold_none():
    phi = np.zeros((2, 8, 8))
    phi[0] = np.arange(8) - 3.5  # sampled at twice the distance: twice as large in the image
    np.testing.assert_allclose(log_jacobian(phi), np.log(2))
    assert np.isnan(log_jacobian(-3 * phi)).all()


@pytest.mark.parametrize(
    ("width", "pixel_mm", "text"), [(128, 1.3, "50 mm"), (224, None, "50 px"), (10, 1.3, "2 mm")]
)
def test_scale_bar_is_as_long_as_it_says(width, pixel_mm, text):
    figure, axes = plt.subplots()
    scale_bar(axes, width, pixel_mm)
    start, end = axes.lines[0].get_xdata()
    assert axes.texts[0].get_text() == text
    assert (end - start) * width * (pixel_mm or 1) == pytest.approx(float(text.split()[0]))
    plt.close(figure)


def test_films_and_volumes_have_the_papers_arrows():
    assert ARROWS == {2: 1, 3: 5}
