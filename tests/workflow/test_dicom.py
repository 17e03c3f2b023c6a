"""Series of DICOM slices in the graph: they alone are converted."""

import nibabel as nib
import numpy as np
import pandas as pd
import yaml
from helpers.dicom_series import write_series
from helpers.workflow import ROOT, planned_jobs

from pipeline.study.config import parse_config
from pipeline.study.plan import plan_study


def test_volumes_of_an_archive_have_no_job_more_for_the_series_beside_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [(f"S{n}", f"v{v}", group) for n in range(8) for v, group in enumerate(("MCI", "AD"))]
    table = pd.DataFrame(rows, columns=["subject", "session", "group"])
    table["path"] = table["subject"] + table["session"] + ".nii"
    volume = nib.Nifti1Image(np.zeros((4, 4, 12), np.int16), np.eye(4))
    (slice_, *_) = write_series(tmp_path / "series", volume)
    write_series(tmp_path / "other", volume)
    table.loc[3:4, "path"] = ["other", str(slice_.relative_to(tmp_path))]
    for path in table["path"].drop([3, 4]):
        (tmp_path / path).touch()
    table.to_csv(tmp_path / "ward.csv", index=False)
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["datasets"] = {
        "ward": {
            "source": "manifest",
            "modality": "brain",
            "archive": {"table": "ward.csv"},
            "labels": {"column": "group", "healthy": ["MCI"], "diseased": ["AD"]},
            "brain": {"shape": [64, 80, 56], "voxel_mm": 2.6},
        }
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config))
    planned = planned_jobs(tmp_path, "prepare_brain", "--configfile", tmp_path / "study.yaml")
    assert planned["convert_series"] == 2
    assert planned["orient_volume"] == planned["resample_grid"] == len(table)
    estimated = plan_study(parse_config(config), tmp_path).table
    assert estimated.set_index("rule").loc["convert_series", "jobs"] == 2
