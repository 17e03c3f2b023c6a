"""What the text of a column means: dates and numbers, as spreadsheets of all countries write them.

A column has one reading. Where its cells fit only one, that is it; where they fit several, somebody
has to say which. A cell that does not fit the reading of the others is no date or number.
"""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.stage.errors import InputError

# Least share of a column's cells that make its reading, whatever the few others are.
BULK = 0.9
ISO = "%Y-%m-%d"
# No text has several of these. With dots the day comes first wherever people write so.
CERTAIN = (
    *(ISO, "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d.%m.%Y"),
    *("%d-%b-%Y", "%d %b %Y", "%d%b%Y", "%d-%B-%Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y"),
)
MONTH_FIRST = ("%m/%d/%Y", "%m-%d-%Y")
DAY_FIRST = ("%d/%m/%Y", "%d-%m-%Y")
SERIAL = "serial"  # days since the last of December 1899, as spreadsheets count
SERIAL_NUMBERS = (20_000, 80_000)  # the years 1954 to 2119
DATE_REMEDY = (
    "write them as YYYY-MM-DD, or say how they are written, such as date_format: '%d/%m/%Y'"
)
_FIELDS = {"%Y": "[0-9]{4}", "%y": "[0-9]{2}", "%b": "[A-Za-z]{3}", "%B": "[A-Za-z]{3,9}"}
# Behind a date: of ISO 8601, with or without fractions of a second and time zone, or 1:30 PM.
_TIME = re.compile(
    r"((?<=\d)T\d{2}(:?\d{2}){0,2}|\s+\d{1,2}(:\d{2}){1,2})([.,]\d+)?(\s?[AaPp][Mm])?"
    r"(Z|[+-]\d{2}(:?\d{2})?)?$",
    re.ASCII,
)
MISSING = {"", "na", "n/a", "#n/a", "null", "none", ".", "-", "--", "?"}


def is_given(text: pd.Series) -> pd.Series:
    """Whether cells hold anything but a mark of what is missing, such as NA."""
    return ~text.str.lower().isin(MISSING)


def parse_dates(text: pd.Series, formats: Sequence[str] = (ISO,)) -> pd.Series:
    """Dates from text, ``NaT`` where no format fits the whole of it; earlier formats win.

    Parameters
    ----------
    text
        Cells.
    formats
        As of `datetime.strptime`, of %Y, %y, %m, %d, %b and %B; or ``serial``.
    """
    dates = pd.Series(pd.NaT, index=text.index, dtype="datetime64[ns]")
    for layout in formats:
        if layout == SERIAL:
            numbers = pd.to_numeric(
                text.where(text.str.fullmatch(r"[0-9]{5}([.,][0-9]+)?")).str[:5]
            )
            possible = numbers.where(numbers.between(*SERIAL_NUMBERS))
            found = pd.Timestamp(1899, 12, 30) + pd.to_timedelta(possible, unit="D")
        else:
            # pandas reads 2015311 by %Y%m%d, too. Zeros may be missing only between separators.
            shortest = 2 if layout.replace("%", "").isalpha() else 1
            fields = dict.fromkeys(("%m", "%d"), f"[0-9]{{{shortest},2}}") | _FIELDS
            pattern = re.sub("%[a-zA-Z]", lambda name, of=fields: of[name[0]], re.escape(layout))
            whole = text.where(text.str.fullmatch(pattern))
            found = pd.to_datetime(whole, format=layout, errors="coerce")
        dates = dates.fillna(found)
    return dates


def read_dates(
    text: pd.Series, source: pd.Series, column: str, date_format: str | None = None
) -> pd.Series:
    """Dates of a column, whatever its format; a time behind them is cut off.

    Parameters
    ----------
    text, source
        Cells, and file and line of each.
    column
        Its name, for messages.
    date_format
        As of `parse_dates`; None: the column tells.

    Returns
    -------
    pandas.Series
        ``NaT`` where there is no date, or none of the column's reading.

    Raises
    ------
    InputError
        If the column may be read in several ways.
    """
    text = text.str.replace(_TIME, "", regex=True)
    if date_format:
        return parse_dates(text, [date_format])
    certain, serial = parse_dates(text, CERTAIN), parse_dates(text, [SERIAL])
    month, day = parse_dates(text, MONTH_FIRST), parse_dates(text, DAY_FIRST)
    slashed = month.notna() | day.notna()
    read = int(certain.notna().sum() + serial.notna().sum() + slashed.sum())
    if serial.notna().sum() > (1 - BULK) * read:
        certain = certain.fillna(serial)
    first = month.fillna(day).where(month.isna() | day.isna() | (month == day))
    if slashed.sum() > (1 - BULK) * read:
        first = _one_order(month, day, source, column)
    return certain.fillna(first)


def _one_order(month: pd.Series, day: pd.Series, source: pd.Series, column: str) -> pd.Series:
    """The reading, with the month or the day first, that the cells with a day above 12 prove."""
    proof = {"month": month[day.isna()].dropna().index, "day": day[month.isna()].dropna().index}
    least, most = sorted(proof.values(), key=len)
    if len(least) > (1 - BULK) * (len(least) + len(most)):
        raise InputError(
            f"{column} has the month first at {source[proof['month'][0]]} and the day first at "
            f"{source[proof['day'][0]]}; {DATE_REMEDY}"
        )
    if len(most):
        return month if most is proof["month"] else day
    unsure = month.index[month.notna() & (month != day)]
    if len(unsure):
        raise InputError(
            f"{column} may have the month or the day first, as at {source[unsure[0]]}; "
            f"{DATE_REMEDY}"
        )
    return month


def read_numbers(text: pd.Series, source: pd.Series, column: str) -> pd.Series:
    """Numbers of a column, with a decimal point or comma; per cent signs do not matter.

    Parameters
    ----------
    text, source, column
        As for `read_dates`.

    Returns
    -------
    pandas.Series
        float64, NaN where a cell is none. Infinity is a number.

    Raises
    ------
    InputError
        If a comma may part decimals or thousands.
    """
    text = text.str.removesuffix("%").str.strip().str.replace("\N{MINUS SIGN}", "-")
    groups = text.str.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+")  # 1,234
    points = text.str.fullmatch(r"[+-]?[1-9]\d{0,2}(\.\d{3})+")  # 1.234
    comma = text.str.fullmatch(r"[+-]?(\d*|\d{1,3}(\.\d{3})+),\d+") & ~groups
    point = text.str.fullmatch(r"[+-]?(\d*|\d{1,3}(,\d{3})+)\.\d+") & ~points
    if groups.any() and not comma.any() and not point.any():
        raise InputError(
            f"{column}: the comma may part decimals or thousands, as at {source[groups].iloc[0]}; "
            "write numbers without thousands parted"
        )
    decimal = comma | (groups & (comma.any() and not point.any()))
    text = text.mask(decimal, text.str.replace(".", "").str.replace(",", "."))
    text = text.mask(~decimal & (point | groups), text.str.replace(",", ""))
    unsure = (points & comma.any()) | (groups & comma.any() & point.any())
    return pd.to_numeric(text.mask(unsure, ""), errors="coerce").astype(np.float64)
