import struct
import zlib
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from helpers.film_files import compress_dicom, make_dicom, ramp_film
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from scipy.ndimage import gaussian_filter

from pipeline.chest.prepare import prepare_film
from pipeline.dicom.film import film_format, parse_day, pixel_mm, read_film, read_header
from pipeline.stage.errors import ImageError

PIXELS = ramp_film()


def real_film(name: str) -> Path:
    return Path(get_testdata_file(name, download=False))


def test_real_film_has_dense_tissue_bright():
    film = read_film(real_film("RG1_UNCR.dcm"))
    assert film.shape == (1955, 1841)
    assert film.dtype == np.uint16  # as stored
    # The mediastinum and what lies below the diaphragm against the lungs.
    assert film[900:1100, 880:960].mean() > film[700:1000, 400:600].mean()
    assert film[1800:, 800:1000].mean() > film[700:1000, 1250:1450].mean()


def test_real_film_in_jpeg_2000_is_the_same():
    np.testing.assert_array_equal(
        read_film(real_film("RG1_J2KR.dcm")), read_film(real_film("RG1_UNCR.dcm"))
    )


@pytest.mark.parametrize(
    "syntax",
    [
        "JPEGLosslessSV1",
        "JPEGLSLossless",
        "JPEG2000Lossless",
        "RLELossless",
    ],
)
@pytest.mark.parametrize("bits", [10, 12, 16])
def test_compressed_without_loss(tmp_path, syntax, bits):
    pixels = PIXELS.astype(int) * (2**bits - 1) // PIXELS.max()
    plain = make_dicom(tmp_path / "plain", pixels, BitsStored=bits, HighBit=bits - 1)
    film = read_film(compress_dicom(plain, tmp_path / "compressed", syntax))
    np.testing.assert_array_equal(film, pixels)


def test_baseline_jpeg(tmp_path):
    eight = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    pixels = np.linspace(20, 230, 64 * 48).reshape(64, 48).astype(np.uint8)
    plain = make_dicom(tmp_path / "plain", pixels, PixelData=pixels.tobytes(), **eight)
    film = read_film(compress_dicom(plain, tmp_path / "compressed", "JPEGBaseline8Bit"))
    np.testing.assert_allclose(film, pixels, atol=6)


@pytest.mark.parametrize("syntax", ["JPEGExtended12Bit", "JPEG2000", "JPEGLSNearLossless"])
@pytest.mark.parametrize("bits", [10, 12])
def test_compressed_with_loss(tmp_path, syntax, bits):
    pixels = gaussian_filter(PIXELS, 2) >> 12 - bits
    plain = make_dicom(tmp_path / "plain", pixels, BitsStored=bits, HighBit=bits - 1)
    film = read_film(compress_dicom(plain, tmp_path / "compressed", syntax))
    np.testing.assert_allclose(film.astype(int), pixels, atol=3)


def test_real_image_in_jpeg_extended(tmp_path):
    image = dcmread(real_film("JPGExtended.dcm"))  # not a film: two views of a skeleton
    del image.Modality
    image.save_as(tmp_path / "image")
    image = read_film(tmp_path / "image")
    assert image.shape == (1024, 256)
    assert (
        np.abs(np.diff(image.astype(int), axis=0)).mean() < 2
    ).all()  # no noise of a wrong order


def test_slice_of_a_tomogram_is_no_film():
    with pytest.raises(ImageError, match="not a film by its modality"):
        read_film(real_film("CT_small.dcm"))


def test_compressed_pixels_that_break_off(tmp_path):
    plain = make_dicom(tmp_path / "plain", PIXELS)
    path = compress_dicom(plain, tmp_path / "compressed", "JPEGLSLossless")
    dataset = dcmread(path)
    dataset.PixelData = dataset.PixelData[:60] + bytes(len(dataset.PixelData) - 60)
    dataset.save_as(path)
    with pytest.raises(ImageError, match="cannot be decoded: transfer syntax JPEG-LS Lossless"):
        read_film(path)


def test_directory_of_a_medium_is_no_film(tmp_path):
    path = real_film("dicomdirtests/DICOMDIR")
    for read in (read_header, read_film):
        with pytest.raises(ImageError, match="without an image"):
            read(path)


