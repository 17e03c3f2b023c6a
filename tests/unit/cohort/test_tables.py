"""Reading of CSV tables."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline.cohort.tables import find_table, parse_dates, read_table
from pipeline.stage.errors import InputError


def write(folder: Path, text: str | bytes, name: str = "TABLE.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "name",
    [
        "MRIMETA.csv",
        "mrimeta.CSV",
        "MRIMETA_12Mar2020.csv",
        "MRIMETA_2020-03-12.csv",
    ],
)
def test_finds_table_by_name_with_or_without_date(tmp_path, name):
    for other in ("MRI3META.csv", "MRIMETA_notes.csv", "XMRIMETA.csv", "MRIMETA.csv.bak"):
        write(tmp_path, "a\n", other)
    path = write(tmp_path, "a\n", name)
    assert find_table(tmp_path, "MRIMETA") == path


def test_finds_either_spelling(tmp_path):
    path = write(tmp_path, "a\n", "DXSUM_12Mar2024.csv")
    assert find_table(tmp_path, "DXSUM_PDXCONV_ADNIALL", "DXSUM") == path


def test_missing_table_names_nearest(tmp_path):
    write(tmp_path, "a\n", "MRIMETTA.csv")
    with pytest.raises(InputError, match=r"no table MRIMETA.csv \(nearest: MRIMETTA.csv\)"):
        find_table(tmp_path, "MRIMETA")


def test_folder_of_tables_must_exist(tmp_path):
    with pytest.raises(InputError, match="nowhere is not a folder"):
        find_table(tmp_path / "nowhere", "MRIMETA")


def test_two_downloads_of_a_table_are_an_error(tmp_path):
    write(tmp_path, "a\n", "MRIMETA.csv")
    write(tmp_path, "a\n", "MRIMETA_12Mar2020.csv")
    with pytest.raises(InputError, match=r"more than once \(MRIMETA.csv, MRIMETA_12Mar2020.csv\)"):
        find_table(tmp_path, "MRIMETA")


def test_reads_columns_in_any_case_as_text(tmp_path):
    path = write(tmp_path, '"rid"," Viscode2 ",other\n"0030"," m06 ",x\n31,NA,\n')
    frame = read_table(path, ["RID", "VISCODE2"], ["DX"])
    assert list(frame.columns) == ["RID", "VISCODE2", "DX", "source"]
    assert frame["RID"].tolist() == ["0030", "31"]
    assert frame["VISCODE2"].tolist() == ["m06", "NA"]
    assert frame["DX"].tolist() == ["", ""]


def test_source_is_the_line_in_the_file(tmp_path):
    path = write(tmp_path, 'a,b\r\n1,"two\r\nlines"\r\n\r\n,\r\n2,x\r\n')
    frame = read_table(path, ["a"])
    assert frame["a"].tolist() == ["1", "2"]
    assert frame["source"].tolist() == ["TABLE.csv:2", "TABLE.csv:6"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_encodings(tmp_path, encoding):
    path = write(tmp_path, "name\nZoë\n".encode(encoding))
    assert read_table(path, ["name"])["name"].tolist() == ["Zoë"]


def test_header_alone_is_a_table_without_rows(tmp_path):
    frame = read_table(write(tmp_path, "a,b\n"), ["a", "b"])
    assert frame.empty
    assert list(frame.columns) == ["a", "b", "source"]


def test_missing_column_names_file_nearest_and_found(tmp_path):
    path = write(tmp_path, "RID,VISCODE\n1,bl\n")
    with pytest.raises(InputError) as error:
        read_table(path, ["RID", "VISCODE2"])
    assert str(error.value) == (
        f"{path} has no column VISCODE2 (nearest: VISCODE); columns found: RID, VISCODE"
    )


def test_long_list_of_columns_is_cut(tmp_path):
    path = write(tmp_path, ",".join(f"c{number}" for number in range(113)) + "\n")
    with pytest.raises(InputError, match="c24 and 88 more"):
        read_table(path, ["RID"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("a,A\n1,2\n", "has the column a 2 times"),
        ("a,b\n1,2\n3\n", "line 3: 1 fields where the header has 2"),
        ("a,b\n1,2,3\n", "line 2: 3 fields where the header has 2"),
    ],
)
def test_broken_tables(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_table(write(tmp_path, text), ["a"])


def test_unreadable_table(tmp_path):
    with pytest.raises(InputError, match=r"cannot read the table .*gone.csv"):
        read_table(tmp_path / "gone.csv", ["a"])


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


SWALLOWED = [
    # Closed by the next quotation mark of the column: two rows become one.
    ('1,2015-03-01,0.7,\n2,2015-03-02,"0.8,\n3,2015-03-03,"0.9,\n4,2015-03-04,0.5,\n', 3),
    # To the end of the file, from a column that is not even read.
    ('1,2015-03-01,0.7,\n2,2015-03-02,0.8,"cough\n3,2015-03-03,0.9,\n', 3),
    # After a field that may hold a line break.
    ('1,2015-03-01,0.7,"one\ntwo"\n2,2015-03-02,"0.8,\n3,2015-03-03,0.9,\n', 4),
    # A number with a line break behind it.
    ('1,2015-03-01,"0.7\n",\n', 2),
    ('1,2015-03-01,"0.7\r",\n', 2),
    # In another column of the next row, so that the fields do not add up.
    ('"1,2015-03-01,0.7,\n2,"2015-03-02",0.8,\n', 2),
]


@pytest.mark.parametrize(("rows", "line"), SWALLOWED)
def test_unbalanced_quotation_mark_is_named_by_its_line(tmp_path, rows, line):
    path = write(tmp_path, "id,date,ratio,remark\n" + rows)
    with pytest.raises(InputError, match=rf"TABLE\.csv, line {line}: .*quotation mark"):
        read_table(path, ["id", "date", "ratio"])


def test_unbalanced_quotation_mark_in_the_header(tmp_path):
    with pytest.raises(InputError, match=r"line 1: .*quotation mark"):
        read_table(write(tmp_path, 'id,"date\n1,2015-03-01\n'), ["id"])


def test_lines_end_where_programs_end_them(tmp_path):
    """The ellipsis of Windows, 0x85, is a line break to str.splitlines."""
    path = write(tmp_path, b"id,remark\n1,to be \x85 seen\r2,\n")
    frame = read_table(path, ["id"])
    assert frame["source"].tolist() == ["TABLE.csv:2", "TABLE.csv:3"]
