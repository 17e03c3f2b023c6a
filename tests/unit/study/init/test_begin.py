"""The smallest configuration of a study, written from its data."""

import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from helpers.configurations import shipped
from helpers.dicom_series import write_series
from helpers.made_up_adni import write_adni_archive
from helpers.made_up_bids import write_bids_dataset
from helpers.made_up_copd import write_copd_archive
from helpers.small_study import small_brain, small_head

from pipeline import cli
from pipeline.study.config import read_config
from pipeline.study.init.begin import look_at_scans


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder to begin a study in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_bids(folder):
    """Heads, but for one subject, of whom there are brains without their skull."""
    small_head(folder / "head.nii.gz")
    small_brain(folder / "brain.nii.gz")
    head, brain = ((folder / f"{name}.nii.gz").read_bytes() for name in ("head", "brain"))
    write_bids_dataset(
        folder / "my-study",
        lambda path, subject, _: path.write_bytes(brain if subject == "C0" else head),
    )
    return "--bids my-study"


def write_table(folder, suffix=".nii"):
    rows = [
        (f"0{n}", f"v{visit}", f"{n}-{visit}{suffix}", group)
        for n in range(6)
        for visit, group in enumerate(["MCI", "AD"])
    ]
    table = pd.DataFrame(rows, columns=["subject", "session", "path", "group"])
    for path in table["path"]:
        (folder / path).touch()
    table.to_csv(folder / "ward.csv", index=False)
    return "--table ward.csv"


def write_adni(folder):
    write_adni_archive(folder / "loni/ADNI", folder / "loni/tables", subjects=40, seed=1)
    return "--adni loni"


def write_films(folder):
    (folder / "x").mkdir()
    write_copd_archive(folder / "x", single=6, paired=4)
    return "--films x/films --spirometry x/spirometry.csv"


def is_part(part, whole):
    """Whether `whole` says all that `part` says, at any depth."""
    return all(
        is_part(value, whole[key]) if isinstance(value, dict) else value == whole[key]
        for key, value in part.items()
    )


def begun(command, capsys):
    """What the command says and writes: a smallest configuration, which can be planned."""
    cli.main(["init", *command.split(), "--output", "mine.yaml"])
    said = capsys.readouterr().out.replace("\n  ", " ")
    a_try = re.search(r"at the size of the demonstration: \d+ jobs, (\d+) CPU minutes", said)
    whole = re.search(r"at the size of the paper: \d+ jobs, ([\d.,]+) CPU hours", said)
    assert 0 < float(a_try[1]) < float(whole[1].replace(",", ""))
    text = Path("mine.yaml").read_text()
    assert len([line for line in text.splitlines() if not line.lstrip().startswith("#")]) <= 15
    (dataset,) = read_config(yaml.safe_load(text)).datasets.values()
    # What it proposes for a first try is a configuration, too.
    small = re.sub(r"^    # (\w+: \{)", r"    \1", text, flags=re.MULTILINE)
    (tried,) = read_config(yaml.safe_load(small)).datasets.values()
    assert np.prod(tried.image_shape()) < np.prod(dataset.image_shape()) / 10
    assert set(tried.training.methods) == {"defi-gan", "constant-field"}
    (given,) = yaml.safe_load(small)["datasets"].values()
    demos = shipped("config.yaml")["datasets"].values()
    demo = next(demo for demo in demos if demo["modality"] == tried.modality)
    assert is_part({key: given[key] for key in ("training", tried.modality)}, demo)
    return said.partition("mine.yaml is written:\n")[2], text


def test_bids(folder, capsys):
    said, text = begun(write_bids(folder), capsys)
    assert "- 16 images listed, of 6 subjects, 2 to 3 each: 9 healthy, 7 diseased" in said
    assert "- voxels of 4 x 4 x 4 mm (10 of 16 scans looked at)" in said
    assert "- left out: 3 (image): Neither healthy nor diseased" in said
    assert "- 1 of the 10 scans looked at, such as my-study/sub-C0/ses-M00/anat/" in said
    assert "it will be left out: the skull is gone; give the original scan" in said
    assert "subjects with a test pair: 1; with fewer than 10 there are no intervals" in said
    assert "- hours are an estimate" in said
    assert "    # from MCI to AD: 4 subjects\n" in text
    assert "    labels: {column: group, healthy: [MCI], diseased: [AD]}\n" in text


def test_table(folder, capsys):
    said, _ = begun(write_table(folder), capsys)
    assert "pairs of a healthy and a diseased image: 1 for validation, 1 for test" in said
    assert "field strength of 12 images" in said
    assert "- voxels of" not in said  # none could be read
    assert (
        "- 10 of the 10 scans looked at, such as 0-0.nii: it will be left out: the file is empty"
        in said
    )


def test_films_of_subjects_who_all_have_a_pair_are_shared(folder, capsys):
    said, text = begun(write_table(folder, ".png"), capsys)
    assert "too few others to train on: they are shared\n    splits: {fractions: {train: 0" in text
    assert "trained on: 4 images, 2 healthy and 2 diseased, of the other subjects" in said


def test_films_with_spirometry_of_subjects_who_all_have_a_pair_leave_none_to_train_on(
    folder, caplog
):
    """Those with a pair are for validation and test, as the paper has it, unless lists say so."""
    write_copd_archive(folder / "x", single=0, paired=6)
    said = refusal("--films x/films --spirometry x/spirometry.csv", caplog)
    assert "a run would stop: datasets.COPD: COPD: no training image of class 0" in said
    assert "usable images: " in said and "evaluation pairs: 6" in said
    assert "fractions" not in said  # which would not help


