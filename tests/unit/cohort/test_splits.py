"""Assignment of subjects to splits."""

import logging

import pandas as pd
import pytest

from pipeline.cohort.adni import rid_of
from pipeline.cohort.splits import assign_splits
from pipeline.stage.errors import InputError

FRACTIONS = {"train": 0.64, "validation": 0.16, "test": 0.2}
SEEDED = {"seed": 0, "fractions": FRACTIONS}


def subjects(**sizes: int) -> pd.DataFrame:
    rows = [
        (f"{stratum}{number:03d}", stratum) for stratum, n in sizes.items() for number in range(n)
    ]
    return pd.DataFrame(rows, columns=["subject", "stratum"])


def counts(splits: pd.Series) -> dict:
    return splits.value_counts().to_dict()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (100, {"train": 64, "validation": 16, "test": 20}),
        (25, {"train": 16, "validation": 4, "test": 5}),
        (9, {"train": 6, "validation": 1, "test": 2}),  # 5.76, 1.44, 1.8
        (3, {"train": 1, "validation": 1, "test": 1}),  # 1.92, 0.48, 0.6
        (2, {"validation": 1, "test": 1}),
        (1, {"train": 1}),
    ],
)
def test_counts_follow_the_largest_remainders(size, expected):
    assert counts(assign_splits(subjects(a=size), SEEDED)) == expected


def test_each_stratum_is_divided():
    splits = assign_splits(subjects(a=25, b=50), SEEDED)
    assert counts(splits[splits.index.str.startswith("a")]) == {
        "train": 16,
        "validation": 4,
        "test": 5,
    }
    assert counts(splits[splits.index.str.startswith("b")]) == {
        "train": 32,
        "validation": 8,
        "test": 10,
    }


def test_order_of_rows_and_other_strata_do_not_matter():
    table = subjects(a=40, b=30)
    splits = assign_splits(table, SEEDED)
    pd.testing.assert_series_equal(splits, assign_splits(table.iloc[::-1], SEEDED))
    alone = assign_splits(table[table["stratum"] == "a"], SEEDED)
    pd.testing.assert_series_equal(splits[alone.index], alone)


def test_seed_decides():
    table = subjects(a=40)
    assert assign_splits(table, SEEDED).equals(assign_splits(table, SEEDED))
    assert not assign_splits(table, SEEDED).equals(assign_splits(table, SEEDED | {"seed": 1}))


def test_strata_for_training_or_evaluation_alone():
    splits = assign_splits(
        subjects(a=9, b=7, c=5), SEEDED, training_only=["b"], evaluation_only=["a"]
    )
    of = splits.groupby(splits.index.str[0]).agg(lambda group: sorted(group.unique()))
    assert of["a"] == ["test", "validation"]
    assert of["b"] == ["train"]
    assert of["c"] == ["test", "train", "validation"]
    assert counts(splits[splits.index.str.startswith("a")]) == {"validation": 4, "test": 5}


def test_no_subjects():
    assert assign_splits(subjects(), SEEDED).empty


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": 0}, "either seed and fractions, or lists; found seed"),
        (SEEDED | {"lists": {}}, "either seed and fractions, or lists"),
        ({"seed": 0, "fractions": {"train": 1}}, "fractions needs train, validation, test"),
        (
            {"seed": 0, "fractions": {"train": 0.8, "validation": 0.2, "test": 0}},
            "must be above 0",
        ),
        (
            {"seed": 0, "fractions": {"train": 0.8, "validation": 0.2, "test": 0.1}},
            "add up to 1, not 1.1",
        ),
        ({"lists": {"train": "a.txt"}}, "lists needs train, validation, test; found train"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(InputError, match=message):
        assign_splits(subjects(a=4), settings)


@pytest.fixture
def lists(tmp_path):
    """Write the lists of three splits."""

    def write(train: str, validation: str, test: str) -> dict:
        files = {"train": train, "validation": validation, "test": test}
        for split, text in files.items():
            (tmp_path / f"{split}.txt").write_text(text, encoding="utf-8")
        return {"lists": {split: str(tmp_path / f"{split}.txt") for split in files}}

    return write


def test_lists(lists, caplog):
    settings = lists("# ours\na000\n\na001  # twice\na001\n", "a002\r\n", "a003\nz9\n")
    with caplog.at_level(logging.INFO):
        splits = assign_splits(subjects(a=5), settings)
    assert splits.to_dict() == {
        "a000": "train",
        "a001": "train",
        "a002": "validation",
        "a003": "test",
        "a004": "",
    }
    assert "listed subjects without a usable image: 1 of 5" in caplog.text


def test_lists_compare_by_key(lists):
    table = pd.DataFrame({"subject": ["023", "024"], "stratum": "a"})
    splits = assign_splits(table, lists("23\n", "0024\n", ""), key=int)
    assert splits.to_dict() == {"023": "train", "024": "validation"}


def test_subject_in_two_lists_is_named(lists):
    settings = lists("1\n30\n", "2\n", "# RIDs\n0030\n")
    with pytest.raises(InputError) as error:
        assign_splits(subjects(), settings, key=int)
    message = str(error.value)
    assert "a subject is in two splits" in message
    assert "0030" not in message  # a line of a list may be a patient's id
    assert "train.txt:2" in message
    assert "test.txt:2" in message


def test_line_that_is_no_subject(lists):
    with pytest.raises(InputError, match=r"validation.txt:1: not a subject: expected a RID"):
        assign_splits(subjects(), lists("1\n", "x y\n", ""), key=rid_of)


def test_list_that_cannot_be_read(lists, tmp_path):
    settings = lists("", "", "")
    (tmp_path / "test.txt").unlink()
    with pytest.raises(InputError, match=r"lists: test: cannot read .*test.txt"):
        assign_splits(subjects(a=2), settings)
