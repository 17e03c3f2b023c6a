import io

import numpy as np
import pytest
from helpers.film_files import make_dicom, ramp_film
from PIL import Image
from pydicom.data import get_testdata_file
from scipy.ndimage import zoom

from pipeline.chest.frame import Frame, find_frame
from pipeline.chest.prepare import prepare_film
from pipeline.dicom.film import read_film
from pipeline.stage.errors import ImageError


@pytest.fixture(scope="module")
def film():
    """A real radiograph (488, 460), 8 bit."""
    raw = read_film(get_testdata_file("RG1_UNCR.dcm", download=False))[:1952, :1840]
    small = raw.reshape(488, 4, 460, 4).mean(axis=(1, 3))
    return np.rint(255 * (small - small.min()) / np.ptp(small)).astype(np.uint8)


def framed(film, value, noise=0.0):
    """The film in a frame of a tenth of its sides."""
    rng = np.random.default_rng(0)
    padded = np.pad(film.astype(float), ((48, 49), (46, 47)), constant_values=value)
    outside = np.pad(np.zeros(film.shape, bool), ((48, 49), (46, 47)), constant_values=True)
    padded[outside] += rng.normal(0, noise * 255, outside.sum())
    return padded.clip(0, 255).round().astype(np.uint8)


def in_jpeg(film, quality):
    file = io.BytesIO()
    Image.fromarray(film).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def agreement(one, other):
    return np.corrcoef(*(prepare_film(film, 128).ravel() for film in (one, other)))[0, 1]


@pytest.mark.parametrize("value", [0, 90, 160, 255])
def test_prepared_as_without_its_frame(film, value):
    with_frame = framed(film, value)
    assert find_frame(with_frame) == Frame(left=46, top=48, right=47, bottom=49)
    np.testing.assert_array_equal(prepare_film(with_frame, 128), prepare_film(film, 128))


@pytest.mark.parametrize("value", [0, 90, 160, 255])
@pytest.mark.parametrize(("noise", "quality"), [(0.01, 100), (0, 90), (0, 75), (0.01, 85)])
def test_noise_and_jpeg_do_not_hide_a_frame(film, value, noise, quality):
    assert agreement(in_jpeg(framed(film, value, noise), quality), film) > 0.99


def test_frame_that_was_resized_with_its_film(film):
    assert agreement(zoom(framed(film, 255), 0.77, order=1), film) > 0.99


def test_frame_far_from_the_films_grey_values(film):
    with_frame = np.pad(film.astype(np.uint16), 30, constant_values=65535)
    assert find_frame(with_frame) == Frame(30, 30, 30, 30)


def test_films_without_frame_have_none(film):
    assert find_frame(film) == Frame()
    assert find_frame(ramp_film()) == Frame()


@pytest.mark.parametrize("edge", ["left", "top", "right", "bottom"])
def test_air_at_some_edges_is_no_frame(film, edge):
    """Cutting it off would cut the patient, since a square is taken."""
    widths = {"left": 30, "top": 30, "right": 30, "bottom": 30} | {edge: 0}
    pads = (widths["top"], widths["bottom"]), (widths["left"], widths["right"])
    assert find_frame(np.pad(film, pads)) == Frame()


def test_frame_of_two_grey_values_is_none(film):
    assert find_frame(np.pad(film, ((20, 20), (20, 20)), constant_values=(0, 255))) == Frame()


@pytest.mark.parametrize("value", [0, 7])
def test_film_of_one_grey_value_is_no_frame(value):
    assert find_frame(np.full((40, 30), value)) == Frame()


def test_signed_pixels(film):
    with_frame = np.pad(film.astype(np.int16) - 1000, 20, constant_values=-32768)
    assert find_frame(with_frame) == Frame(20, 20, 20, 20)


def test_padding_of_the_header_is_a_frame(film, tmp_path):
    padded = np.pad(film.astype(np.uint16), 20, constant_values=60000)
    path = make_dicom(tmp_path / "film", padded, PixelPaddingValue=60000)
    np.testing.assert_array_equal(prepare_film(read_film(path), 64), prepare_film(film, 64))


def test_film_that_is_mostly_frame(film):
    with pytest.raises(ImageError, match="mostly border"):
        prepare_film(np.pad(film, 120, constant_values=255), 128)
