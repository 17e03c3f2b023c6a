import pandas as pd
import pytest

from pipeline.cohort.manifest import MANIFEST_COLUMNS, as_manifest, read_manifest
from pipeline.stage.errors import InputError
from pipeline.stage.exclusions import exclusion_table
from pipeline.stage.files import write_parquet
from pipeline.stage.rules import Rule


def rows(*keys):
    base = dict.fromkeys(MANIFEST_COLUMNS, "")
    base |= {"label": 0, "score": float("nan"), "field_strength": 1.5, "day": 0, "age": 70}
    return pd.DataFrame(
        [{**base, "subject": s, "session": v, "split": split} for s, v, split in keys]
    )


def test_rows_are_sorted_and_typed(tmp_path):
    manifest = as_manifest(rows(("b", "bl", "train"), ("a", "m12", "test"), ("a", "bl", "test")))
    assert manifest[["subject", "session"]].agg(" ".join, axis=1).tolist() == [
        "a bl",
        "a m12",
        "b bl",
    ]
    write_parquet(manifest, tmp_path / "m.parquet")
    pd.testing.assert_frame_equal(read_manifest(tmp_path / "m.parquet"), manifest)


def test_image_twice_is_refused():
    with pytest.raises(InputError, match="sub-a ses-bl stands in the manifest twice"):
        as_manifest(rows(("a", "bl", "test"), ("a", "bl", "test")))


def test_subject_in_two_splits_is_refused():
    with pytest.raises(InputError, match="subject a is in two splits"):
        as_manifest(rows(("a", "bl", "test"), ("a", "m12", "train")))


def test_exclusions_have_all_columns():
    table = exclusion_table([{"stage": "ingest", "rule": Rule.NO_DATE, "reason": "no date"}])
    assert table.loc[0].tolist() == ["ingest", "", "", "", "", "", "no_date", "no date"]
