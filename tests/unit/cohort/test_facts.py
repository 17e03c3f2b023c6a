"""What stays known of a cohort without its archive."""

import hashlib

import numpy as np
import pandas as pd

from pipeline.cohort.facts import cohort_facts
from pipeline.cohort.ingest import write_cohort
from pipeline.cohort.manifest import Cohort, as_manifest
from pipeline.stage.exclusions import exclusion_table


def test_counts_and_hashes(tmp_path):
    tables = tmp_path / "tables"
    tables.mkdir()
    for name in ("b.csv", "a.csv", "notes.txt"):
        (tables / name).write_text(name)
    (tmp_path / "spirometry.csv").write_text("tests")
    rows = []
    for session, label in (("bl", 0), ("m12", 1)):
        image = tmp_path / f"{session}.nii"
        image.write_bytes(b"12345")
        rows.append({"subject": "s", "session": session, "label": label, "path": str(image)})
    manifest = pd.DataFrame(rows).assign(
        diagnosis="", score=np.nan, field_strength=1.5, site="", day=0, date="", split="test"
    )
    pairs = pd.DataFrame({"subject": ["s"], "split": "test", "baseline": "bl", "followup": "m12"})
    cohort = Cohort(as_manifest(manifest), exclusion_table([]), pairs)
    write_cohort(cohort, tmp_path / "ingest")
    facts = cohort_facts(tmp_path / "ingest", [tables, tmp_path / "spirometry.csv"])
    read = [str(tables / "a.csv"), str(tables / "b.csv"), str(tmp_path / "spirometry.csv")]
    assert list(facts["archive"]["tables_sha256"]) == read
    assert facts["archive"]["tables_sha256"][read[2]] == hashlib.sha256(b"tests").hexdigest()
    assert facts["archive"]["images"] == 2
    assert facts["archive"]["image_bytes"] == 10
    assert (facts["subjects"], facts["images"], facts["pairs"]) == (1, 2, 1)
    contents = (tmp_path / "ingest/manifest.parquet").read_bytes()
    assert facts["manifest_sha256"] == hashlib.sha256(contents).hexdigest()
