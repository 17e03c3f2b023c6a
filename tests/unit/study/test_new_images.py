"""A folder of images, explained in one go."""

import errno

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from helpers.dicom_series import write_series

from pipeline.cli import main
from pipeline.method.explain import save_model
from pipeline.method.generator import Generator
from pipeline.stage.errors import InputError
from pipeline.study.config import parse_config
from pipeline.study.new_image import NewImages
from pipeline.study.new_images import explain_folder, find_images

CONFIG = {
    "datasets": {
        "toy": {
            "source": "toy",
            "squares": {"size": 16},
            "training": {"networks": {"poolings": 2}},
        }
    }
}
SQUARES = parse_config(CONFIG).datasets["toy"]


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    architecture = {"dimensions": 2, "method": "defi-gan", "base_filters": 4, "poolings": 2}
    path = tmp_path / "generator.safetensors"
    save_model(architecture, Generator(**architecture).state_dict(), path)
    return path


@pytest.fixture
def squares(tmp_path):
    folder = tmp_path / "squares"
    (folder / "deeper").mkdir(parents=True)
    for name in ("a.npy", "deeper/b.npy"):
        np.save(folder / name, np.random.default_rng(0).normal(0, 0.5, (16, 16)))
    return folder


def test_one_bad_image_does_not_stop_the_others(squares, model, tmp_path, capsys):
    np.save(squares / "bad.npy", np.full((16, 16), np.nan))
    (squares / "notes.txt").write_text("not an image")
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(CONFIG))
    out = squares / "explained"  # inside: a second call must not take its pictures for new ones
    for _ in range(2):
        paths = map(str, (squares, model, out))
        main(["explain", *paths, "--dataset", "toy", "--config", str(config)])
        assert ": 2 of 3." in capsys.readouterr().out
        table = pd.read_csv(out / "explained.csv", keep_default_na=False).set_index("image")
        assert table["folder"].to_dict() == {
            "a.npy": "a",
            "bad.npy": "bad",
            "deeper/b.npy": "deeper/b",
        }
        assert "no numbers" in table.loc["bad.npy", "refused"]
        assert (table.drop("bad.npy")["refused"] == "").all()
        for name in ("a", "deeper/b"):
            assert "not a diagnostic device" in (out / name / "page.html").read_text()
        assert not (out / "bad").exists()


def explain_found(source, model, destination):
    images = find_images(source, destination, SQUARES.modality)
    explain_folder(source, images, model, destination, SQUARES)


@pytest.fixture
def failing(monkeypatch):
    """Lets the explanation of a.npy fail as told."""
    explain = NewImages.explain

    def with_fault(fault):
        def fail_at_a(self, image, destination):
            if image.name == "a.npy":
                raise fault
            explain(self, image, destination)

        monkeypatch.setattr(NewImages, "explain", fail_at_a)

    return with_fault


@pytest.mark.parametrize(
    ("fault", "told"),
    [(ValueError("of its pixels"), "ValueError"), (OSError(errno.EIO, "I/O error"), "I/O error")],
)
def test_a_fault_at_one_image_stops_no_other(squares, model, tmp_path, failing, fault, told):
    failing(fault)
    images = find_images(squares, tmp_path / "out", "image")
    table = explain_folder(squares, images, model, tmp_path / "out", SQUARES)
    refused = table.set_index("image")["refused"]
    assert told in refused["a.npy"]
    assert refused["deeper/b.npy"] == ""


def test_a_full_disk_stops_all(squares, model, tmp_path, failing):
    failing(OSError(errno.ENOSPC, "no space left"))
    images = find_images(squares, tmp_path / "out", "image")
    with pytest.raises(OSError, match="no space"):
        explain_folder(squares, images, model, tmp_path / "out", SQUARES)


def test_nothing_to_explain_is_an_error(squares, model, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="there is no image in this folder; give an NPY or PNG"):
        explain_found(tmp_path / "empty", model, tmp_path / "out")
    for path in squares.rglob("*.npy"):
        np.save(path, np.zeros((8, 8)))
    with pytest.raises(InputError, match=r"no image of .* could be explained; .*explained.csv"):
        explain_found(squares, model, tmp_path / "out")


def test_folders_are_named_after_images_without_falling_together(tmp_path):
    for name in ("s1.nii.gz", "s2.nii", "s2.mgz", "t.json", ".s3.nii", "sub/s1.NII.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_images(tmp_path, tmp_path / "out", "brain") == {
        "s1.nii.gz": "s1",
        "s2.mgz": "s2.mgz",
        "s2.nii": "s2.nii",
        "sub/s1.NII.gz": "sub/s1",
    }


def test_image_beside_a_folder_of_its_name(tmp_path):
    (tmp_path / "s1").mkdir()
    for name in ("s1.nii.gz", "s1/v1.nii"):
        (tmp_path / name).touch()
    named = {"s1/v1.nii": "s1/v1", "s1.nii.gz": "s1.nii.gz"}
    assert find_images(tmp_path, tmp_path / "out", "brain") == named


def test_folder_of_slices_is_one_scan(tmp_path):
    volume = nib.Nifti1Image(np.zeros((4, 4, 12), np.int16), np.eye(4))
    write_series(tmp_path / "s1/v1", volume)
    for file in write_series(tmp_path / "s1/v2", volume):
        file.rename(file.with_suffix(""))
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "s1/v3.nii").touch()
    found = {"s1/v1": "s1/v1", "s1/v2": "s1/v2", "s1/v3.nii": "s1/v3"}
    assert find_images(tmp_path, tmp_path / "out", "brain") == found
    assert find_images(tmp_path / "s1/v1", tmp_path / "s1/v1/out", "brain") == {".": "v1"}


def test_somebodys_folder_is_not_replaced(squares, model, tmp_path):
    with pytest.raises(InputError, match="holds no explanation; name a folder that is new"):
        NewImages(model, SQUARES).explain(squares / "a.npy", squares)
    assert (squares / "a.npy").is_file()
    for _ in range(2):  # an earlier explanation is
        NewImages(model, SQUARES).explain(squares / "a.npy", tmp_path / "out")


def test_other_images_need_volumes(squares, model, tmp_path, capsys):
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(CONFIG))
    options = ["--dataset", "toy", "--config", str(config), "--apply", "other.nii"]
    for source, said in (
        (squares, "belong to one scan, not to a folder"),
        (squares / "a.npy", "by a model that deforms volumes only"),
    ):
        with pytest.raises(SystemExit):
            main(["explain", *map(str, (source, model, tmp_path / "out")), *options])
        assert said in capsys.readouterr().err
