import numpy as np
import pytest
from helpers.film_files import ramp_film
from PIL import Image
from skimage.exposure import equalize_hist
from skimage.transform import resize as skimage_resize

from pipeline.chest.frame import Frame, find_frame
from pipeline.chest.prepare import (
    centre_crop,
    equalise,
    exposed_part,
    film_to_raw,
    limit_markers,
    prepare_film,
    resize_film,
)
from pipeline.stage.errors import ImageError


def test_film_is_equalised_into_the_range():
    film = prepare_film(ramp_film(400, 320).astype(np.float32), 64)
    assert film.shape == (64, 64)
    assert film.dtype == np.float32
    assert -1 <= film.min() < -0.9
    assert film.max() == 1
    # As many pixels at every grey value.
    counts, _ = np.histogram(film, bins=8, range=(-1, 1))
    assert counts.min() > 0.9 * film.size / 8


def test_same_as_scikit_image():
    film = ramp_film(500, 400).astype(np.float32)
    square = film[50:450]
    small = skimage_resize(square, (64, 64), order=1, anti_aliasing=True)
    expected = 2 * equalize_hist(small, nbins=256) - 1
    assert np.abs(prepare_film(film, 64) - expected).mean() < 0.02


@pytest.mark.parametrize("size", [50, 64, 100, 777])
def test_resized_as_pillow_does(size):
    film = ramp_film(size, size)
    image = Image.fromarray(film.astype(np.float32)).resize((64, 64), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(resize_film(film, 64), np.asarray(image), rtol=1e-5)


def test_equalised_as_scikit_image_does():
    rng = np.random.default_rng(0)
    film = rng.normal(size=(128, 100)).astype(np.float32) ** 3
    scaled = (film - film.min()) / np.ptp(film)
    np.testing.assert_allclose(equalise(film), equalize_hist(scaled, nbins=256), atol=1e-5)


def test_exposure_does_not_matter():
    film = ramp_film(200, 200).astype(np.float32)
    np.testing.assert_allclose(prepare_film(3 * film + 50, 32), prepare_film(film, 32), atol=0.02)


def test_sides_are_cut_and_not_the_middle():
    film = np.tile(np.arange(300, dtype=np.float32), (100, 1))
    np.testing.assert_array_equal(prepare_film(film, 50), prepare_film(film[:, 100:200], 50))


@pytest.mark.parametrize("value", [0, 1000.1, -3])
def test_constant_film(value):
    with pytest.raises(ImageError, match="one grey value"):
        prepare_film(np.full((123, 97), value, np.float32), 32)


@pytest.mark.parametrize("value", [0, 1500, 4095, 65535])
def test_collimation_has_no_say(value):
    """The exposed part comes out as it would without the border, wherever that lies."""
    film = ramp_film(256, 256).astype(np.float32)
    bordered = np.full_like(film, value)
    bordered[20:, 30:240] = film[20:, 30:240]
    small = prepare_film(film[48:208, 56:216], 40)  # a square well inside the border
    inside = prepare_film(bordered, 64)[12:52, 14:54]
    assert np.corrcoef(inside.ravel(), small.ravel())[0, 1] > 0.99
    other = np.full_like(film, 700)
    other[20:, 30:240] = film[20:, 30:240]
    np.testing.assert_allclose(inside, prepare_film(other, 64)[12:52, 14:54], atol=0.01)


def test_border_is_black_and_ordinary_films_have_none():
    film = ramp_film(200, 200).astype(np.float32)
    assert exposed_part(film, 20) == (slice(0, 200), slice(0, 200))
    film[:40] = film[-40:] = film[:, :20] = 4095
    assert find_frame(film) == Frame()  # not around the whole film
    assert exposed_part(film, 20) == (slice(42, 158), slice(22, 200))
    assert (prepare_film(film, 100)[:19] == -1).all()


def test_film_that_is_mostly_border():
    film = np.full((200, 200), 4095, np.float32)
    film[60:160, 50:150] = ramp_film(100, 100)
    with pytest.raises(ImageError, match="mostly border"):
        prepare_film(film, 50)


@pytest.mark.parametrize("value", [0, 60000])
def test_marker_has_no_say(value):
    film = ramp_film(256, 256).astype(np.float32) + 500
    marked = film.copy()
    marked[10:30, 10:30] = value  # 0.6 % of the film
    plain, with_marker = prepare_film(film, 64), prepare_film(marked, 64)
    elsewhere = np.ones((64, 64), bool)
    elsewhere[:10, :10] = False
    assert np.abs(plain - with_marker)[elsewhere].max() < 0.05


def test_limits_leave_ordinary_films_alone():
    film = ramp_film().astype(float)
    np.testing.assert_array_equal(limit_markers(film), film)


@pytest.mark.parametrize("skew", [0.3, 0.5, 1, 2, 4])
def test_limits_are_those_of_the_percentiles(skew):
    """Whether or not the quick look at the film spares them."""
    film = np.random.default_rng(1).exponential(size=(60, 50)) ** skew
    low, high = np.percentile(film, [1, 99])
    expected = film.clip(2 * low - high, 2 * high - low)
    np.testing.assert_allclose(limit_markers(film), expected, rtol=1e-12)


def test_centre_crop():
    film = np.arange(30).reshape(5, 6)
    np.testing.assert_array_equal(centre_crop(film, 2), [[8, 9], [14, 15]])
    with pytest.raises(ValueError, match="does not fit"):
        centre_crop(film, 6)


@pytest.mark.parametrize("raw_shape", [(150, 121), (120, 161)])
@pytest.mark.parametrize("frame", [Frame(), Frame(left=20, top=12, right=21, bottom=28)])
def test_film_pixels_are_found_in_the_raw_film(raw_shape, frame):
    resize, crop = 40, 31
    inside = frame.shape_inside(raw_shape)
    side = min(inside)
    top, left = ((length - side) // 2 for length in inside)
    matrix = film_to_raw(raw_shape, frame, resize, crop)
    row, column = 20, 7
    raw_column, raw_row, _ = matrix @ [row, column, 1]
    # A film that shows its own coordinates, prepared the same way, shows where it came from.
    for axis, expected in enumerate((raw_row, raw_column)):
        ramp = frame.inside(np.indices(raw_shape)[axis].astype(np.float32))
        square = Image.fromarray(ramp[top : top + side, left : left + side])
        small = np.asarray(square.resize((resize, resize), Image.Resampling.BILINEAR))
        start = (resize - crop) // 2
        assert small[start + row, start + column] == pytest.approx(expected, abs=0.01)
