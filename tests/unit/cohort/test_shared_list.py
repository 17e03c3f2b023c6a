"""A study's list of images replayed on the same archive and on another one."""

import numpy as np
import pandas as pd
import pytest
from helpers.made_up_adni import write_adni_archive
from helpers.made_up_copd import write_copd_archive

from pipeline.cohort.facts import list_study
from pipeline.cohort.flow_page import write_cohort_page
from pipeline.cohort.ingest import ingest_dataset, write_cohort
from pipeline.cohort.shared_list import LIST_COLUMNS, cohort_list, compare_lists, read_cohort_list
from pipeline.stage.errors import InputError
from pipeline.stage.exclusions import exclusion_table
from pipeline.stage.files import write_csv
from pipeline.study.config import parse_config

SPLITS = {"seed": 5, "fractions": {"train": 0.4, "validation": 0.3, "test": 0.3}}
ABOUT = {
    "title": "Ward",
    "modality": "brain",
    "disease": {"name": "d", "healthy": "h", "diseased": "s"},
    "data": "real",
}


def ingest(datasets, **more):
    dataset = parse_config({"datasets": {"one": datasets | more}}).datasets["one"]
    return ingest_dataset(dataset.ingest_settings())


def save_list(cohort, path):
    write_csv(cohort_list(cohort, cohort.exclusions, {}), path)
    return {"list": str(path)}


@pytest.fixture
def adni(tmp_path):
    images, tables = tmp_path / "ADNI", tmp_path / "tables"
    write_adni_archive(images, tables, subjects=60, seed=3)
    archive = {"images": str(images), "tables": str(tables)}
    return {"source": "adni", "archive": archive}


@pytest.fixture
def copd(tmp_path):
    write_copd_archive(tmp_path, single=6, paired=6)
    archive = {"films": str(tmp_path / "films"), "spirometry": str(tmp_path / "spirometry.csv")}
    labels = {"pseudonym_key": str(tmp_path / "key")}
    return {"source": "copd", "archive": archive, "labels": labels}


@pytest.fixture
def plain(tmp_path):
    """Eight subjects with two visits each, healthy and then diseased, in a table."""
    rows = [
        (f"s{n}", visit, f"s{n}{visit}.nii", group, day)
        for n in range(8)
        for visit, group, day in (("a", "MCI", 0), ("b", "AD", 400))
    ]
    table = pd.DataFrame(rows, columns=["subject", "session", "path", "group", "day"])
    for path in table["path"]:
        (tmp_path / path).write_text(path)
    table.to_csv(tmp_path / "table.csv", index=False)
    archive = {"table": str(tmp_path / "table.csv"), "images": str(tmp_path)}
    labels = {"column": "group", "healthy": ["MCI"], "diseased": ["AD"]}
    about = {"title": "Ward", "modality": "brain", "disease": ABOUT["disease"]}
    return {"source": "manifest", "archive": archive, "labels": labels, **about}


@pytest.mark.parametrize("kind", ["adni", "copd", "plain"])
def test_the_same_archive_gives_the_same_cohort(kind, request, tmp_path):
    """By the list alone: with the default of the splits the subjects would be split otherwise."""
    study = request.getfixturevalue(kind)
    first = ingest(study, splits=SPLITS)
    listed = save_list(first, tmp_path / "cohort_list.csv")
    again = ingest(study, cohort=listed)
    pd.testing.assert_frame_equal(again.manifest, first.manifest)
    order = ["subject", "followup", "baseline"]
    pairs = [cohort.pairs.sort_values(order, ignore_index=True) for cohort in (again, first)]
    pd.testing.assert_frame_equal(*pairs, check_dtype=False, check_like=True)
    assert not ingest(study).manifest["split"].equals(first.manifest["split"])
    made = cohort_list(again, again.exclusions, {})
    assert compare_lists(read_cohort_list(tmp_path / "cohort_list.csv"), made).empty


def test_list_tells_the_splits_alone_where_lists_of_subjects_stand(plain, tmp_path):
    """Beside lists of subjects that are called .csv, as the published ones are."""
    first = ingest(plain, splits=SPLITS)
    listed = save_list(first, tmp_path / "cohort_list.csv")["list"]
    test = first.manifest.loc[first.manifest["split"] == "test", "subject"].unique()
    (tmp_path / "test_subjects.csv").write_text("\n".join(test))
    lists = {"train": listed, "validation": listed, "test": str(tmp_path / "test_subjects.csv")}
    again = ingest(plain, splits={"lists": lists})
    pd.testing.assert_frame_equal(again.manifest, first.manifest)


