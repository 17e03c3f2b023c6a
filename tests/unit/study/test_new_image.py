"""New images explained; the whole chain of a scan is run with the miniature study."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from helpers.dicom_series import write_series
from helpers.film_files import make_dicom, ramp_film
from PIL import Image
from pydicom.data import get_testdata_file
from scipy.ndimage import gaussian_filter

from pipeline.brain.grid import resample_to_grid
from pipeline.brain.orient import orient_volume
from pipeline.chest.prepare import centre_crop, prepare_film
from pipeline.cli import main
from pipeline.dicom.film import read_film
from pipeline.method.explain import explain_image, explain_prepared, load_model, save_model
from pipeline.method.generator import Generator
from pipeline.stage.errors import InputError
from pipeline.study import new_flat_image, new_image, new_volume
from pipeline.study.config import parse_config

CONFIG = {
    "datasets": {
        "copd": {
            "source": "copd",
            "archive": {"films": "films", "spirometry": "tests.csv"},
            "labels": {"pseudonym_key": "key"},
            "chest": {"resize": 36, "crop": 32},
            "training": {"networks": {"poolings": 2}},
        },
        "adni": {"source": "adni", "archive": {"images": "ADNI", "tables": "tables"}},
        "toy": {
            "source": "toy",
            "squares": {"size": 32},
            "training": {"networks": {"poolings": 2}},
        },
    }
}
FILMS, BRAINS, SQUARES = parse_config(CONFIG).datasets.values()


def save_untrained(path, **architecture):
    torch.manual_seed(0)
    architecture = {"base_filters": 4, "poolings": 2, **architecture}
    save_model(architecture, Generator(**architecture).state_dict(), path)
    return path


@pytest.fixture
def film(tmp_path):
    framed = np.pad(ramp_film(80, 72), 5, constant_values=4095)
    return make_dicom(tmp_path / "new.dcm", framed)


@pytest.mark.parametrize("method", ["defi-gan", "va-gan"])
def test_film_from_the_command_line(tmp_path, film, method, capsys):
    model = save_untrained(tmp_path / "g.safetensors", dimensions=2, method=method)
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(CONFIG))
    out = tmp_path / "out"
    main(["explain", *map(str, (film, model, out)), "--dataset", "copd", "--config", str(config)])
    assert "not a diagnostic device" in capsys.readouterr().out
    arrays = np.load(out / "explanation.npz")
    expected = explain_image(model, centre_crop(prepare_film(read_film(film), 36), 32))
    np.testing.assert_array_equal(arrays["image"], expected.image)
    np.testing.assert_array_equal(arrays["modified"], expected.modified)
    assert ("displacement" in arrays) == (method == "defi-gan")
    written = {path.name for path in out.iterdir()}
    assert {"figure.png", "figure.svg", "prepared.png", "modified.png"} <= written
    said = json.loads((out / "explanation.json").read_text())
    assert "not a diagnostic device" in said["notice"]
    frame = {"left": 5, "top": 5, "right": 5, "bottom": 5}
    assert said["preparation"] == [{"stage": "film", "frame_px": frame, "resize": 36, "crop": 32}]
    assert "MRN1" not in (out / "explanation.json").read_text()


def _copy_in_place(source, destination, **settings):
    """Stands for the registration to the template of a scan that lies there already, shifted."""
    nib.save(nib.load(source), destination)
    matrix = np.eye(4)
    matrix[:3, 3] = [3.0, -2.0, 1.0]
    return {"engine": "fake", "version": "0", "matrix": matrix.tolist()}


@pytest.fixture
def short_chain(monkeypatch):
    """Preparation of a scan in no time, to a grid of 8 mm."""
    grid = {"voxel_mm": 8.0, "shape": (16, 16, 16)}
    chain = [
        new_volume.ChainStage("orient", orient_volume, {}),
        new_volume.ChainStage("template", _copy_in_place, {}),
        new_volume.ChainStage("grid", resample_to_grid, grid),
    ]
    monkeypatch.setattr(new_volume, "_chain", lambda dataset, source: chain)


@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.mgz"])
def test_scan_is_also_explained_in_its_own_space(tmp_path, short_chain, name):
    data = gaussian_filter(np.random.default_rng(0).random((64, 64, 64)), 3).astype(np.float32)
    scan = nib.spatialimages.SpatialImage(data, np.diag([-2.0, 2.0, 2.0, 1.0]))
    kind = nib.MGHImage if name.endswith("mgz") else nib.Nifti1Image
    nib.save(kind(data, scan.affine), tmp_path / name)
    model = save_untrained(
        tmp_path / "g.safetensors", dimensions=3, method="defi-gan", flow_scale=1e4
    )
    out = tmp_path / "out"
    explanation = new_image.NewImages(model, BRAINS).explain(tmp_path / name, out)
    modified = nib.load(out / "modified.nii.gz")
    np.testing.assert_array_equal(modified.get_fdata(dtype="f4"), explanation.modified)
    difference = nib.load(out / "difference.nii.gz").get_fdata(dtype="f4")
    np.testing.assert_array_equal(difference, explanation.modified - explanation.image)
    warped = nib.load(out / "scan_modified.nii.gz")
    np.testing.assert_allclose(warped.affine, scan.affine)
    assert np.abs(warped.get_fdata() - data).max() > 0.01
    # One grid in two spaces: the template's, and the scan's, which lies a shift beside.
    template, own = (
        nib.load(out / name) for name in ("displacement.nii.gz", "scan_displacement.nii.gz")
    )
    np.testing.assert_allclose(
        own.affine[:3, 3] - template.affine[:3, 3], [3.0, -2.0, 1.0], atol=1e-4
    )
    assert own.shape == (16, 16, 16, 1, 3)


def test_series_from_the_command_line(tmp_path, short_chain, capsys):
    """Its volume is made as the workflow makes it, and is the scan from there on."""
    data = np.random.default_rng(0).integers(1, 1000, (16, 16, 16)).astype(np.int16)
    scan = nib.Nifti1Image(data, np.diag([8.0, 8, 8, 1]))
    files = write_series(tmp_path / "S7", scan)
    nib.save(scan, tmp_path / "labels.nii")
    model = save_untrained(tmp_path / "g.safetensors", dimensions=3, method="defi-gan")
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(CONFIG))
    out = tmp_path / "out"
    command = ["explain", *map(str, (tmp_path / "S7", model, out)), "--dataset", "adni"]
    command += ["--config", str(config), "--apply-labels", str(tmp_path / "labels.nii")]
    main(command)
    volume = nib.as_closest_canonical(nib.load(out / "scan.nii.gz"))
    np.testing.assert_array_equal(volume.get_fdata(), data)
    steps = json.loads((out / "explanation.json").read_text())["preparation"]
    assert [step["stage"] for step in steps] == ["convert", "orient", "template", "grid"]
    assert nib.load(out / "scan_modified.nii.gz").shape == nib.load(out / "scan.nii.gz").shape
    assert (out / "applied/labels.nii.gz").is_file()
    files[5].unlink()
    with pytest.raises(SystemExit):
        main(command)
    assert "S7 cannot be used: slices are missing: 1 of 16" in capsys.readouterr().err


def test_configuration_of_another_study_is_refused(tmp_path, make_packed):
    folder = tmp_path / "results/mine"
    folder.mkdir(parents=True)
    make_packed((16, 16), images=5).rename(folder / "packed")
    (folder / "models/va-gan/seed-0").mkdir(parents=True)
    model = folder / "models/va-gan/seed-0/generator.safetensors"
    save_untrained(model, dimensions=2, method="va-gan")
    told = "trained on images of 16 x 16, this configuration makes them 32 x 32; give that"
    with pytest.raises(InputError, match=told):
        new_image.NewImages(model, SQUARES)


def test_what_does_not_fit_is_refused_with_a_reason(tmp_path, film):
    flat = save_untrained(tmp_path / "flat.safetensors", dimensions=2, method="va-gan")
    with pytest.raises(InputError, match="explains images of 2 dimensions"):
        new_image.NewImages(flat, BRAINS).explain(film, tmp_path / "out")
    with pytest.raises(InputError, match="is not there"):
        new_image.NewImages(flat, FILMS).explain(tmp_path / "no.dcm", tmp_path / "out")
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="cannot be used: not a DICOM, PNG or JPEG file"):
        new_image.NewImages(flat, FILMS).explain(tmp_path / "bad.png", tmp_path / "out")
    slice_of_ct = Path(get_testdata_file("CT_small.dcm", download=False))
    with pytest.raises(InputError, match="cannot be used: not a film by its modality"):
        new_image.NewImages(flat, FILMS).explain(slice_of_ct, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("dataset", "content", "said"),
    [
        (
            "nobody",
            yaml.safe_dump(CONFIG),
            "config.yaml has no data set 'nobody'; it has adni, copd",
        ),
        ("copd", "[1, 2]", "expected object, found [1, 2]"),
        ("copd", "[1, 2", "the configuration cannot be read"),
    ],
)
def test_configuration_that_does_not_tell_is_refused(
    tmp_path, film, dataset, content, said, capsys
):
    config = tmp_path / "config.yaml"
    config.write_text(content)
    paths = map(str, (film, tmp_path / "model", tmp_path / "out"))
    with pytest.raises(SystemExit) as end:
        main(["explain", *paths, "--dataset", dataset, "--config", str(config)])
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert ("--configfile" in error) == (dataset == "nobody")


@pytest.mark.parametrize("method", ["defi-gan", "va-gan"])
def test_toy_image_from_the_command_line(tmp_path, method):
    """An array is taken as it is, also beyond -1 and 1, where the noise of toy squares reaches."""
    model = save_untrained(tmp_path / "g.safetensors", dimensions=2, method=method)
    image = np.random.default_rng(0).normal(0.5, 0.5, (32, 32))
    np.save(tmp_path / "square.npy", image)
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(CONFIG))
    out = tmp_path / "out"
    paths = map(str, (tmp_path / "square.npy", model, out))
    main(["explain", *paths, "--dataset", "toy", "--config", str(config)])
    arrays = np.load(out / "explanation.npz")
    np.testing.assert_array_equal(arrays["image"], image.astype(np.float32))
    expected = explain_prepared(load_model(model), image.astype(np.float32))
    np.testing.assert_array_equal(arrays["modified"], expected.modified)
    assert ("displacement" in arrays) == (method == "defi-gan")
    drawing = (out / "figure.svg").read_text()
    assert "<!-- Toy squares: small size -->" in drawing
    assert "<!-- R -->" not in drawing  # it has no sides of a patient


@pytest.mark.parametrize(("bits", "white"), [(np.uint8, 255), (np.uint16, 65535)])
def test_toy_picture_runs_from_black_to_white(tmp_path, bits, white):
    pixels = np.array([[0, white], [white // 2, white // 4]], dtype=bits)
    Image.fromarray(pixels).save(tmp_path / "square.png")
    expected = [[-1, 1], [0, -0.5]]
    image = new_flat_image.read_image(tmp_path / "square.png")
    np.testing.assert_allclose(image, expected, atol=0.02)


def test_toy_image_that_does_not_fit_is_refused(tmp_path):
    model = save_untrained(tmp_path / "g.safetensors", dimensions=2, method="va-gan")
    for name, image, message in (
        ("small.npy", np.zeros((16, 32)), "small.npy is of 16 x 32; the model explains images of"),
        ("hole.npy", np.full((32, 32), np.nan), "holds values that are no numbers"),
        ("words.npy", np.array(["a"]), "neither an NPY array of numbers nor a PNG"),
    ):
        np.save(tmp_path / name, image)
        with pytest.raises(InputError, match=message):
            new_image.NewImages(model, SQUARES).explain(tmp_path / name, tmp_path / "out")
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="nor a PNG"):
        new_image.NewImages(model, SQUARES).explain(tmp_path / "bad.png", tmp_path / "out")
