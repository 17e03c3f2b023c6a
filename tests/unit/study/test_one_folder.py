"""A folder holds the results of one study."""

from types import SimpleNamespace

import pytest

from pipeline.study.one_folder import check_folder, closing_words

TABLE_JOB = SimpleNamespace(output=["results/table1.csv", "results/table1.md"])
OTHER_JOB = SimpleNamespace(output=["results/mine/packed"])


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "results/mine").mkdir(parents=True)
    (tmp_path / "results/table1.csv").write_text("dataset,method,ncc_mean\nmine,defi-gan,0.1\n")
    return tmp_path


def test_table_of_another_study_is_not_replaced(folder):
    (finding,) = check_folder([OTHER_JOB, TABLE_JOB], ["adni", "copd"], folder)
    assert (finding.state, finding.what) == ("wrong", "results")
    assert "which has adni, copd, lacks mine" in finding.found
    assert "--configfile" in finding.remedy
    assert "--directory" in finding.remedy


@pytest.mark.parametrize(
    ("jobs", "datasets"),
    [([OTHER_JOB], ["adni"]), ([TABLE_JOB], ["mine"]), ([TABLE_JOB], ["mine", "second"])],
)
def test_the_same_study_goes_on(folder, jobs, datasets):
    assert check_folder(jobs, datasets, folder) == []


@pytest.mark.parametrize(
    "content", [b"", b"method\nx\n", b'dataset\na,b\nc,d,e,f\n"', b"\xff\xfe\x00\x81"]
)
def test_damaged_table_is_named(folder, content):
    (folder / "results/table1.csv").write_bytes(content)
    (finding,) = check_folder([TABLE_JOB], ["mine"], folder)
    assert finding.state == "wrong"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\x81"])
def test_damaged_exclusions_fail_no_run(folder, content):
    (folder / "results/mine/exclusions.csv").write_bytes(content)
    assert closing_words(["mine"], folder) == ""


def test_first_run(tmp_path):
    assert check_folder([TABLE_JOB], ["mine"], tmp_path) == []


def test_what_was_made_and_left_out_is_told(folder):
    (folder / "results/table1.md").touch()
    (folder / "results/mine/exclusions.csv").write_text("stage,item\norient,image\n")
    assert closing_words(["mine", "second"], folder).splitlines() == [
        f"mine: 1 left out or not needed; {folder}/results/mine/exclusions.csv says why of each",
        f"results: {folder}/results/table1.md",
    ]
