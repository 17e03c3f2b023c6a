"""Lung function tests: the table, and which test labels which film."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.cohort.readings import BULK, DATE_REMEDY, read_dates, read_numbers
from pipeline.cohort.rejection import lines_of, reject, reject_repeated, usable
from pipeline.cohort.tables import read_table
from pipeline.stage.errors import InputError
from pipeline.stage.rules import Rule

LARGEST_FRACTION = 1.5  # FEV1/FVC above it is a per cent; neither fractions nor per cents are near
YES = {"1", "1.0", "yes", "y", "true"}
NO = {"", "0", "0.0", "no", "n", "false"}
LARGEST_RATIO = 150  # FEV1/FVC in per cent; what is above it is none in any unit
LARGEST_PERCENT = 300  # FEV1, of the predicted; missing codes are above it
GOLD = {"1": 80, "2": 50, "3": 30, "4": 0}  # least FEV1 of a grade, per cent of the predicted


@dataclass(frozen=True)
class SpirometryColumns:
    """Names of the columns of a spirometry table."""

    patient: str = "PatientID"
    date: str = "TestDate"
    ratio: str = "FEV1_FVC"
    transplant: str = "Transplant"
    percent_predicted: str = "FEV1_PctPred"


def read_spirometry(
    path: Path, columns: SpirometryColumns, date_format: str | None = None
) -> pd.DataFrame:
    """Read a table of lung function tests.

    Parameters
    ----------
    path
        CSV file, a row per test: id as in the films, date, pre-bronchodilator FEV1/FVC as a
        fraction or in per cent, and whether the patient has a lung transplant (yes/no, 1/0; empty
        is no). FEV1 in per cent of the predicted value may be there.
    date_format
        See `read_dates`.

    Returns
    -------
    pandas.DataFrame
        Columns patient, date, ratio (fraction), grade (of GOLD, ``""`` if unknown; it means nothing
        where the ratio is normal), transplant (bool), source (``FILE.csv:line``), and rule and
        reason why the test cannot be used (``""`` if it can).

    Raises
    ------
    InputError
        If a column is missing, dates can be read in no way or in several, units are mixed or a
        transplant is neither yes nor no.
    """
    names = [columns.patient, columns.date, columns.ratio, columns.transplant]
    table = read_table(path, names, [columns.percent_predicted])
    text = table[names].set_axis(["patient", "date", "ratio", "transplant"], axis=1)
    tests = pd.DataFrame(
        {
            "patient": text["patient"],
            "date": read_dates(text["date"], table["source"], columns.date, date_format),
            "ratio": read_numbers(text["ratio"], table["source"], columns.ratio),
            "grade": _grades(table, columns.percent_predicted),
            "transplant": _transplants(text["transplant"], table["source"], columns.transplant),
            "source": table["source"],
            "rule": "",
            "reason": "",
        }
    )
    if (text["date"] != "").any() and tests["date"].isna().all():
        raise InputError(f"{path}: no date in {columns.date} can be read; {DATE_REMEDY}")
    in_percent, odd = _units(tests["ratio"], text["ratio"], table["source"], columns.ratio)
    # Rounded, since 70 % must not fall below 0.7 by a division.
    tests["ratio"] = tests["ratio"].mask(in_percent, np.round(tests["ratio"] / 100, 12))
    reject(tests, text["patient"] == "", Rule.NO_SUBJECT, "the patient's id is missing")
    reject(tests, text["date"] == "", Rule.NO_DATE, "the date of the test is missing")
    reject(tests, tests["date"].isna(), Rule.NO_DATE, "the date of the test is not a date")
    reject(tests, text["ratio"] == "", Rule.BAD_VALUE, "FEV1/FVC is missing")
    reject(tests, tests["ratio"].isna(), Rule.BAD_VALUE, "FEV1/FVC is not a number")
    reject(tests, odd, Rule.BAD_VALUE, "FEV1/FVC is in another unit than in the rest of the table")
    possible = tests["ratio"].between(0, 1, inclusive="right")
    reject(tests, ~possible, Rule.BAD_VALUE, "FEV1/FVC is not between 0 and 1")
    reject_repeated(tests, ["patient", "date", "ratio", "grade", "transplant"], [], "test")
    return tests


def reject_contradictions(tests: pd.DataFrame, ratio_threshold: float) -> None:
    """Leave out the tests of a subject and day of which some tell COPD and some do not, in place.

    Parameters
    ----------
    tests
        Columns subject, date, ratio, source, rule and reason.
    ratio_threshold
        FEV1/FVC below which a test tells COPD.
    """
    candidates = usable(tests)
    days = candidates.assign(ill=candidates["ratio"] < ratio_threshold).groupby(["subject", "date"])
    contradictory = candidates[days["ill"].transform("nunique") > 1]
    for _, of_day in contradictory.groupby(["subject", "date"]):
        why = f"the tests of the day contradict each other: {lines_of(of_day['source'])}"
        reject(tests, tests.index.isin(of_day.index), Rule.CONTRADICTION, why)


def match_tests(films: pd.DataFrame, tests: pd.DataFrame, max_days: int) -> dict[int, int]:
    """Give each film the test nearest in date; each test and each film is used once.

    Each test keeps its nearest film, and each film the nearest of the tests that kept it; of
    equally near ones the earlier. What is left over gets no other, as in the published code.

    Parameters
    ----------
    films, tests
        Columns subject and date.
    max_days
        Largest distance in days.

    Returns
    -------
    dict
        Index of the test by index of the film.
    """
    columns = ["subject", "date"]
    near = (
        films[columns]
        .reset_index(names="film")
        .merge(tests[columns].reset_index(names="test"), on="subject", suffixes=("_film", "_test"))
    )
    near["days"] = (near["date_film"] - near["date_test"]).dt.days.abs()
    near = near[near["days"] <= max_days]
    near = near.sort_values(["days", "date_test", "date_film", "test", "film"])
    matched = near.drop_duplicates("test").drop_duplicates("film")
    return dict(zip(matched["film"], matched["test"], strict=True))


def _grades(table: pd.DataFrame, column: str) -> pd.Series:
    percent = read_numbers(table[column], table["source"], column)
    percent = percent.where(percent.between(0, LARGEST_PERCENT))
    grades = np.select([percent >= limit for limit in GOLD.values()], list(GOLD), "")
    return pd.Series(grades, index=table.index, dtype=object)


def _transplants(text: pd.Series, source: pd.Series, column: str) -> pd.Series:
    folded = text.str.lower()
    odd = ~folded.isin(YES | NO)
    if odd.any():
        raise InputError(
            f"{source[odd].iloc[0]}: {column} is neither yes nor no; write 1 or 0 (empty is no)"
        )
    return folded.isin(YES)


def _units(
    ratio: pd.Series, text: pd.Series, source: pd.Series, column: str
) -> tuple[pd.Series, pd.Series]:
    """Which FEV1/FVC are in per cent, and which are in another unit than the bulk.

    A per cent sign tells by itself. What can be no ratio, such as 999 or -9, tells nothing.
    """
    signed = text.str.endswith("%")
    percent = ratio.between(LARGEST_FRACTION, LARGEST_RATIO, inclusive="right") & ~signed
    fraction = ratio.between(0, LARGEST_FRACTION, inclusive="right") & ~signed
    if min(percent.sum(), fraction.sum()) > (1 - BULK) * (percent | fraction).sum():
        raise InputError(
            f"{column} is a per cent at {source[percent].iloc[0]} and a fraction at "
            f"{source[fraction].iloc[0]}; write all of them in one unit"
        )
    if percent.sum() > fraction.sum():
        return pd.Series(True, ratio.index), fraction
    return signed, percent
