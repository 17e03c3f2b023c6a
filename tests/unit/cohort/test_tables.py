"""Reading of CSV tables."""

from pathlib import Path

import pytest

from pipeline.cohort.tables import find_table, read_table, table_columns
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


TABLE = [["id", "date", "ratio"], ["1", "15.01.2010", "0,68"], ["2", "16.01.2010", "0,71"]]


@pytest.mark.parametrize("before", ["", "sep={}\n", '"sep={}"\r\n', "\n\n"])
@pytest.mark.parametrize("delimiter", [";", "\t", ",", "|"])
@pytest.mark.parametrize("name", ["TABLE.csv", "TABLE.tsv"])
def test_what_parts_the_fields(tmp_path, delimiter, before, name):
    rows = [[f'"{cell}"' if delimiter in cell else cell for cell in row] for row in TABLE]
    text = before.format(delimiter) + "".join(delimiter.join(row) + "\n" for row in rows)
    path = write(tmp_path, text, name)
    frame = read_table(path, ["id", "ratio"])
    assert frame["ratio"].tolist() == ["0,68", "0,71"]
    first = 2 + before.count("\n")
    assert frame["source"].tolist() == [f"{name}:{first}", f"{name}:{first + 1}"]
    assert table_columns(path) == ["id", "date", "ratio"]


def test_unbalanced_quotation_mark_between_semicolons(tmp_path):
    path = write(tmp_path, 'id;date;ratio\n1;2015-03-01;"0,7\n2;2015-03-02;"0,8\n3;2015-03-03;1\n')
    with pytest.raises(InputError, match=r"line 2: .*quotation mark"):
        read_table(path, ["id"])


def test_remark_of_several_lines_between_semicolons(tmp_path):
    path = write(tmp_path, 'id;ratio;remark\n1;0,7;"cough, fever,\nasthma, too"\n2;0,8;\n')
    assert read_table(path, ["ratio"])["source"].tolist() == ["TABLE.csv:2", "TABLE.csv:4"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "cp1252"])
def test_encodings_of_windows(tmp_path, encoding):
    path = write(tmp_path, "id,name\r\n1,Zoë – “seen”\r\n".encode(encoding))
    assert read_table(path, ["name"])["name"].tolist() == ["Zoë – “seen”"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\3\4" + bytes(50), "is a workbook of a spreadsheet; save its table as CSV"),
        (b"\xd0\xcf\x11\xe0" + bytes(50), "is a workbook of a spreadsheet"),
        ("id,a\n1,2\n".encode("utf-16-le"), "holds zero bytes"),
        (b"\xff\xfei\0d\0,", "is not the UTF-16"),
    ],
)
def test_what_is_no_text_is_named(tmp_path, content, said):
    with pytest.raises(InputError, match=said):
        read_table(write(tmp_path, content), ["id"])


def test_empty_fields_behind_the_last_column(tmp_path):
    """The header of such tables often lacks them."""
    frame = read_table(write(tmp_path, "id;ratio\n1;0,7;\n2;0,8;;;\n3;0,9\n"), ["id", "ratio"])
    assert frame["ratio"].tolist() == ["0,7", "0,8", "0,9"]
    with pytest.raises(InputError, match="line 2: 4 fields where the header has 2"):
        read_table(write(tmp_path, "id;ratio\n1;0,7;;x\n"), ["id"])
