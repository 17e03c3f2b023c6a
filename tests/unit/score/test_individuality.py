"""How alike patients are, on made-up fields whose likeness is known."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from pipeline.score.individuality import compare_patients, make_demo_table
from pipeline.stage import layout


def test_one_field_times_numbers_is_one_disease():
    field = np.random.default_rng(0).standard_normal(500)
    found = compare_patients(np.outer([1.0, 0.5, 2.0], field))
    assert found == pytest.approx(dict.fromkeys(found, 1.0))


def test_independent_fields_are_many():
    fields = np.random.default_rng(0).standard_normal((10, 20000))
    found = compare_patients(fields)
    assert found["correlation_mean"] == pytest.approx(0, abs=0.01)
    assert -0.05 < found["correlation_min"] < 0 < found["correlation_max"] < 0.05
    # The mean holds a tenth of each field.
    assert found["mean_field_r2"] == pytest.approx(0.1, abs=0.01)


def test_one_patient_is_like_nobody():
    assert np.isnan(list(compare_patients(np.ones((1, 5))).values())).all()


def test_table_counts_the_first_pair_of_each_test_subject_inside_its_mask(tmp_path, write_packed):
    images = np.zeros((4, 12, 14), np.float32)
    masks = np.zeros((4, 12, 14), bool)
    masks[:, 2:10, 2:12] = True
    pairs = [
        ("a", "test", "d0", "d1"),
        ("a", "test", "d0", "d2"),
        ("b", "test", "d0", "d1"),
        ("c", "validation", "d0", "d1"),
    ]
    write_packed(tmp_path / "packed", pairs, images, images, masks)
    # The pairs of a and b are opposite inside the masks; a's second one would be b's.
    left, right = np.zeros((14, 12, 1, 1, 2)), np.zeros((14, 12, 1, 1, 2))
    left[:7, ..., 0] = 1
    right[7:, ..., 0] = 1
    for subject, session, field in (("a", "d1", left), ("a", "d2", right), ("b", "d1", right)):
        for kind in ("total", "disease"):
            path = layout.true_field(tmp_path / "truth", subject, session, kind)
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(field, np.eye(4)), path)
    make_demo_table(["d"], [tmp_path / "packed"], [tmp_path / "truth"], tmp_path / "demo.csv")
    row = pd.read_csv(tmp_path / "demo.csv").iloc[0]
    assert (row["dataset"], row["data"], row["pairs"], row["subjects"]) == ("d", "demo", 3, 2)
    assert -0.4 < row["correlation_mean"] < 0
    assert 0.5 <= row["mean_field_r2"] < 0.6
