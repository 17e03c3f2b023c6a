import numpy as np
import pandas as pd
import pytest
from helpers.studies import ADNI

from pipeline.cohort.ingest import write_cohort
from pipeline.cohort.manifest import Cohort, as_manifest
from pipeline.qc.asymmetry import save_asymmetry
from pipeline.qc.review import find_suspects, read_review, review_volumes, robust_z
from pipeline.stage import layout
from pipeline.stage.exclusions import exclusion_table
from pipeline.stage.files import write_json

GOOD = {
    "status": "ok",
    "stage": "grid",
    "rule": "",
    "reason": "",
    "litres": 1.9,
    "correlation": 0.8,
    "overlap": 0.97,
    "template_overlap": 0.95,
    "empty_planes": [],
    "orientation": "",
}
NOTHING = dict.fromkeys(set(GOOD) - {"status", "stage", "rule", "reason"})
CRASHED = {"rule": "tool_failed", "reason": "ROBEX crashed"}
ODD = {
    1: {"empty_planes": ["x"]},
    3: {"litres": 1.2},
    5: {"correlation": 0.5},
    7: {"overlap": 0.7},
    9: {"orientation": "front and back seem exchanged"},
    13: {"template_overlap": 0.7},
    11: {"status": "excluded", "stage": "skull", **CRASHED, **NOTHING},
}
CHECK_OF = {1: "empty_planes", 3: "brain_volume", 5: "correlation", 7: "overlap", 9: "orientation"}
CHECK_OF |= {13: "overlap"}


def write_study(folder, subjects, sessions="bl"):
    """Write what ingest leaves of a site's volumes; returns the manifest."""
    manifest = as_manifest(
        pd.DataFrame(
            {
                "subject": [f"023S{rid:04d}" for rid in subjects],
                "session": sessions,
                "label": 0,
                "diagnosis": "MCI",
                "score": np.nan,
                "field_strength": 1.5,
                "site": "023",
                "day": 0,
                "date": "",
                "path": "",
                "split": "train",
            }
        )
    )
    pairs = pd.DataFrame(columns=["subject", "split", "baseline", "followup"])
    write_cohort(Cohort(manifest, exclusion_table([]), pairs), folder / "adni/ingest")
    return manifest


@pytest.fixture
def study(tmp_path):
    """Thirty volumes of a site, of which each check suspects one and one fell out."""
    manifest = write_study(tmp_path, range(30))
    rng = np.random.default_rng(0)
    for rid, subject in enumerate(manifest["subject"]):
        spread = {name: GOOD[name] + rng.normal(0, 0.02) for name in ("litres", "correlation")}
        figures = tmp_path / layout.quality("adni", subject, "bl", "json")
        write_json(GOOD | spread | ODD.get(rid, {}), figures)
        figures.with_suffix(".jpg").write_bytes(b"picture")
    return tmp_path


def review(study, exclude=(), **lists):
    paths = {"keep": None, "drop": None}
    for name, rows in lists.items():
        paths[name] = study / f"{name}.csv"
        paths[name].write_text("subject,session,reason\n" + rows)
    files = study / "adni/qc.csv", study / "adni/qc.html"
    about = {**ADNI, "data": "real"}
    options = {"source": "adni", "about": about, "exclude": list(exclude)}
    review_volumes(study, "adni", *files, **options, **paths)
    table = pd.read_csv(files[0], dtype={"reason": str}, keep_default_na=False)
    return table.assign(rid=table["subject"].str[-4:].astype(int)).set_index("rid")


def test_each_check_finds_its_suspect_and_drops_none(study):
    table = review(study)
    assert table["suspect"].drop(11).to_dict() == dict.fromkeys(table.index.drop(11), "") | CHECK_OF
    assert set(table.loc[list(CHECK_OF), "decision"]) == {"suspect"}
    assert (table.drop([*CHECK_OF, 11])["decision"] == "used").all()
    assert read_review(study / "adni/qc.csv") == {}


