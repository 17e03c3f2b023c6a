import pandas as pd
import pytest
from helpers.made_up_adni import write_adni_archive
from helpers.made_up_bids import write_bids_dataset
from helpers.made_up_copd import write_copd_archive
from helpers.studies import COPD

from pipeline.cohort.adni import ingest_adni
from pipeline.cohort.bids import ingest_bids
from pipeline.cohort.copd import ingest_copd
from pipeline.cohort.flow import PREPARATION, STEPS, UNITS, describe_splits, trace_removals
from pipeline.cohort.flow_page import write_cohort_page
from pipeline.cohort.ingest import write_cohort
from pipeline.cohort.manifest import Cohort, as_manifest
from pipeline.cohort.pairs import copd_pairs
from pipeline.cohort.plain import ingest_manifest
from pipeline.stage.exclusions import exclusion_table
from pipeline.stage.rules import Rule

LABELS = {"column": "group", "healthy": ["MCI"], "diseased": ["AD"]}
PAIR = [("m0", "MCI"), ("m6", "AD")]
SPLITS = {"seed": 0, "fractions": {"train": 0.4, "validation": 0.3, "test": 0.3}}


def left_out(stage, item, subject, session, rule, **more):
    names = {"stage": stage, "item": item, "subject": subject, "session": session}
    return {**names, "rule": rule, "reason": "in words", **more}


@pytest.fixture
def manifest():
    keys = [("a", 0, 0, "test"), ("a", 90, 1, "test"), ("b", 0, 1, "train"), ("c", 0, 0, "train")]
    rows = [
        {
            "subject": subject,
            "session": f"d{day:04d}",
            "label": label,
            "diagnosis": ("normal", "COPD")[label],
            "score": 0.5,
            "field_strength": float("nan"),
            "site": "",
            "day": day,
            "date": "",
            "path": "x",
            "split": split,
            "age": age,
            "sex": sex,
            "grade": "2" if label else "",
        }
        for (subject, day, label, split), age, sex in zip(
            keys, [60, 61, 80, float("nan")], "FFM ", strict=True
        )
    ]
    return as_manifest(pd.DataFrame(rows)).replace({"sex": {" ": ""}})


@pytest.fixture
def exclusions():
    return exclusion_table(
        [
            left_out("ingest", "film", "", "", Rule.UNREADABLE),
            left_out("ingest", "film", "a", "", Rule.OTHER_VIEW),
            left_out("ingest", "film", "d", "", Rule.UNKNOWN_VIEW),
            left_out("ingest", "film", "d", "", Rule.TRANSPLANT),
            left_out("ingest", "test", "d", "", Rule.TRANSPLANT),
            left_out("film", "film", "b", "d0000", Rule.UNREADABLE),
        ]
    )


def test_each_image_is_removed_in_one_step(manifest, exclusions):
    images, subjects, removals = trace_removals("copd", manifest, exclusions)
    assert (images, subjects) == (9 - 1, 4)  # a test of lung function is no film
    figures = [(r.title, r.images, r.subjects, r.images_left, r.subjects_left) for r in removals]
    assert figures == [
        (STEPS["copd"][0][0], 1, 0, 7, 4),
        ("Not a PA film", 2, 0, 5, 4),
        ("Lung transplant", 1, 1, 4, 3),
        (PREPARATION, 1, 1, 3, 2),
    ]
    assert removals[1].rules == [("Not a PA film", 1), ("Not known to be a PA film", 1)]


def test_splits_are_described(manifest, exclusions):
    pairs = pd.DataFrame(
        [{"subject": "a", "split": "test", "baseline": "d0000", "followup": "d0090"}]
    )
    rows = describe_splits(manifest, pairs, exclusions)
    assert rows["images"] == {"train": "1", "validation": "0", "test": "2"}
    assert rows["pairs"] == {"train": "", "validation": "0", "test": "1"}
    assert rows["age, years"]["test"] == "60.0 (60 to 60)"  # at the first image
    assert rows["sex"] == {"train": "unknown: 1 (100 %)", "validation": "", "test": "F: 1 (100 %)"}
    assert rows["GOLD grade of the diseased images"]["test"] == "2: 1 (100 %)"
    assert "field strength, tesla" not in rows
    names = ("pairs", "pair", "a", "d0090", Rule.NOT_REGISTERED)
    for baseline, left in (("d0000", "0"), ("d0030", "1")):
        lost = exclusion_table([left_out(*names, baseline=baseline)])
        assert describe_splits(manifest, pairs, lost)["pairs"]["test"] == left


