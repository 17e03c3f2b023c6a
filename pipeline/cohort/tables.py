"""CSV tables as archives hand them out: dated names, any case of column names, quoted text."""

import csv
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from pipeline.stage.errors import InputError

_COLUMNS_SHOWN = 25


def find_table(folder: Path, *names: str) -> Path:
    """Find the one CSV file of a table, whose name may carry the date of its download.

    Parameters
    ----------
    folder
        Folder of the tables.
    names
        Spellings of the table's name: ``MRIMETA`` also finds ``MRIMETA_12Mar2020.csv``.

    Raises
    ------
    InputError
        If the folder holds no such file, or several.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; it should hold the table {names[0]}.csv")
    alternatives = "|".join(map(re.escape, names))
    pattern = re.compile(rf"({alternatives})([_-]\d[\w-]*)?\.csv", re.IGNORECASE)
    files = sorted(path for path in folder.iterdir() if path.is_file())
    found = [path for path in files if pattern.fullmatch(path.name)]
    if len(found) > 1:
        listed = ", ".join(path.name for path in found)
        raise InputError(f"{folder} holds {names[0]} more than once ({listed}); keep one of them")
    if not found:
        present = [path.name for path in files if path.suffix.lower() == ".csv"]
        raise InputError(
            f"{folder} holds no table {names[0]}.csv{_nearest(f'{names[0]}.csv', present)}; "
            f"tables there: {_listed(present)}"
        )
    return found[0]


def table_columns(path: Path) -> list[str]:
    """Names in the header of a table, in lower case."""
    records = _records(Path(path))[1]
    return [name.strip().lower() for name in records[0]] if records else []


def read_table(
    path: Path,
    required: Sequence[str],
    optional: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Read columns of a CSV table as text.

    Parameters
    ----------
    path
        CSV file with a header, UTF-8 or else Latin-1; with the suffix tsv, separated by tabs.
    required, optional
        Names of columns; case and surrounding blanks do not matter. An optional column that the
        table lacks is empty.
    columns
        Names in the file, by the names asked for, where they differ. A table that has no such
        column is read by the name asked for.

    Returns
    -------
    pandas.DataFrame
        The columns under the names asked for, as text without surrounding blanks (missing is
        ``""``), and ``source``: file name and line in the file, such as ``MRIMETA.csv:17``. Lines
        without any text are no rows.

    Raises
    ------
    InputError
        If the file cannot be read, is empty, lacks a required column or has it twice, or if a line
        has more or fewer fields than the header.
    """
    path = Path(path)
    lines, records = _records(path)
    if not records:
        raise InputError(f"{path} is empty; expected a header with {', '.join(required)}")
    header, lines, records = [name.strip() for name in records[0]], lines[1:], records[1:]
    positions = _positions(path, header, required, optional, columns or {})
    for line, record in zip(lines, records, strict=True):
        if len(record) != len(header):
            raise InputError(
                f"{path}, line {line}: {len(record)} fields where the header has {len(header)}"
            )
    frame = pd.DataFrame(
        {name: [record[at].strip() for record in records] for name, at in positions.items()},
        columns=[*required, *optional],
        index=range(len(records)),
        dtype=object,
    ).fillna("")
    return frame.assign(source=[f"{path.name}:{line}" for line in lines])


def parse_dates(text: pd.Series, formats: Sequence[str] = ("%Y-%m-%d",)) -> pd.Series:
    """Dates from text, ``NaT`` where no format fits; earlier formats win."""
    dates = pd.Series(pd.NaT, index=text.index, dtype="datetime64[ns]")
    for layout in formats:
        dates = dates.fillna(pd.to_datetime(text, format=layout, errors="coerce"))
    return dates


def _records(path: Path) -> tuple[list[int], list[list[str]]]:
    """Records that hold any text and the line in which each begins."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the table {path}: {error.strerror}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    lines, records = [], []
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
    begin = 1
    try:
        for record in reader:
            if any(field.strip() for field in record):
                lines.append(begin)
                records.append(record)
            # A quoted field may hold line breaks, so that a record is not always one line.
            begin = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}, line {begin}: not a CSV table ({error})") from error
    return lines, records


def _positions(
    path: Path,
    header: list[str],
    required: Sequence[str],
    optional: Sequence[str],
    columns: Mapping[str, str],
) -> dict[str, int]:
    """Place of each column asked for that the header has."""
    folded = [name.lower() for name in header]
    positions = {}
    for name in (*required, *optional):
        wanted = columns.get(name, name).lower()
        wanted = wanted if wanted in folded else name.lower()
        count = folded.count(wanted)
        if count > 1:
            raise InputError(f"{path} has the column {name} {count} times")
        if count:
            positions[name] = folded.index(wanted)
        elif name in required:
            raise InputError(
                f"{path} has no column {name}{_nearest(name, header)}; "
                f"columns found: {_listed(header)}"
            )
    return positions


def _nearest(name: str, candidates: Sequence[str]) -> str:
    folded = {candidate.lower(): candidate for candidate in candidates}
    close = get_close_matches(name.lower(), folded, n=1)
    return f" (nearest: {folded[close[0]]})" if close else ""


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _COLUMNS_SHOWN
    shown = ", ".join(names[:_COLUMNS_SHOWN]) or "none"
    return f"{shown} and {more} more" if more > 0 else shown
