"""The table of credibility, and that its page and its documentation say what it holds."""

import numpy as np
import pandas as pd
import pytest
from helpers.studies import ADNI, COPD
from helpers.workflow import ROOT

from pipeline.score.credibility_table import COLUMNS, _failed, make_credibility_table
from pipeline.score.scored import TRUE_DEFORMATION
from pipeline.stage.files import read_csv, write_csv, write_parquet


@pytest.fixture
def made(tmp_path):
    """The table and the page of a demonstration with fields and a real data set without."""
    names = {"baseline": "bl", "followup": "m12"}
    demo = [
        {"dataset": "adni", "method": method, "seed": seed, "subject": subject, **names}
        | {"proximity": value, "folding_percent": folding, "judge_auc": 0.8}
        for method, seed, subject, value, folding in (
            ("defi-gan", 0, "a", 0.1, 0.0),
            ("defi-gan", 0, "a", 0.3, 0.0),
            ("defi-gan", 0, "b", 0.4, 1.0),
            ("defi-gan", 1, "a", 0.2, 0.0),
            ("defi-gan", 1, "b", 0.2, 0.0),
            ("va-gan", 0, "a", 0.5, np.nan),
            ("true deformation", -1, "a", 0.6, 0.0),
        )
    ]
    demo[1]["followup"] = "m24"
    real = {"dataset": "copd", "method": "va-gan", "seed": 0, "subject": "c", **names}
    write_parquet(pd.DataFrame(demo), tmp_path / "adni.parquet")
    write_parquet(pd.DataFrame([real | {"proximity": 0.7}]), tmp_path / "copd.parquet")
    keys = [("adni", "true deformation"), ("adni", "va-gan"), ("adni", "defi-gan")]
    table1 = pd.DataFrame([*keys, ("copd", "va-gan")], columns=["dataset", "method"])
    table1 = table1.assign(data=["demo"] * 3 + ["real"], specificity=[0.5, 0.0, 0.1, 0.2])
    table1.assign(share_of_ceiling=[1, 0.1, 0.4, np.nan]).to_csv(tmp_path / "table1.csv")
    csv, md = tmp_path / "credibility.csv", tmp_path / "credibility.md"
    tables = [tmp_path / "adni.parquet", tmp_path / "copd.parquet"]
    datasets = {"copd": COPD | {"data": "real"}, "adni": ADNI | {"data": "demo"}}
    make_credibility_table(tables, tmp_path / "table1.csv", csv, md, datasets)
    return pd.read_csv(csv), md.read_text(encoding="utf-8")


def test_pairs_subjects_and_seeds_are_averaged_in_this_order(made):
    table, _ = made
    assert table["dataset"].tolist() == ["copd", *["adni"] * 3]
    assert table["method"].tolist() == ["va-gan", "true deformation", "va-gan", "defi-gan"]
    row = table.iloc[3]
    assert row[["seeds", "pairs", "subjects"]].tolist() == [2, 3, 2]
    assert row["proximity"] == pytest.approx(((0.2 + 0.4) / 2 + 0.2) / 2)
    assert row["folding_percent"] == 0.25
    assert row[["data", "share_of_ceiling", "specificity"]].tolist() == ["demo", 0.4, 0.1]
    assert table.loc[1, "seeds"] == 0  # chance has no part in it


def test_what_was_not_measured_stays_empty(made):
    table, _ = made
    assert list(table.columns)[6:] == list(COLUMNS)
    assert np.isnan(table.loc[2, "folding_percent"])
    measured = {"specificity", "proximity"}
    assert set(table.columns[6:][table.iloc[0, 6:].notna()]) == measured


def test_page_shows_what_there_is_and_says_what_each_column_means(made):
    _, page = made
    _, copd, adni = page.split("### ")
    assert copd.startswith("COPD\n") and adni.startswith("ADNI (demo)\n")
    assert "| proximity | 0.700 |\n" in copd
    assert "folding_percent" not in copd
    assert "| folding_percent | 0.000 |  | 0.250 |" in adni
    assert "| | true deformation | VA-GAN | DeFI-GAN |" in adni
    for name, column in COLUMNS.items():
        assert f"| {name} | {column.sentence} | {column.source} |" in adni


def test_what_is_not_as_it_must_be_is_told(made):
    _, page = made
    failed = [line for line in page.splitlines() if " is not " in line and line.startswith("- ")]
    assert failed == ["- VA-GAN: specificity 0.000 is not above 0"]


@pytest.mark.parametrize(
    ("value", "limit", "fails"), [(0.2, 0.1, True), (0.1, 0.1, True), (0.1, 0.2, False)]
)
def test_a_column_is_held_against_another(value, limit, fails):
    row = dict.fromkeys(COLUMNS, np.nan) | {"random_weights_ncc": value, "ncc": limit}
    told = _failed(
        pd.DataFrame([row | {"method": "x"}, row | {"method": TRUE_DEFORMATION}]), {"x": "X"}
    )
    expected = f"- X: random_weights_ncc {value:.3f} is not below ncc {limit:.3f}"
    assert told[2:-1] == ([expected] if fails else [])


def test_documentation_says_the_same_of_each_column():
    text = (ROOT / "docs/credibility.md").read_text(encoding="utf-8")
    for name, column in COLUMNS.items():
        assert f"| `{name}` | {column.sentence} | {column.source} |" in text


def test_data_sets_may_have_any_name(tmp_path):
    names = {"seed": 0, "subject": "a", "baseline": "bl", "followup": "m12", "proximity": 0.5}
    datasets = dict.fromkeys(["007", "NA"], COPD | {"data": "real"})
    table1 = pd.DataFrame({"dataset": [*datasets], "method": "va-gan", "data": "real"})
    write_parquet(table1.drop(columns="data").assign(**names), tmp_path / "measured.parquet")
    write_csv(table1.assign(specificity=0.2, share_of_ceiling=np.nan), tmp_path / "table1.csv")
    tables = (tmp_path / name for name in ("table1.csv", "credibility.csv", "credibility.md"))
    make_credibility_table([tmp_path / "measured.parquet"], *tables, datasets)
    made = read_csv(tmp_path / "credibility.csv")
    assert made["dataset"].tolist() == ["007", "NA"]
    assert made["specificity"].tolist() == [0.2, 0.2]