def test_list_of_films_holds_pseudonyms_alone(copd, tmp_path):
    cohort = ingest(copd, splits=SPLITS)
    save_list(cohort, tmp_path / "cohort_list.csv")
    listed = pd.read_csv(tmp_path / "cohort_list.csv", dtype=str, keep_default_na=False)
    assert list(listed) == LIST_COLUMNS
    assert listed["subject"].str.fullmatch("[0-9a-f]{12}").all()
    assert listed["session"].str.fullmatch(r"d\d{4}").all()
    assert (listed["image"] == "").all()


def test_list_of_adni_has_the_numbers_of_images(adni, tmp_path):
    cohort = ingest(adni, splits=SPLITS)
    made = cohort_list(cohort, cohort.exclusions, {})
    for number, path in zip(made["image"], cohort.manifest["path"], strict=True):
        assert f"_{number}.nii" in path and number.startswith("I")


def test_what_is_missing_or_differs_is_told(plain, tmp_path):
    first = ingest(plain, splits=SPLITS)
    listed = save_list(first, tmp_path / "cohort_list.csv")
    train = first.manifest.loc[first.manifest["split"] == "train", "subject"].unique()
    gone, changed, *_ = train
    (tmp_path / f"{gone}a.nii").unlink()
    table = pd.read_csv(tmp_path / "table.csv")
    here = (table["subject"] == changed) & (table["session"] == "a")
    table.loc[here, "group"] = "AD"
    new = table.tail(1).assign(subject="new", path="new.nii")
    (tmp_path / "new.nii").write_text("new")
    pd.concat([table, new]).to_csv(tmp_path / "table.csv", index=False)
    cohort = ingest(plain, cohort=listed)
    assert "new" not in set(cohort.manifest["subject"])
    told = cohort.exclusions.set_index(["item", "subject", "session"])
    missing = told.loc[("listed image", gone, "a")]
    assert missing["rule"] == "no_image"
    assert missing["source"].startswith("cohort_list.csv:")
    assert told.loc[("image", changed, "a"), "rule"] == "contradiction"
    assert told.loc[("image", "new", "b"), "rule"] == "no_split"
    assert len(cohort.manifest) == len(first.manifest) - 2
    # Later stages: one image lost, the content of another one is new.
    write_cohort(cohort, tmp_path / "ingest")
    lost, other = list(cohort.manifest[["subject", "session"]].itertuples(index=False))[:2]
    later = {"stage": "skull", "item": "image", "rule": "tool_failed", "reason": "it failed"}
    rows = [*cohort.exclusions.to_dict("records"), later | lost._asdict()]
    write_csv(exclusion_table(rows), tmp_path / "exclusions.csv")
    contents = cohort.manifest[["subject", "session"]].assign(content="new")
    (tmp_path / "packed").mkdir()
    contents.to_parquet(tmp_path / "packed/contents.parquet")
    frame = pd.read_csv(tmp_path / "cohort_list.csv", dtype=str, keep_default_na=False)
    known = (frame["subject"] == other.subject) & (frame["session"] == other.session)
    frame["content"] = np.where(known, "old", "")
    frame.to_csv(tmp_path / "cohort_list.csv", index=False)
    paths = [tmp_path / name for name in ("ingest", "exclusions.csv", "packed", "made.csv")]
    differences = list_study(*paths, replayed=tmp_path / "cohort_list.csv")
    found = {(row.subject, row.session): row.difference for row in differences.itertuples()}
    absent = "missing here, or left out"
    expected = {(gone, "a"): absent, (changed, "a"): absent, tuple(lost): absent}
    assert found == expected | {tuple(other): "the content is another one"}
    assert len(pd.read_csv(tmp_path / "made.csv")) == len(cohort.manifest) - 1
    page = tmp_path / "page.html"
    options = {"source": "manifest", "about": ABOUT, "differences": differences}
    write_cohort_page(*paths[:2], page, **options)
    assert "4 listed images missing or different" in page.read_text()
    write_cohort_page(*paths[:2], page, **options | {"differences": differences.head(0)})
    assert "Every listed image is used" in page.read_text()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("s1,a,0,practice", "cohort_list.csv:2: the split is none of train, validation, test"),
        ("s1,a,MCI,train", "cohort_list.csv:2: the label is none of 0, 1"),
        ("s1,a,0,train\ns1,a,1,train", "cohort_list.csv:3: the image is listed twice"),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path, line, said):
    path = tmp_path / "cohort_list.csv"
    path.write_text(f"subject,session,label,split\n{line}\n")
    with pytest.raises(InputError, match=said):
        read_cohort_list(path)


def test_a_list_of_another_archive_leaves_nothing(plain, tmp_path):
    path = tmp_path / "cohort_list.csv"
    path.write_text("subject,session,label,split\nx1,a,0,train\nx2,b,1,test\n")
    with pytest.raises(InputError, match="no training image"):
        ingest(plain, cohort={"list": str(path)})