def archives(folder):
    write_adni_archive(folder / "ADNI", folder / "tables", subjects=60, seed=3)
    write_copd_archive(folder, single=6, paired=6)
    write_bids_dataset(folder / "bids")
    return {
        "adni": ingest_adni(folder / "ADNI", folder / "tables", splits=SPLITS),
        "copd": ingest_copd(
            *(folder / "films", folder / "spirometry.csv"),
            splits=SPLITS,
            pseudonym_key=folder / "key",
        ),
        "bids": ingest_bids(folder / "bids", splits=SPLITS, labels=LABELS),
        "manifest": ingest_manifest(
            write_manifest(folder / "manifest.csv"), folder, splits=SPLITS, labels=LABELS
        ),
    }


def write_manifest(path):
    """Six subjects with a pair, one visit of another class, one without its file."""
    visits = [(f"s{n}", visit, group) for n in range(6) for visit, group in PAIR]
    visits += [("s7", "m0", "MCI"), ("s7", "m6", "CN")]
    rows = ["subject,session,path,group", "s7,m12,gone.nii,AD"]
    for subject, visit, group in visits:
        (path.parent / f"{subject}-{visit}.nii").touch()
        rows.append(f"{subject},{visit},{subject}-{visit}.nii,{group}")
    path.write_text("\n".join(rows))
    return path


def test_figures_of_an_archive_add_up(tmp_path):
    for source, cohort in archives(tmp_path).items():
        images, subjects, removals = trace_removals(source, cohort.manifest, cohort.exclusions)
        of_unit = (cohort.exclusions["item"] == UNITS[source]).sum()
        assert images == len(cohort.manifest) + of_unit
        assert sum(r.images for r in removals) == of_unit
        assert subjects - sum(r.subjects for r in removals) == cohort.manifest["subject"].nunique()


def test_rules_of_the_ingest_belong_to_their_steps(tmp_path):
    """A rule that no step names must not fall to the first one unseen."""
    of_the_first = {
        "adni": {Rule.OTHER_PROTOCOL, Rule.NO_DATE, Rule.NO_SUBJECT, Rule.NO_VISIT},
        "bids": {Rule.MISNAMED},
        "manifest": {Rule.NO_FILE},
    }
    cohorts = archives(tmp_path)
    for source, rules in of_the_first.items():
        cohort = cohorts[source]
        _, _, removals = trace_removals(source, cohort.manifest, cohort.exclusions)
        assert removals[0].title == STEPS[source][0][0]
        assert {title for title, _ in removals[0].rules} <= {rule.title for rule in rules}


def test_page_needs_nothing_beside_it(tmp_path, manifest, exclusions):
    cohort = archives(tmp_path)["copd"]
    write_cohort(cohort, tmp_path / "ingest")
    about = COPD | {"title": "<films>"}
    files = (tmp_path / "ingest", tmp_path / "ingest" / "exclusions.csv")
    write_cohort_page(*files, tmp_path / "demo.html", source="copd", about=about | {"data": "demo"})
    write_cohort_page(*files, tmp_path / "real.html", source="copd", about=about | {"data": "real"})
    page = (tmp_path / "demo.html").read_text()
    assert "simulated" in page
    assert "simulated" not in (tmp_path / "real.html").read_text()
    assert "&lt;films&gt;" in page
    assert f"{len(cohort.manifest)} films" in page
    assert not [word for word in ("http", "src=", "href=", "@import") if word in page]
    assert "Names" not in page


def test_page_shows_names_that_became_others(tmp_path, manifest):
    manifest["archive_subject"] = manifest["subject"].map({"a": "<ä>"}).fillna("")
    manifest.loc[manifest["subject"] == "b", "archive_session"] = "d-0000"
    cohort = Cohort(manifest, exclusion_table([]), copd_pairs(manifest))
    write_cohort(cohort, tmp_path)
    files = (tmp_path, tmp_path / "exclusions.csv", tmp_path / "page.html")
    write_cohort_page(*files, source="manifest", about=COPD | {"data": "real"})
    page = files[-1].read_text()
    assert page.count("<tr><td>") == 2
    assert "<tr><td>&lt;ä&gt;</td><td>sub-a</td></tr>" in page
    assert "<tr><td>b, d-0000</td><td>sub-b, ses-d0000</td></tr>" in page