def test_real_header():
    header = read_header(real_film("RG1_UNCR.dcm"))
    assert (header.patient_id, header.modality) == ("9RG1", "CR")
    assert header.study_date == date(2004, 8, 26)
    assert (header.view, header.view_reason) == ("PA", "ViewPosition")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": [0.1, 0.1]}, 0.2),
        ({"PixelSpacing": [0.1, 0.1]}, 0.1),
        ({"ImagerPixelSpacing": None, "PixelSpacing": [0.1, 0.1]}, 0.1),
        ({}, np.nan),
        ({"PixelSpacing": [0.1, 0.2]}, np.nan),
        ({"PixelSpacing": 0.1}, np.nan),
        ({"PixelSpacing": [0, 0]}, np.nan),
    ],
)
def test_size_of_pixels(tmp_path, tags, expected):
    np.testing.assert_equal(pixel_mm(make_dicom(tmp_path / "f", PIXELS, **tags)), expected)


def test_size_of_pixels_that_is_no_number(tmp_path):
    path = make_dicom(tmp_path / "f", PIXELS, PixelSpacing=["0.25", "0.25"])
    path.write_bytes(path.read_bytes().replace(rb"0.25\0.25", rb"zero\zero"))
    assert np.isnan(pixel_mm(path))


def test_pixels_of_a_png_have_no_size(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "f.png")
    assert np.isnan(pixel_mm(tmp_path / "f.png"))


@pytest.mark.parametrize("characters", ["ISO_IR 192", "ISO_IR 100", None])
def test_ids_beyond_ascii(tmp_path, characters):
    path = make_dicom(tmp_path / "f", PIXELS, SpecificCharacterSet=characters, PatientID="Zoë 7")
    assert read_header(path).patient_id == "Zoë 7"


