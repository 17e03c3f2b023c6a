"""What the text of a column means."""

import numpy as np
import pandas as pd
import pytest

from pipeline.cohort.readings import is_given, parse_dates, read_dates, read_numbers
from pipeline.stage.errors import InputError


def lines(cells):
    return pd.Series([f"T.csv:{number}" for number, _ in enumerate(cells, start=2)])


def dates(cells, date_format=None):
    return read_dates(pd.Series(cells), lines(cells), "when", date_format).tolist()


def numbers(*cells):
    return read_numbers(pd.Series(cells), lines(cells), "ratio").tolist()


def test_parse_dates():
    text = pd.Series(["2006-03-09", "3/9/2006", "", "-4", "2006-02-30", "soon"])
    iso = parse_dates(text)
    assert iso.notna().tolist() == [True, False, False, False, False, False]
    both = parse_dates(text, ["%Y-%m-%d", "%m/%d/%Y"])
    assert both[0] == both[1] == pd.Timestamp(2006, 3, 9)
    assert both[2:].isna().all()


@pytest.mark.parametrize("text", ["2015311", "20150311x", "2015 311", "201503110", "２０１５0311"])
def test_a_date_counts_only_if_the_whole_text_has_the_format(text):
    assert parse_dates(pd.Series([text, "20150311"]), ["%Y-%m-%d", "%Y%m%d"]).tolist() == [
        pd.NaT,
        pd.Timestamp(2015, 3, 11),
    ]


JANUARY = pd.Timestamp(2010, 1, 15)


@pytest.mark.parametrize(
    "text",
    [
        *("2010-01-15", "2010/01/15", "20100115", "15.01.2010", "15.1.2010", "01/15/2010"),
        *("1/15/2010", "15/01/2010", "15-01-2010", "15-Jan-2010", "15JAN2010", "15 January 2010"),
        *("January 15, 2010", "40193", "40193.5", "40193,25"),
        *("2010-01-15T10:30:00Z", "2010-01-15 10:30", "01/15/2010 1:30 PM", "15.01.2010 13:30:15"),
        *("2010-01-15T10", "20100115T103000.25+0100", "2010-01-15 10:30:00.000", "15OCT2010"),
    ],
)
def test_dates_that_can_be_read_in_one_way(text):
    expected = JANUARY.replace(month=10) if "OCT" in text else JANUARY
    assert dates([text, ""]) == [expected, pd.NaT]


def test_one_date_tells_for_the_whole_column():
    assert dates(["03/04/2010", "15/01/2010"]) == [pd.Timestamp(2010, 4, 3), JANUARY]
    assert dates(["03/04/2010", "01/15/2010"]) == [pd.Timestamp(2010, 3, 4), JANUARY]
    assert dates(["03/03/2010"]) == [pd.Timestamp(2010, 3, 3)]


def test_a_format_that_nothing_proves_is_asked_for():
    cells = ["", "03/04/2010", "05/06/2011"]
    with pytest.raises(InputError, match=r"when may have .* T.csv:3; .*date_format") as error:
        dates(cells)
    assert "2010" not in str(error.value)
    assert dates(cells, "%d/%m/%Y")[1:] == [pd.Timestamp(2010, 4, 3), pd.Timestamp(2011, 6, 5)]
    assert dates(cells, "%m/%d/%Y")[1:] == [pd.Timestamp(2010, 3, 4), pd.Timestamp(2011, 5, 6)]


def test_dates_that_contradict_each_other_name_both_lines():
    with pytest.raises(InputError, match=r"month first at T.csv:2 and the day first at T.csv:3"):
        dates(["01/15/2010", "15/01/2010"])


def test_two_digits_of_a_year_need_their_format():
    assert dates(["03/04/10"]) == [pd.NaT]
    assert dates(["03/04/10"], "%d/%m/%y") == [pd.Timestamp(2010, 4, 3)]


def test_a_few_odd_dates_stop_no_others():
    proven = [f"{day}/01/2010" for day in range(13, 29)]
    assert dates([*proven, "01/15/2010"])[-1] is pd.NaT
    iso = [f"2010-01-{day}" for day in range(11, 30)]
    assert dates([*iso, "03/04/2010"]) == [*map(pd.Timestamp, iso), pd.NaT]
    assert dates([*iso, "40193"])[-1] is pd.NaT


@pytest.mark.parametrize(
    "text", ["99999", "12345", "2010-13-45", "31/31/2010", "-4", "1e5", "soon"]
)
def test_what_is_no_date(text):
    assert dates([text]) == [pd.NaT]


def test_decimal_commas_and_signs():
    assert numbers("0,68", "0,7", "1", "", "x", "-9") == pytest.approx(
        [0.68, 0.7, 1, np.nan, np.nan, -9], nan_ok=True
    )
    assert numbers("68 %", "70%", "\N{MINUS SIGN}1", "inf") == [68, 70, -1, np.inf]
    assert numbers("1,234", "0.5") == [1234, 0.5]
    assert numbers("1,234", "0,5") == [1.234, 0.5]
    assert numbers("1,234.5", "1,234,567") == [1234.5, 1234567]
    assert numbers("1.234,5") == [1234.5]
    assert numbers("1.234", "0.5") == [1.234, 0.5]
    assert numbers("1e-1", "5.", ".5") == [0.1, 5, 0.5]


def test_numbers_that_may_be_either_are_none():
    assert numbers("1.234", "0,5", "7") == pytest.approx([np.nan, 0.5, 7], nan_ok=True)
    assert np.isnan(numbers("1,,2", "1,2,3", "0x10", "1_000")).all()


def test_a_comma_that_nothing_explains_is_asked_for():
    with pytest.raises(InputError, match=r"ratio: the comma may part .*T.csv:2"):
        numbers("71,234", "68")


def test_marks_of_what_is_missing():
    cells = pd.Series(["", "NA", "n/a", "#N/A", ".", "NULL", "-", "0", "none at all"])
    assert is_given(cells).tolist() == [False] * 7 + [True] * 2