@pytest.mark.parametrize("write", [write_adni, write_films])
def test_archives_that_need_no_labels(folder, capsys, write):
    said, text = begun(write(folder), capsys)
    assert "pairs of a healthy and a diseased image" in said
    assert re.search(r"trained on: \d+ images, \d+ healthy and \d+ diseased, of the other", said)
    assert "labels" not in text.replace("labelled", "")


def refusal(command, caplog):
    with pytest.raises(SystemExit) as end:
        cli.main(["init", *command.split()])
    assert end.value.code == 2
    return caplog.records[-1].getMessage()


def test_a_file_that_is_there_is_never_replaced(folder, caplog):
    (folder / "study.yaml").write_text("mine")
    assert refusal(write_table(folder), caplog) == (
        "study.yaml is there already; remove it, or give another with --output"
    )
    assert (folder / "study.yaml").read_text() == "mine"


def test_what_a_key_may_mend_is_told_and_the_file_written(folder, caplog):
    command = write_table(folder)
    table = pd.read_csv("ward.csv", dtype=str).assign(date="1/2/2010")
    table.loc[1, "date"] = "2/1/2011"
    table.to_csv("ward.csv", index=False)
    said = refusal(command, caplog)
    assert said.startswith("study.yaml is written, but a run would stop: datasets.ward: date may")
    assert "date_format: '%d/%m/%Y'" in said
    given = yaml.safe_load((folder / "study.yaml").read_text())
    given["datasets"]["ward"]["date_format"] = "%d/%m/%Y"
    read_config(given)


def test_options_that_belong_together(folder, caplog):
    assert "--films needs --spirometry" in refusal("--films x", caplog)
    assert "--tables belongs to --adni" in refusal("--bids x --tables y", caplog)


@pytest.mark.parametrize("command", ["--bids x", "--adni x", "--films x --spirometry y.csv"])
def test_folder_that_is_none_is_told(folder, caplog, command):
    assert "there is no folder x; correct the path" in refusal(command, caplog)
    (folder / "x").touch()
    assert "there is no folder x; correct the path" in refusal(command, caplog)


def test_file_is_no_place_for_a_configuration(folder, caplog):
    said = refusal(write_table(folder) + " --output ward.csv/study.yaml", caplog)
    assert said == "--output: ward.csv is no folder; give another path"


def test_scans_that_are_none_are_named_with_their_reason(folder):
    data = np.random.default_rng(0).integers(0, 900, (50, 50, 50)).astype(np.int16)
    kinds = {
        "scan": data,
        "mask": (data > 450).astype(np.int16),
        "ct": np.where(data > 450, data, -1000).astype(np.int16),
        "series": np.stack([data] * 2, axis=-1),
        "infinite": np.where(data > 890, np.inf, data).astype(np.float32),
    }
    for name, voxels in kinds.items():
        nib.save(nib.Nifti1Image(voxels, np.diag([4.0, 4, 4, 1])), folder / f"{name}.nii")
    (folder / "cut.nii").write_bytes((folder / "scan.nii").read_bytes()[:90_000])
    (folder / "empty.nii").touch()
    paths = [f"{name}.nii" for name in (*kinds, "cut", "empty", "absent")]
    facts, odd = look_at_scans(paths)
    assert facts == ["voxels of 4 x 4 x 4 mm (8 of 8 scans looked at)"]
    told = {line.split()[9].rstrip(":"): line.partition("left out: ")[2] for line in odd}
    assert set(told) == {*paths} - {"scan.nii"}
    assert "a mask; give the scan itself" in told["mask.nii"]
    assert "a CT; give a T1 MRI" in told["ct.nii"]
    assert "holds 2 volumes instead of one" in told["series.nii"]
    assert "NaN or infinite" in told["infinite.nii"]
    assert "truncated" in told["cut.nii"]
    assert told["empty.nii"] == "the file is empty; copy it again"
    assert told["absent.nii"] == "the file is missing"


def test_voxels_of_a_series_are_those_of_the_volume_that_is_made_of_it(folder):
    voxels = np.random.default_rng(0).integers(0, 900, (30, 30, 24)).astype(np.int16)
    volume = nib.Nifti1Image(voxels, np.diag([4.0, 4, 5, 1]))
    write_series(folder / "S7", volume)
    write_series(folder / "S8", volume)[9].unlink()
    facts, odd = look_at_scans(["S7", "S8"])
    assert facts == ["voxels of 4 x 4 x 5 mm (2 of 2 scans looked at)"]
    assert odd == [
        "1 of the 2 scans looked at, such as S8: it will be left out: slices are missing: 1 of 24"
    ]


@pytest.mark.parametrize(("scans", "read"), [(3, 3), (10, 10), (12, 10), (19, 10), (400, 10)])
def test_ten_scans_are_read_wherever_there_are_as_many_the_last_too(folder, scans, read):
    paths = [f"{number}.nii" for number in range(scans)]
    _, (odd,) = look_at_scans(paths)
    assert odd.startswith(f"{read} of the {read} scans looked at, such as 0.nii: ")
    (folder / paths[-1]).touch()
    _, odd = look_at_scans(paths)
    assert any(f"such as {paths[-1]}: it will be left out: the file is empty" in o for o in odd)
