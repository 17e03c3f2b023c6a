"""Names that are written otherwise are told, never taken for each other."""

import logging
import unicodedata

import pytest

from pipeline.cohort.spelling import near_misses, tell_near_misses
from pipeline.stage.errors import InputError


@pytest.mark.parametrize(
    ("name", "other", "difference"),
    [
        ("0012", "12", "leading zeros"),
        ("P0012", "P12", "leading zeros"),
        ("abc", "ABC", "upper and lower case"),
        ("Zoë", unicodedata.normalize("NFD", "Zoë"), "how accented letters are composed"),
        ("12.0", "12", "a decimal point and zero"),
        ("A-7", "A 7", "blanks and punctuation"),
        ("x.nii", "x.nii.gz", "the suffix .gz"),
        ("a 007", "A7", "leading zeros and upper and lower case and blanks and punctuation"),
    ],
)
def test_what_differs(name, other, difference):
    for one, two in ((name, other), (other, name)):
        told = near_misses({"here": one}, {"there": two, "elsewhere": "none"})
        assert told == {"here": f"that of there differs in {difference}"}


def test_names_that_are_found_or_others_are_no_misses():
    assert near_misses({"a": "12", "b": "", "c": "13"}, {"x": "12", "y": "012", "z": ""}) == {}


def test_two_examples_without_the_names(caplog):
    misses = near_misses({str(n): f"00{n}" for n in range(1, 5)}, {"t": "1", "u": "2", "v": "3"})
    with caplog.at_level(logging.WARNING):
        tell_near_misses(misses, "films find no test", found=True)
    assert caplog.messages == [
        "films find no test: 3, such as 1 (that of t differs in leading zeros) and "
        "2 (that of u differs in leading zeros); write the names alike"
    ]
    with pytest.raises(InputError, match="films find no test: 3"):
        tell_near_misses(misses, "films find no test", found=False)
    tell_near_misses({}, "films find no test", found=False)