def test_monochrome1_is_inverted_and_2_is_not(tmp_path):
    two = read_film(make_dicom(tmp_path / "2", PIXELS))
    inverted = 65535 - PIXELS
    one = read_film(make_dicom(tmp_path / "1", inverted, PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_array_equal(two, PIXELS)
    np.testing.assert_array_equal(one, PIXELS)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_signed_pixels(tmp_path, photometric):
    pixels = PIXELS.astype(int) - 2000
    stored = pixels if photometric == "MONOCHROME2" else -pixels
    path = make_dicom(
        tmp_path / "f",
        stored,
        PixelData=stored.astype("<i2").tobytes(),
        PixelRepresentation=1,
        PhotometricInterpretation=photometric,
    )
    film = read_film(path).astype(int)
    np.testing.assert_array_equal(film - film.min(), pixels - pixels.min())


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("slope", [0.25, 1, -2])
def test_prepared_as_modality_rescale_says(tmp_path, slope, photometric):
    path = make_dicom(
        tmp_path / "f",
        PIXELS,
        RescaleSlope=slope,
        RescaleIntercept="-1024",
        PhotometricInterpretation=photometric,
    )
    grey = float(slope) * PIXELS - 1024
    bright = grey if photometric == "MONOCHROME2" else -grey
    np.testing.assert_allclose(
        prepare_film(read_film(path), 24), prepare_film(bright, 24), atol=0.01
    )


@pytest.mark.parametrize("slope", ["0", "", "Snickettsby"])
def test_rescale_that_is_none(tmp_path, slope):
    path = make_dicom(tmp_path / "f", PIXELS, RescaleSlope="1", RescaleIntercept="0")
    # As pydicom would not write it.
    path.write_bytes(
        path.read_bytes().replace(
            b"\x28\x00\x53\x10DS\x02\x001 ",
            b"\x28\x00\x53\x10DS"
            + (len(slope) + len(slope) % 2).to_bytes(2, "little")
            + slope.ljust(len(slope) + len(slope) % 2).encode(),
        )
    )
    with pytest.raises(ImageError, match="modality LUT cannot be applied") as caught:
        read_film(path)
    assert "Snickettsby" not in str(caught.value)


def test_modality_lookup_table_is_applied(tmp_path):
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    table.ModalityLUTType = "US"
    table.LUTData = (np.arange(4096) ** 2 // 256).astype("<u2").tobytes()
    table["LUTData"].VR = "OW"
    path = make_dicom(tmp_path / "f", PIXELS, ModalityLUTSequence=Sequence([table]))
    np.testing.assert_array_equal(read_film(path), PIXELS.astype(int) ** 2 // 256)


def test_window_does_not_clip(tmp_path):
    path = make_dicom(tmp_path / "f", PIXELS, WindowCenter="2000", WindowWidth="100")
    np.testing.assert_array_equal(read_film(path), PIXELS)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_dark(tmp_path, photometric):
    padded = PIXELS.copy()
    padded[:, :5] = 60000
    path = make_dicom(
        tmp_path / "f",
        padded,
        PhotometricInterpretation=photometric,
        PixelPaddingValue=59000,
        PixelPaddingRangeLimit=61000,
    )
    film = read_film(path)
    assert (film[:, :5] == film.min()).all()
    assert np.ptp(film) == np.ptp(PIXELS[:, 5:])


@pytest.mark.parametrize(
    ("pixels", "tags", "reason"),
    [
        (PIXELS, {"PhotometricInterpretation": "PALETTE COLOR"}, "not a grey image"),
        (PIXELS, {"PhotometricInterpretation": None}, "not a grey image"),
        (np.stack([PIXELS] * 2), {"NumberOfFrames": 2}, "multi-frame"),
        (np.stack([PIXELS] * 3), {"SamplesPerPixel": 3, "PlanarConfiguration": 1}, "not a grey"),
        (PIXELS[:-1], {"Rows": 40}, "the pixel data are truncated"),
        (PIXELS, {"PixelData": None}, "no pixel data"),
        (np.full((4, 4), 9), {"PixelPaddingValue": 9}, "nothing but padding"),
    ],
)
def test_bad_dicom(tmp_path, pixels, tags, reason):
    path = make_dicom(tmp_path / "f.dcm", pixels, **tags)
    with pytest.raises(ImageError, match=reason):
        read_film(path)


@pytest.mark.parametrize("element", [b"\xe0\x7f\x10\x00OW", b"\x28\x00\x10\x00US"])
def test_needed_element_of_no_kind(tmp_path, element):
    """Pixels, rows."""
    path = make_dicom(tmp_path / "f.dcm", PIXELS)
    path.write_bytes(path.read_bytes().replace(element, element[:4] + b"O\0"))
    with pytest.raises(ImageError, match="cannot be read"):
        read_film(path)


def test_file_cut_within_its_pixels(tmp_path):
    path = make_dicom(tmp_path / "f.dcm", PIXELS)
    path.write_bytes(path.read_bytes()[:-1000])
    assert read_header(path).view == "PA"
    with pytest.raises(ImageError, match="the pixel data are truncated"):
        read_film(path)


@pytest.mark.parametrize("syntax", ["JPEGLosslessSV1", "RLELossless"])
def test_file_cut_within_its_compressed_pixels(tmp_path, syntax, capfd):
    plain = make_dicom(tmp_path / "plain", PIXELS)
    path = compress_dicom(plain, tmp_path / "compressed", syntax)
    path.write_bytes(path.read_bytes()[:-600])
    assert read_header(path).view == "PA"
    with pytest.raises(ImageError, match="the pixel data are truncated"):
        read_film(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("length", range(140, 700, 35))
def test_file_cut_within_its_header_leaks_nothing(tmp_path, length, capfd):
    path = make_dicom(tmp_path / "Ångström.dcm", PIXELS)
    path.write_bytes(path.read_bytes()[:length])
    for read in (read_header, read_film):
        try:
            read(path)
        except ImageError as error:
            assert "ngstr" not in str(error)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"a text file", "not a DICOM, PNG or JPEG file"),
        (b"PK\3\4" * 99, "a zip archive"),
    ],
)
def test_not_a_film(tmp_path, content, reason):
    path = tmp_path / "film.dcm"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=reason) as caught:
        read_film(path)
    assert "film.dcm" not in str(caught.value)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png(tmp_path, dtype):
    pixels = (PIXELS // 16).astype(np.uint8) if dtype is np.uint8 else PIXELS
    path = tmp_path / "no suffix $(x)"
    Image.fromarray(pixels).save(path, format="PNG")
    assert film_format(path) == "png"
    np.testing.assert_array_equal(read_film(path), pixels)


def test_bad_png(tmp_path):
    colour = tmp_path / "colour.png"
    Image.fromarray(np.eye(3, dtype=np.uint8)[None] * 255).save(colour)
    with pytest.raises(ImageError, match="not a grey image"):
        read_film(colour)
    cut = tmp_path / "cut.png"
    Image.fromarray(PIXELS).save(cut)
    cut.write_bytes(cut.read_bytes()[:-900])
    with pytest.raises(ImageError, match="truncated or damaged"):
        read_film(cut)


def test_header_of_a_dicom_without_image(tmp_path):
    with pytest.raises(ImageError, match="without an image"):
        read_header(make_dicom(tmp_path / "f", PIXELS, Rows=None))


def test_header_values_of_bad_form_are_not_quoted(tmp_path, recwarn):
    with pytest.warns(UserWarning):
        path = make_dicom(tmp_path / "f", PIXELS, StudyDate="Snickettsby", PatientID="x" * 80)
    recwarn.clear()
    header = read_header(path)
    assert header.study_date is None
    assert header.patient_id == "x" * 80
    assert not recwarn


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("20150311", date(2015, 3, 11)),
        ("2015.03.11", date(2015, 3, 11)),
        ("2015311", None),
        ("2015.311", None),
        ("20150231", None),
        ("", None),
    ],
)
def test_a_day_counts_only_if_the_whole_text_is_one(text, day):
    assert parse_day(text) == day


