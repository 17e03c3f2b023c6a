"""What archives show of themselves."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from helpers.dicom_series import write_series
from helpers.film_files import make_dicom, ramp_film
from helpers.made_up_adni import Archive, write_adni_archive
from helpers.made_up_bids import write_bids_dataset
from helpers.made_up_copd import write_copd_archive

from pipeline.stage.errors import InputError
from pipeline.study.init.look import look_at_adni, look_at_bids, look_at_films, look_at_table


@pytest.fixture
def bids(tmp_path):
    write_bids_dataset(tmp_path / "my-study")
    return tmp_path / "my-study"


def write_rows(folder, columns="subject,session,path,day,diagnosis", **changes):
    """A table of four subjects who fall ill, and their empty images."""
    rows = [
        (f"S{n}", f"v{visit}", f"S{n}-{visit}.nii.gz", 365 * visit, group)
        for n in range(4)
        for visit, group in enumerate(["MCI", "AD"])
    ]
    table = pd.DataFrame(rows, columns=columns.split(",")).assign(**changes)
    (folder / "images").mkdir(exist_ok=True)
    for row in rows:
        (folder / "images" / row[2]).touch()
    table.to_csv(folder / "ward.csv", index=False)
    return folder / "ward.csv"


def test_bids(bids):
    look = look_at_bids(bids)
    assert look.name == "my-study"
    assert look.section["labels"] == {"column": "group", "healthy": ["MCI"], "diseased": ["AD"]}
    assert look.remarks["labels"] == ["from MCI to AD: 4 subjects", "neither, so left out: CN"]
    assert look.missing == [
        "visits without acq_time in sessions.tsv are in the order of their names"
    ]


def test_bids_whose_groups_are_of_subjects(bids):
    for table in bids.glob("sub-*/*_sessions.tsv"):
        table.unlink()
    people = bids / "participants.tsv"
    lines = people.read_text().splitlines()
    groups = ["group", *["AD", "MCI"] * 4]
    people.write_text("\n".join(f"{a}\t{b}" for a, b in zip(lines, groups, strict=True)))
    with pytest.raises(InputError, match="no subject has a visit of one group and a later one"):
        look_at_bids(bids)


def test_bids_without_any_table(bids):
    for table in bids.glob("**/*.tsv"):
        table.unlink()
    with pytest.raises(InputError, match=r"sessions.tsv: no column tells two groups"):
        look_at_bids(bids)


def test_table(tmp_path):
    table = write_rows(tmp_path)
    look = look_at_table(table, tmp_path / "images")
    assert look.section == {
        "source": "manifest",
        "modality": "brain",
        "archive": {"table": str(table), "images": str(tmp_path / "images")},
        "labels": {"column": "diagnosis", "healthy": ["MCI"], "diseased": ["AD"]},
    }
    assert look.missing == []


def test_table_whose_columns_are_called_otherwise(tmp_path):
    table = write_rows(tmp_path, "participant_id,Visit,FileName,Days,DX")
    look = look_at_table(table, tmp_path / "images")
    assert look.section["columns"] == {
        **{"subject": "participant_id", "session": "visit"},
        **{"path": "filename", "day": "days"},
    }
    assert look.section["labels"]["column"] == "dx"


def test_table_beside_its_images_needs_no_folder(tmp_path):
    table = write_rows(tmp_path)
    look = look_at_table(table.rename(tmp_path / "images/ward.csv"))
    assert "images" not in look.section["archive"]


def test_table_whose_images_are_elsewhere(tmp_path):
    table = write_rows(tmp_path)
    with pytest.raises(InputError, match=r"ward.csv: none of its 8 paths, .* leads .* --images"):
        look_at_table(table)


def test_table_without_a_column_that_must_be(tmp_path):
    table = write_rows(tmp_path, "subject,session,where,day,diagnosis")
    with pytest.raises(InputError, match=r"ward.csv has no column path; columns found: subject"):
        look_at_table(table)


def test_table_of_films(tmp_path):
    table = write_rows(tmp_path)
    for image in (tmp_path / "images").iterdir():
        image.rename(image.with_name(image.name.replace(".nii.gz", ".png")))
    table.write_text(table.read_text().replace(".nii.gz", ".png"))
    assert look_at_table(table, tmp_path / "images").section["modality"] == "chest"


def test_dates_that_may_be_read_in_two_ways_leave_the_order_of_the_names(tmp_path):
    table = write_rows(
        tmp_path, "subject,session,path,date,diagnosis", date=["1/2/2010", "3/4/2011"] * 4
    )
    assert look_at_table(table, tmp_path / "images").section["labels"]["diseased"] == ["AD"]


@pytest.mark.parametrize("tables", ["tables", "ADNI/../tables", "elsewhere"])
def test_adni(tmp_path, tables):
    write_adni_archive(tmp_path / "ADNI", tmp_path / tables, subjects=4, seed=1)
    given = tmp_path / tables if tables == "elsewhere" else None
    archive = look_at_adni(tmp_path, given).section["archive"]
    assert archive["images"] == str(tmp_path / "ADNI")
    assert (tmp_path / tables).samefile(archive["tables"])
    assert look_at_adni(tmp_path / "ADNI", tmp_path / tables).section["archive"] == {
        "images": str(tmp_path / "ADNI"),
        "tables": str(tmp_path / tables),
    }


def test_adni_without_tables(tmp_path):
    with pytest.raises(InputError, match=r"no table ADNIMERGE.csv in .* with --tables"):
        look_at_adni(tmp_path)


def test_films(tmp_path):
    write_copd_archive(tmp_path, single=1, paired=0)
    look = look_at_films(tmp_path / "films", tmp_path / "spirometry.csv")
    assert look.section == {
        "source": "copd",
        "archive": {
            "films": str(tmp_path / "films"),
            "spirometry": str(tmp_path / "spirometry.csv"),
        },
    }
    assert "never share it" in look.remarks["archive"][0]


def test_films_whose_tables_are_called_otherwise(tmp_path):
    write_copd_archive(tmp_path, single=1, paired=0)
    table = pd.read_csv(tmp_path / "spirometry.csv")
    names = {"PatientID": "id", "FEV1_FVC": "FEV1/FVC", "FEV1_PctPred": "FEV1 % pred"}
    table.rename(columns=names).to_csv(tmp_path / "spirometry.csv", index=False)
    (tmp_path / "png.csv").write_text("path,patient_id,date\n")
    section = look_at_films(tmp_path / "films", tmp_path / "spirometry.csv").section
    assert section["labels"] == {"columns": {"patient": "id", "ratio": "fev1/fvc"}}
    assert section["archive"]["films_table"] == str(tmp_path / "png.csv")


def test_table_of_dicom_series(tmp_path):
    """Of MRI, as folders or named by a slice; a film is one, too, but no scan."""
    table = write_rows(tmp_path)
    table.write_text(table.read_text().replace(".nii.gz", ""))
    volume = nib.Nifti1Image(np.zeros((4, 4, 12), np.int16), np.eye(4))
    (file, *_) = write_series(tmp_path / "images/S0-0", volume)
    assert look_at_table(table, tmp_path / "images").section["modality"] == "brain"
    file.rename(tmp_path / "images/S0-1")
    table.write_text(table.read_text().replace("S0-0", "absent"))
    assert look_at_table(table, tmp_path / "images").section["modality"] == "brain"
    make_dicom(tmp_path / "images/S0-1", ramp_film())
    assert look_at_table(table, tmp_path / "images").section["modality"] == "chest"


def test_adni_of_original_scans_alone(tmp_path):
    archive = Archive()
    archive.image(30, "2006-03-09", "MP-RAGE")
    archive.write(tmp_path / "ADNI", tmp_path / "tables")
    assert look_at_adni(tmp_path).section["series"] == "original"
    archive.image(30, "2006-03-09")
    archive.write(tmp_path / "ADNI", tmp_path / "tables")
    assert "series" not in look_at_adni(tmp_path).section


def test_scans_of_which_the_first_is_damaged_are_no_films(tmp_path):
    table = write_rows(tmp_path)
    rows = pd.read_csv(table)
    rows.loc[0, "path"] = "first.dcm"
    rows.to_csv(table, index=False)
    (tmp_path / "images/first.dcm").touch()
    assert look_at_table(table, tmp_path / "images").section["modality"] == "brain"


def test_table_without_rows_or_files(tmp_path):
    table = write_rows(tmp_path)
    with pytest.raises(InputError, match=r"none of its 8 paths, such as S0-0\.nii\.gz, leads to"):
        look_at_table(table)
    table.write_text(table.read_text().partition("\n")[0])
    with pytest.raises(InputError, match="has a header and no rows"):
        look_at_table(table)
