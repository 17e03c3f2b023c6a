from pathlib import Path

import pytest

from pipeline.qc.overrides import read_overrides, subject_key
from pipeline.stage.errors import InputError

PAPER = Path(__file__).parents[3] / "config/paper_drop.csv"


def test_papers_list_names_seven_volumes_by_rid():
    keep, drop = read_overrides(None, PAPER, subject_key("adni"))
    assert keep == {}
    assert set(drop) == {
        *((855, "bl"), (424, "m18"), (4892, "bl")),
        *((4741, session) for session in ("m03", "m06", "m24", "m48")),
    }


def test_spellings_of_a_subject(tmp_path):
    table = tmp_path / "drop.csv"
    table.write_text("Subject,Session\n023_S_0030,bl\n023S0031,M06\n32,ses-m12\n")
    drop = read_overrides(None, table, subject_key("adni"))[1]
    assert drop == {(30, "bl"): "", (31, "m06"): "", (32, "m12"): ""}
    table.write_text("subject,session,reason\nsub-A1,ses-2,moved\n")
    assert read_overrides(table, None, subject_key("bids"))[0] == {("A1", "2"): "moved"}
    table.write_text("subject,session\nOAS2_0001,V-1\n")
    assert read_overrides(None, table, subject_key("manifest"))[1] == {("OAS20001", "v1"): ""}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("subject,visit\n30,bl\n", "no column session"),
        ("subject,session\nthirty,bl\n", "keep.csv:2: 'thirty' is no subject"),
        ("subject,session\n30,\n", "the session is missing"),
    ],
)
def test_wrong_table(tmp_path, lines, said):
    (tmp_path / "keep.csv").write_text(lines)
    with pytest.raises(InputError, match=said):
        read_overrides(tmp_path / "keep.csv", None, subject_key("adni"))


def test_volume_in_both_tables(tmp_path):
    for name in ("keep.csv", "drop.csv"):
        (tmp_path / name).write_text("subject,session\n30,bl\n")
    with pytest.raises(InputError, match=r"keep.csv:2 and drop.csv:2: .* remove it from one"):
        read_overrides(tmp_path / "keep.csv", tmp_path / "drop.csv", subject_key("adni"))
