"""Which column tells the groups, and which of two groups is the diseased one."""

import pandas as pd
import pytest

from pipeline.stage.errors import InputError
from pipeline.study.init.groups import find_groups


def visits(**columns):
    """Three visits of each of four subjects; a column is told by a text, a letter a visit."""
    frame = pd.DataFrame({"subject": [s for s in "abcd" for _ in range(3)]})
    frame["session"] = ["v0", "v1", "v2"] * 4
    frame["day"] = [0, 1, 2] * 4
    for name, text in columns.items():
        values = text if isinstance(text, list) else list(text.replace(" ", ""))
        frame[name] = ["" if value == "-" else value for value in values]
    return frame


def find(frame):
    return find_groups(
        frame, [name for name in frame if name not in "subject session day"], "t.csv"
    )


def test_the_later_group_is_the_diseased():
    (found,) = find(visits(group="MMA MAA MMM AAA"))
    assert found == ("group", "M", "A", 2, ())


def test_of_three_groups_those_that_most_subjects_pass_between():
    (found,) = find(visits(dx="CMM MMA MAA MMA"))
    assert (found.healthy, found.diseased, found.others) == ("M", "A", ("C",))


def test_a_group_with_a_healthy_name_is_not_the_diseased():
    """Two of three get well."""
    words = {"A": "ill", "N": "Normal"}
    frame = visits(status=[words[w] for w in "AANAANNNANNN"])
    (found,) = find(frame)
    assert (found.healthy, found.diseased, found.subjects) == ("Normal", "ill", 1)


def test_usual_names_come_first_then_what_the_visit_does_not_tell():
    frame = visits(diagnosis="MMA MMM MMM AAA", visit="012 012 012 012", drug="xxy xyy xxy xxx")
    assert [groups.column for groups in find(frame)] == ["diagnosis", "drug"]
    frame = visits(phase="xyy xyy xyy xyy", drug="xxy xyy xxx xxx")
    assert [groups.column for groups in find(frame)] == ["drug", "phase"]


def test_case_and_missing_values_make_no_group():
    words = ["mci", "NA", "AD", "MCI", "MCI", "ad", *["n/a"] * 6]
    (found,) = find(visits(group=words))
    assert (found.healthy, found.diseased, found.subjects, found.others) == ("mci", "AD", 2, ())


def test_a_few_numbers_are_groups_where_their_column_says_so():
    numbers = ["0", "0.5", "1"] * 4
    (found,) = find(visits(cdr=numbers, mass="xyy xyy xyy xyy"))[:1]
    assert (found.column, found.healthy) == ("cdr", "0")
    assert [groups.column for groups in find(visits(age=numbers, mass="xyy xyy xyy xyy"))] == [
        "mass"
    ]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({}, r"^t.csv: no column tells two groups \(columns found: none\); add one"),
        ({"group": "AAA AAA AAA AAA"}, r"^t.csv: no column tells two groups \(group holds A\)"),
        ({"group": "--- --- --- ---"}, r"\(group holds nothing\)"),
        (
            {"group": "AAA AAA MMM MMM"},
            r"^t.csv: no subject has a visit of one group and a later one of another "
            r"\(group: .*\), .* give the group of each visit",
        ),
    ],
)
def test_without_two_groups_and_a_pair_one_line_says_so(columns, said):
    with pytest.raises(InputError, match=said) as refusal:
        find(visits(**columns))
    assert len(str(refusal.value).splitlines()) == 1