def test_session_unlike_the_subjects_others_is_suspect(tmp_path):
    """Of subject 0's three the mirrored one, of subject 1's two both; subject 2 tells nothing."""
    sides = {(0, "bl"): 1, (0, "m12"): -1, (0, "m24"): 1, (1, "bl"): -1, (1, "m12"): 1}
    sides |= {(2, "bl"): 1, (2, "m12"): None, (3, "bl"): 1}
    manifest = write_study(tmp_path, *zip(*sides, strict=True))
    rng = np.random.default_rng(0)
    anatomies = rng.normal(size=(4, 3, 20, 20))
    for row, side in zip(manifest.itertuples(), sides.values(), strict=True):
        own = GOOD | ({} if side else {"status": "excluded", **NOTHING})
        files = [
            tmp_path / layout.quality("adni", row.subject, row.session, end)
            for end in ("json", "jpg", "npz")
        ]
        write_json(own, files[0])
        files[1].write_bytes(b"picture")
        noise = rng.normal(0, 0.4, anatomies.shape[1:])
        save_asymmetry(side and side * anatomies[int(row.subject[-4:])] + noise, files[2])
    table = review(tmp_path, exclude=["orientation"]).reset_index().set_index(["rid", "session"])
    suspects = table.index[table["suspect"] == "orientation"]
    assert set(suspects) == {(0, "m12"), (1, "bl"), (1, "m12")}
    said = "left and right seem exchanged against "
    assert table.loc[(0, "m12"), "orientation"] == f"{said}bl, m24"
    assert table.loc[(1, "bl"), "orientation"] == f"{said}m12"
    assert set(table.loc[suspects, "decision"]) == {"excluded"}
    likeness = pd.to_numeric(table["likeness"])
    assert likeness[0, "m12"] < -0.7
    assert abs(likeness[0, "bl"]) < 0.1  # one like it, one not
    assert likeness[[(2, "bl"), (2, "m12"), (3, "bl")]].isna().all()


def test_volume_that_fell_out_leads_with_its_stage(study):
    table = review(study)
    first = table.iloc[0]
    assert (first.name, first["decision"]) == (11, "fell out")
    assert first[["stage", "rule", "reason"]].tolist() == ["skull", *CRASHED.values()]
    assert set(table.index[1 : 1 + len(CHECK_OF)]) == set(CHECK_OF)  # worst first


def test_suspects_are_excluded_where_the_configuration_says_so(study):
    review(study, exclude=["empty_planes", "overlap"])
    assert read_review(study / "adni/qc.csv") == {
        ("023S0001", "bl"): {"rule": "suspect", "reason": "suspect: empty planes"},
        ("023S0007", "bl"): {"rule": "suspect", "reason": "suspect: overlap"},
        ("023S0013", "bl"): {"rule": "suspect", "reason": "suspect: overlap"},
    }


def test_lists_override_both_ways(study):
    exclude = ["empty_planes", "overlap"]
    keep, drop = "1,bl,looked at it\n11,bl,\n", "0,bl,moved\n999,bl,\n"
    table = review(study, exclude, keep=keep, drop=drop)
    assert read_review(study / "adni/qc.csv") == {
        ("023S0000", "bl"): {"rule": "dropped", "reason": "on the drop list: moved"},
        ("023S0007", "bl"): {"rule": "suspect", "reason": "suspect: overlap"},
        ("023S0013", "bl"): {"rule": "suspect", "reason": "suspect: overlap"},
    }
    assert table.loc[1, "decision"] == "kept"
    # There is no image to keep.
    assert table.loc[11, "decision"] == "fell out"


def test_scores_are_within_site_and_field_strength():
    rng = np.random.default_rng(0)
    groups = pd.DataFrame({"field_strength": [1.5] * 20 + [3.0] * 20, "site": ["001", "002"] * 20})
    # The two field strengths differ, and so do their sites.
    usual = np.where(groups["field_strength"] == 3, 2.2, 1.8) + (groups["site"] == "002") * 0.3
    values = pd.Series(usual + rng.normal(0, 0.01, 40))
    assert robust_z(values, groups).abs().max() < 3.5
    values[0] = 2.1  # usual at the other site of this field strength
    assert robust_z(values, groups)[0] > 3.5


def test_small_groups_are_joined():
    values = pd.Series([1.0, 1.1, 0.9, 1.2, 0.8, 1.0, 1.05, 3.0, np.nan])
    sites = pd.DataFrame({"field_strength": 1.5, "site": [f"{n}" for n in range(9)]})
    scores = robust_z(values, sites)
    median, mad = values.median(), (values - values.median()).abs().median()
    assert scores[7] == pytest.approx((3 - median) / (1.4826 * mad))
    assert np.isnan(scores[8])
    assert robust_z(values[1:], sites[1:]).isna().all()  # 7 values tell nothing


def test_identical_values_are_no_outliers():
    volumes = pd.DataFrame([GOOD | {"empty_planes": ""}] * 20)
    volumes = volumes.assign(field_strength=1.5, site="")
    assert (find_suspects(volumes)["suspect"].str.len() == 0).all()
