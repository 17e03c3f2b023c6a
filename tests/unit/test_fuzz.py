"""Damaged files are read or refused by the errors that their readers declare."""

import pytest
from helpers.fuzz import fuzz


@pytest.mark.parametrize(("reader", "cases"), [("volume", 200), ("film", 100), ("table", 150)])
def test_damaged_files_are_read_or_refused(reader, cases, tmp_path):
    record = fuzz(reader, tmp_path, seed=1, more=iter(range(cases)))
    assert record.failures == []
    assert record.outcomes["read"] and record.outcomes["refused"]
