import resource
import struct

import numpy as np
import pandas as pd
import pytest
from helpers.film_files import (
    CRASHING_PRECISION,
    compress_dicom,
    compressed_film,
    crashing_film,
    make_dicom,
    ramp_film,
)
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate, get_frame

from pipeline.chest.prepare_shard import prepare_film_shard
from pipeline.chest.shards import film_key
from pipeline.dicom.film import read_film
from pipeline.stage.errors import ImageError

PIXELS = ramp_film()


@pytest.fixture
def little_memory():
    """Whoever asks for the memory of 65535 x 65535 pixels gets a MemoryError."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize(("stored", "high"), [(12, 15), (12, 13), (10, 15), (14, 15)])
@pytest.mark.parametrize("signed", [False, True])
def test_left_aligned(tmp_path, stored, high, signed):
    pixels = (PIXELS >> 12 - min(stored, 12)).astype(int) - (signed << stored - 1)
    words = pixels << high + 1 - stored
    path = make_dicom(
        tmp_path / "f",
        words,
        PixelData=words.astype("<i4").astype("<u2").tobytes(),
        BitsStored=stored,
        HighBit=high,
        PixelRepresentation=int(signed),
    )
    np.testing.assert_array_equal(read_film(path), pixels)


@pytest.mark.parametrize(("stored", "high"), [(12, 15), (12, 10), (12, 16), (12, 0)])
def test_high_bit_that_the_pixels_contradict(tmp_path, stored, high):
    path = make_dicom(tmp_path / "f", PIXELS, BitsStored=stored, HighBit=high)
    with pytest.raises(ImageError, match="contradict each other"):
        read_film(path)


@pytest.mark.parametrize("syntax", ["JPEGLosslessSV1", "JPEG2000Lossless", "RLELossless"])
def test_high_bit_of_compressed_pixels(tmp_path, syntax):
    plain = make_dicom(tmp_path / "plain", PIXELS, BitsStored=12, HighBit=11)
    path = compress_dicom(plain, tmp_path / "compressed", syntax)
    dataset = dcmread(path)
    dataset.HighBit = 15
    dataset.save_as(path)
    with pytest.raises(ImageError, match="contradict each other"):
        read_film(path)


SYNTAXES = [
    *("JPEGBaseline8Bit", "JPEGExtended12Bit", "JPEGLosslessSV1", "JPEGLSLossless"),
    *("JPEGLSNearLossless", "JPEG2000Lossless", "JPEG2000"),
]


def announce(stream: bytes) -> bytes:
    """The compressed image with a size of 65535 x 65535."""
    start = stream.find(b"\xff\x4f\xff\x51")
    if start == 0:
        side = struct.pack(">II", 65535, 65535)
        return stream[:8] + side + stream[16:24] + side + stream[32:]
    for marker in (b"\xff\xc0", b"\xff\xc1", b"\xff\xc3", b"\xff\xf7"):
        start = stream.find(marker)
        if start > 0:
            return stream[: start + 5] + b"\xff\xff\xff\xff" + stream[start + 9 :]
    raise ValueError("no size")


@pytest.mark.parametrize(
    ("syntax", "where"),
    [(syntax, where) for syntax in SYNTAXES for where in ("header", "image", "both")]
    + [("RLELossless", "header")],  # has no size of its own
)
def test_more_pixels_than_a_film_has(tmp_path, syntax, where, little_memory):
    path = compressed_film(tmp_path / "film", syntax)
    dataset = dcmread(path)
    stream = get_frame(dataset.PixelData, 0, number_of_frames=1)
    if where != "image":
        dataset.Rows = dataset.Columns = 65535
    if where != "header":
        dataset.PixelData = encapsulate([announce(stream)])
    dataset.save_as(path)
    with pytest.raises(ImageError, match="65535 x 65535 pixels are too many for a film"):
        read_film(path)


def test_png_that_announces_more_bytes_than_it_has(tmp_path, little_memory):
    path = tmp_path / "film"
    Image.fromarray(PIXELS).save(path, format="PNG")
    raw = bytearray(path.read_bytes())
    start = raw.index(b"IDAT")
    raw[start - 4 : start] = b"\xff\xff\xff\xff"
    path.write_bytes(raw)
    np.testing.assert_array_equal(read_film(path), PIXELS)


def test_more_pixels_than_there_are(tmp_path):
    path = make_dicom(tmp_path / "f", PIXELS, Rows=8000, Columns=8000)
    with pytest.raises(ImageError, match="truncated"):
        read_film(path)


@pytest.mark.parametrize("syntax", ["JPEGLosslessSV1", "JPEG2000Lossless"])
def test_compressed_image_of_another_size(tmp_path, syntax):
    path = compress_dicom(make_dicom(tmp_path / "plain", PIXELS), tmp_path / "c", syntax)
    dataset = dcmread(path)
    dataset.Rows, dataset.Columns = 32, 40
    dataset.save_as(path)
    with pytest.raises(ImageError, match="not of the size"):
        read_film(path)


@pytest.mark.parametrize("syntax", CRASHING_PRECISION)
def test_image_that_crashes_its_decoder(tmp_path, syntax, capfd):
    with pytest.raises(ImageError, match=r"cannot be decoded: .*; the decoder crashed \(SIG"):
        read_film(crashing_film(tmp_path / "film", syntax))
    assert capfd.readouterr().err == ""


def test_film_that_crashes_its_decoder_stops_no_other(tmp_path):
    good = compress_dicom(make_dicom(tmp_path / "plain", PIXELS), tmp_path / "a", "JPEGLosslessSV1")
    paths = [crashing_film(tmp_path / "b", "JPEGLSLossless"), good]
    manifest = pd.DataFrame({"subject": ["b", "a"], "session": "d0", "path": map(str, paths)})
    prepare_film_shard(manifest, tmp_path / "0.npz", tmp_path / "0.csv", resize=24)
    assert film_key("a", "d0") in np.load(tmp_path / "0.npz")
    excluded = pd.read_csv(tmp_path / "0.csv")
    assert excluded[["subject", "rule"]].to_numpy().tolist() == [["b", "unreadable"]]


def test_uncompressed_films_are_decoded_here(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.dicom.decoding.call_apart", None)
    np.testing.assert_array_equal(read_film(make_dicom(tmp_path / "f", PIXELS)), PIXELS)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.1", "1.2.3", "no UID"])
def test_transfer_syntax_that_is_none(tmp_path, syntax):
    path = make_dicom(tmp_path / "f", PIXELS)
    usual = b"1.2.840.10008.1.2.1\0"
    path.write_bytes(path.read_bytes().replace(usual, syntax.ljust(len(usual), "\0").encode()))
    with pytest.raises(ImageError, match="cannot be decoded: transfer syntax unknown"):
        read_film(path)
