"""Errors of displacement fields whose difference is known."""

import numpy as np
import pandas as pd
import pytest

from pipeline.score.field_error import compare_fields, make_truth_table
from pipeline.stage.files import write_parquet

SHAPE = (10, 12, 14)
TO_MM = np.diag([2.0, 3.0, 4.0])  # mm of a voxel along the array axes


def constant(*components: float) -> np.ndarray:
    """Channel 0 along the last array axis."""
    return np.broadcast_to(np.reshape(components, (-1, 1, 1, 1)), (len(components), *SHAPE)).astype(
        float
    )


def test_lengths_errors_and_angles():
    row = compare_fields(constant(3, 0, 0), constant(0, 4, 0), np.ones(SHAPE), TO_MM)
    assert row["predicted_length_px"] == pytest.approx(3)
    assert row["true_length_mm"] == pytest.approx(12)  # 4 voxels of 3 mm
    assert row["endpoint_error_px"] == pytest.approx(5)
    assert row["endpoint_error_mm"] == pytest.approx(np.hypot(12, 12))
    assert row["angle_deg"] == pytest.approx(90)
    assert row["folding_percent"] == 0


def test_only_the_region_counts_and_no_displacement_has_no_angle():
    true = constant(1, 0, 0)
    predicted = true.copy()
    predicted[:, :5] = -9
    weights = np.zeros(SHAPE)
    weights[5:] = 0.5
    row = compare_fields(predicted, true, weights, TO_MM)
    assert row["endpoint_error_px"] == pytest.approx(0)
    assert row["angle_deg"] == pytest.approx(0)
    assert np.isnan(compare_fields(predicted, 0 * true, weights, TO_MM)["angle_deg"])


def test_volume_and_folding():
    """x1 is sampled at twice the distance along one axis: what is seen was twice as large."""
    x = np.arange(SHAPE[2]) - 6.5
    twice = np.zeros((3, *SHAPE))
    twice[0] = x
    folded = np.zeros((3, *SHAPE))
    folded[0] = -2 * x
    row = compare_fields(folded, twice, np.ones(SHAPE), TO_MM)
    assert row["true_volume_change_percent"] == pytest.approx(100)
    assert row["predicted_volume_change_percent"] == pytest.approx(-200)
    assert row["folding_percent"] == pytest.approx(100)
    assert row["angle_deg"] == pytest.approx(180)


def test_table_averages_subjects_and_tells_the_recovered_share(tmp_path):
    rows = [
        {
            **{"dataset": "toy", "method": "defi-gan", "seed": 0, "baseline": "bl"},
            **{"subject": subject, "followup": followup, "region": region},
            "true_volume_change_percent": true,
            "predicted_volume_change_percent": predicted,
        }
        for region, subject, followup, true, predicted in (
            ("ventricles", "a", "m12", 40.0, 10.0),
            ("ventricles", "a", "m24", 80.0, 30.0),
            ("ventricles", "b", "m12", 40.0, 20.0),
            ("elsewhere", "a", "m12", 40.0, 20.0),
            ("brainstem", "a", "m12", 0.5, 20.0),
        )
    ]
    write_parquet(pd.DataFrame(rows), tmp_path / "fields.parquet")
    make_truth_table([tmp_path / "fields.parquet"], tmp_path / "truth.csv")
    table = pd.read_csv(tmp_path / "truth.csv").set_index("region")
    ventricles = table.loc["ventricles"]
    assert ventricles["subjects"] == 2
    assert ventricles["true_volume_change_percent"] == 50
    assert ventricles["recovered_share"] == pytest.approx(20 / 50)
    assert table.loc[["elsewhere", "brainstem"], "recovered_share"].isna().all()
    assert (table["data"] == "demo").all()
