"""What is kept of a film from a server."""

import pytest
from helpers.film_files import make_dicom, ramp_film
from pydicom import config, dcmread

from pipeline.dicom.attributes import keep_needed


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (["DERIVED", "PRIMARY", "POST_PROCESSED"], ["DERIVED", "PRIMARY"]),
        (["ORIGINAL", "SECONDARY", "JANE DOE"], ["ORIGINAL", "SECONDARY"]),
        ("JANE DOE", []),
        ([], []),
    ],
)
def test_only_the_standards_words_stay_of_an_image_type(tmp_path, written, kept):
    film = dcmread(make_dicom(tmp_path / "film.dcm", ramp_film()))
    with config.disable_value_validation():
        film.ImageType = written
        film.save_as(tmp_path / "film.dcm")
    types = keep_needed((tmp_path / "film.dcm").read_bytes()).get("ImageType")
    assert ([types] if isinstance(types, str) else list(types or [])) == kept
