"""Subjects called NA and 007, in every table that a stage reads again."""

import pandas as pd
import pytest

from pipeline.cohort.orthanc import read_fetched
from pipeline.cohort.shared_list import LIST_COLUMNS, read_cohort_list
from pipeline.qc.overrides import read_overrides, subject_key
from pipeline.qc.review import read_review
from pipeline.stage.exclusions import exclusion_table, read_exclusions
from pipeline.stage.files import read_csv, write_csv

NAMES = ["NA", "007"]


def in_cohort_list(path):
    listed = {"subject": NAMES, "session": "01", "split": "train", "label": "0"}
    write_csv(pd.DataFrame(listed, columns=LIST_COLUMNS).fillna(""), path)
    return read_cohort_list(path)["subject"]


def in_review(path):
    told = {"decision": "excluded", "rule": "suspect", "reason": "so"}
    write_csv(pd.DataFrame({"subject": NAMES, "session": NAMES} | told), path)
    assert [session for _, session in read_review(path)] == NAMES
    return [subject for subject, _ in read_review(path)]


def in_drop_list(path):
    write_csv(pd.DataFrame({"subject": NAMES, "session": "bl"}), path)
    return [subject for subject, _ in read_overrides(None, path, subject_key("bids"))[1]]


def in_exclusions(path):
    rows = [{"subject": name, "rule": "no_file"} for name in NAMES]
    write_csv(exclusion_table(rows), path)
    return read_exclusions(path)["subject"]


def in_fetched_films(path):
    write_csv(pd.DataFrame({"film": "1", "subject": NAMES, "rule": "", "reason": ""}), path)
    return read_fetched(path)["subject"]


def in_other_tables(path):
    write_csv(pd.DataFrame({"subject": NAMES, "ncc": [0.5, None]}), path)
    return read_csv(path)["subject"]


READERS = [
    *(in_cohort_list, in_review, in_drop_list),
    *(in_exclusions, in_fetched_films, in_other_tables),
]


@pytest.mark.parametrize("reader", READERS)
def test_names_are_text(reader, tmp_path):
    assert list(reader(tmp_path / "table.csv")) == NAMES
