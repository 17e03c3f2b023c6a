"""CSV tables as archives hand them out: dated names, any case of column names, quoted text."""

import codecs
import csv
import io
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from pipeline.stage.errors import InputError

_COLUMNS_SHOWN = 25
_LONGEST_HEADER = 2**17
_TOLD_DELIMITER = re.compile(r"\ufeff?\"?sep=([,;\t|])\"?\r?\n", re.IGNORECASE)
_WORKBOOKS = (b"PK\3\4", b"\xd0\xcf\x11\xe0")  # xlsx and ods, xls
_LINE_BREAK = re.compile(r"\r\n?|\n")
# What LONI writes before and behind the name of a table.
_ADDED = re.compile(r"^all_subjects_|[_-]\d[\w-]*(?=\.csv$)")


def find_table(folder: Path, *names: str) -> Path:
    """Find the one CSV file of a table, whose name may carry what LONI adds to it.

    Parameters
    ----------
    folder
        Folder of the tables.
    names
        Spellings of the table's name: ``MRIMETA`` also finds ``MRIMETA_12Mar2020.csv`` and
        ``All_Subjects_MRIMETA_07Oct2024.csv``.

    Raises
    ------
    InputError
        If the folder holds no such file, or several.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; it should hold the table {names[0]}.csv")
    wanted = [f"{name}.csv".lower() for name in names]
    files = sorted(path for path in folder.iterdir() if path.is_file())
    found = [path for path in files if _ADDED.sub("", path.name.lower()) in wanted]
    if len(found) > 1:
        listed = ", ".join(path.name for path in found)
        raise InputError(f"{folder} holds {names[0]} more than once ({listed}); keep one of them")
    if not found:
        present = [path.name for path in files if path.suffix.lower() == ".csv"]
        bare = {_ADDED.sub("", name.lower()): name for name in present}
        raise InputError(
            f"{folder} holds no table {names[0]}.csv{_nearest(wanted[0], bare)}; "
            f"tables there: {_listed(present)}"
        )
    return found[0]


def table_columns(path: Path) -> list[str]:
    """Names in the header of a table, in lower case."""
    _, records = _records(Path(path))
    return [name.strip().lower() for name in records[0][1]] if records else []


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
        CSV file with a header: UTF-8, UTF-16 with its mark or else Windows-1252; its fields are
        parted by what parts the header into the most names, comma, semicolon, tab or bar, unless a
        line before it says ``sep=;``.
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
        If the file cannot be read, is empty, lacks a required column or has it twice, if a line has
        more or fewer fields than the header, or if a quotation mark that nobody closed swallows
        lines. A field may hold line breaks only in a column that is not read.
    """
    path = Path(path)
    delimiter, records = _records(path)
    if not records:
        raise InputError(f"{path} is empty; expected a header with {', '.join(required)}")
    (line, names), *records = records
    header = [name.strip() for name in names]
    _check_line_breaks(path, line, names, delimiter, len(header), ())
    positions = _positions(path, header, required, optional, columns or {})
    for line, record in records:
        _check_line_breaks(path, line, record, delimiter, len(header), positions.values())
        # Spreadsheets fill lines up with empty fields, but their first.
        if len(record) != len(header) and any(record[len(header) :] or ["short"]):
            raise InputError(
                f"{path}, line {line}: {len(record)} fields where the header has {len(header)}"
            )
    frame = pd.DataFrame(
        {name: [record[at].strip() for _, record in records] for name, at in positions.items()},
        columns=[*required, *optional],
        index=range(len(records)),
        dtype=object,
    ).fillna("")
    return frame.assign(source=[f"{path.name}:{line}" for line, _ in records])


def _records(path: Path) -> tuple[str, list[tuple[int, list[str]]]]:
    """What parts the fields, and records that hold any text, each with the line of its begin."""
    try:
        text = _decode(path.read_bytes(), path)
    except OSError as error:
        raise InputError(f"cannot read the table {path}: {error.strerror}") from error
    told = _TOLD_DELIMITER.match(text)
    delimiter = told[1] if told else _delimiter(text, path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    records, begin = [], 1
    try:
        for record in reader:
            if any(field.strip() for field in record) and not (told and begin == 1):
                records.append((begin, record))
            # A quoted field may hold line breaks, so that a record is not always one line.
            begin = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}, line {begin}: not a CSV table ({error})") from error
    return delimiter, records


def _decode(content: bytes, path: Path) -> str:
    """Text of a table: UTF-8, UTF-16 with its mark, or else as Windows has it in the West."""
    if content.startswith(_WORKBOOKS):
        raise InputError(f"{path} is a workbook of a spreadsheet; save its table as CSV (UTF-8)")
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    # Latin-1 has a character for each of the bytes that Windows has none for.
    for encoding in ["utf-16"] if utf16 else ["utf-8-sig", "cp1252", "latin-1"]:
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise InputError(f"{path} is not the UTF-16 it begins as; save it as CSV (UTF-8)")
    if "\0" in text:
        raise InputError(f"{path} holds zero bytes, so it is no text; save it as CSV (UTF-8)")
    return text


def _delimiter(text: str, path: Path) -> str:
    """What parts the header into the most names: comma, semicolon, tab or bar."""
    header = text.lstrip()[:_LONGEST_HEADER]
    names = {}
    for delimiter in "\t,;|" if path.suffix.lower() == ".tsv" else ",;\t|":
        with suppress(csv.Error, StopIteration):
            names[delimiter] = len(next(csv.reader(io.StringIO(header), delimiter=delimiter)))
    return max(names, key=names.__getitem__, default=",")


def _check_line_breaks(
    path: Path, line: int, record: list[str], delimiter: str, width: int, read: Collection[int]
) -> None:
    """Refuse a record into which a quotation mark without its counterpart drew further lines.

    Such a field ends at the next mark: in its own column, so it holds a row's delimiters, or in
    another one, so the record is of another width. Numbers, dates and names never hold line breaks.

    Parameters
    ----------
    path, line, record
        Table, line in which the record begins, and its fields.
    delimiter, width
        What parts the fields of the table, and how many columns it has.
    read
        Columns that are read.
    """
    if not _LINE_BREAK.search("".join(record)):  # quick, and true of most
        return
    for at, field in enumerate(record):
        breaks = len(_LINE_BREAK.findall(field))
        swallowed = len(record) != width or field.count(delimiter) >= width - 1
        if breaks and (at in read or swallowed):
            raise InputError(
                f"{path}, line {line}: a field begins with a quotation mark and runs over the end "
                "of the line; close or remove the mark, or remove the line break"
            )
        line += breaks


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
            shown = {column.lower(): column for column in header}
            raise InputError(
                f"{path} has no column {name}{_nearest(name.lower(), shown)}; "
                f"columns found: {_listed(header)}"
            )
    return positions


def _nearest(name: str, candidates: Mapping[str, str]) -> str:
    """The candidate whose key is nearest to a name in lower case."""
    close = get_close_matches(name, candidates, n=1)
    return f" (nearest: {candidates[close[0]]})" if close else ""


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _COLUMNS_SHOWN
    shown = ", ".join(names[:_COLUMNS_SHOWN]) or "none"
    return f"{shown} and {more} more" if more > 0 else shown