EIGHT = (PIXELS // 16).astype(np.uint8)


@pytest.mark.parametrize("mode", ["RGB", "LA", "RGBA", "P"])
def test_png_with_channels_of_one_grey(tmp_path, mode):
    path = tmp_path / "film"
    Image.fromarray(EIGHT).convert(mode).save(path, format="PNG")
    np.testing.assert_array_equal(read_film(path), EIGHT)


def test_png_with_transparent_pixels_is_refused(tmp_path):
    path = tmp_path / "film"
    alpha = Image.fromarray(np.where(EIGHT > 100, 255, 0).astype(np.uint8))
    image = Image.fromarray(EIGHT).convert("RGB")
    image.putalpha(alpha)
    image.save(path, format="PNG")
    with pytest.raises(ImageError, match="transparent"):
        read_film(path)


def grey_png(pixels, bits):
    """PNG of 1, 2 or 4 bits, which Pillow does not write."""
    rows, columns = pixels.shape
    digits = np.unpackbits(pixels[..., None], axis=-1)[..., 8 - bits :].reshape(rows, -1)
    packed = np.packbits(digits, axis=1)
    lines = b"".join(b"\0" + row.tobytes() for row in packed)

    def chunk(kind, data):
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", columns, rows, bits, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("bits", [2, 4])
def test_png_of_few_bits(tmp_path, bits):
    path = tmp_path / "film"
    pixels = EIGHT >> 8 - bits
    path.write_bytes(grey_png(pixels, bits))
    film = read_film(path)
    np.testing.assert_array_equal(film, pixels * (255 // (2**bits - 1)))


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg(tmp_path, mode):
    path = tmp_path / "film"
    smooth = gaussian_filter(EIGHT, 2)
    Image.fromarray(smooth).convert(mode).save(path, format="JPEG", quality=95)
    assert film_format(path) == "jpeg"
    np.testing.assert_allclose(read_film(path).astype(int), smooth, atol=4)


def test_jpeg_turned_by_its_camera(tmp_path):
    path = tmp_path / "film"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(gaussian_filter(EIGHT, 2)).save(path, format="JPEG", exif=exif)
    assert read_film(path).shape == EIGHT.T.shape


def test_colour_jpeg_is_refused(tmp_path):
    path = tmp_path / "film"
    colours = np.zeros((16, 16, 3), np.uint8)
    colours[:8, :, 0] = 200
    Image.fromarray(colours).save(path, format="JPEG")
    with pytest.raises(ImageError, match="not a grey image"):
        read_film(path)


@pytest.mark.parametrize("lost", ["preamble", "meta group", "both"])
@pytest.mark.parametrize("implicit", [True, False])
def test_dicom_without_preamble_or_meta_group(tmp_path, lost, implicit):
    dataset = dcmread(make_dicom(tmp_path / "f", PIXELS))
    path = tmp_path / "bare"
    if lost == "preamble":
        path.write_bytes((tmp_path / "f").read_bytes()[132:])
    else:
        del dataset.file_meta
        dataset.preamble = None if lost == "both" else bytes(128)
        dataset.save_as(path, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    assert film_format(path) == "dicom"
    assert read_header(path).view == "PA"
    np.testing.assert_array_equal(read_film(path), PIXELS)
