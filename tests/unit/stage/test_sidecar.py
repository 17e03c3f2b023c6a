import pickle
from pathlib import Path

import pytest

from pipeline.stage.errors import ImageError, InputError
from pipeline.stage.files import read_json
from pipeline.stage.rules import Rule
from pipeline.stage.sidecar import (
    exclude_image,
    has_sidecar,
    read_sidecar,
    run_image_stage,
    sidecar_path,
)


def copy(source, destination):
    destination.write_bytes(source.read_bytes())
    return {"engine": "copy", "version": "1"}


def refuse(source, destination):
    destination.write_bytes(b"half")
    raise ImageError(Rule.NO_CONTENT, "the volume is empty")


def write_nothing(source, destination):
    return {"engine": "silent tool"}


def fail(source, destination):
    raise OSError("no space left on device")


@pytest.fixture
def raw(tmp_path):
    path = tmp_path / "raw.nii"
    path.write_bytes(b"image")
    return path


def test_sidecar_stands_beside_the_image():
    assert sidecar_path(Path("a/b_T1w.nii.gz")) == Path("a/b_T1w.json")
    assert sidecar_path(Path("a/b.npz")) == Path("a/b.json")


def test_steps_accumulate(raw, tmp_path):
    one, two = tmp_path / "one.nii.gz", tmp_path / "two.nii.gz"
    run_image_stage("orient", copy, raw, one, {}, first=True)
    run_image_stage("crop", copy, one, two, {})
    assert two.read_bytes() == b"image"
    assert read_sidecar(two) == {
        "status": "ok",
        "stage": "crop",
        "steps": [
            {"stage": "orient", "engine": "copy", "version": "1"},
            {"stage": "crop", "engine": "copy", "version": "1"},
        ],
    }


def test_bad_image_is_excluded_with_its_reason_and_passed_on(raw, tmp_path):
    one, two = tmp_path / "one.nii.gz", tmp_path / "two.nii.gz"
    run_image_stage("orient", refuse, raw, one, {}, first=True)
    run_image_stage("crop", copy, one, two, {})
    for image in (one, two):
        assert image.read_bytes() == b""
        assert read_json(sidecar_path(image)) == {
            "status": "excluded",
            "stage": "orient",
            "rule": "no_content",
            "reason": "the volume is empty",
            "steps": [],
        }


def test_tool_that_writes_nothing_is_a_reason(raw, tmp_path):
    run_image_stage("orient", write_nothing, raw, tmp_path / "one.nii.gz", {}, first=True)
    sidecar = read_sidecar(tmp_path / "one.nii.gz")
    assert (sidecar["rule"], sidecar["reason"]) == ("empty_result", "silent tool wrote no image")


def test_exclusion_without_a_rule_cannot_be_written(tmp_path):
    with pytest.raises(TypeError):
        ImageError("the volume is empty")
    with pytest.raises(ValueError, match="the volume is empty"):
        ImageError("the volume is empty", "")
    with pytest.raises(ValueError, match="odd"):
        exclude_image(tmp_path / "one.nii.gz", "orient", rule="odd", reason="", steps=[])
    assert list(tmp_path.iterdir()) == []


def test_error_of_an_image_survives_the_way_between_processes():
    error = pickle.loads(pickle.dumps(ImageError(Rule.NO_CONTENT, "the volume is empty")))
    assert str(error) == "the volume is empty"
    assert error.exclusion == {"rule": Rule.NO_CONTENT, "reason": "the volume is empty"}


def test_sidecar_is_there_before_its_image(raw, tmp_path):
    # Snakemake waits for the image alone.
    image = tmp_path / "one.nii.gz"

    def prevent(source, destination):
        image.mkdir()  # the image cannot be put in its place
        return copy(source, destination)

    with pytest.raises(OSError):
        run_image_stage("orient", prevent, raw, image, {}, first=True)
    assert sidecar_path(image).exists()

    with pytest.raises(OSError):
        exclude_image(image, "orient", rule=Rule.NO_CONTENT, reason="it is empty", steps=[])
    assert read_sidecar(image)["reason"] == "it is empty"


def test_missing_sidecar_is_named_with_the_remedy(raw, tmp_path):
    image = tmp_path / "one.nii.gz"
    run_image_stage("orient", copy, raw, image, {}, first=True)
    sidecar_path(image).unlink()
    with pytest.raises(InputError, match=r"one\.json: missing; remove one\.nii\.gz"):
        read_sidecar(image)


def test_error_of_ours_is_raised_and_leaves_nothing(raw, tmp_path):
    with pytest.raises(OSError, match="no space"):
        run_image_stage("orient", fail, raw, tmp_path / "one.nii.gz", {}, first=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["raw.nii"]


def test_an_exclusion_names_the_image_among_many(raw, tmp_path, caplog):
    run_image_stage("orient", refuse, raw, tmp_path / "sub-1_ses-2_T1w.nii.gz", {}, first=True)
    assert "orient: sub-1_ses-2_T1w.nii.gz is excluded: the volume is empty" in caplog.text


@pytest.mark.parametrize("beside", [None, "", "3", '{"MagneticFieldStrength": 3}'])
def test_json_beside_an_image_is_no_sidecar_of_ours(raw, tmp_path, beside):
    """BIDS has one beside each image."""
    if beside is not None:
        sidecar_path(raw).write_text(beside)
    assert not has_sidecar(raw)
    run_image_stage("copy", copy, raw, tmp_path / "made.nii", {}, first=True)
    assert has_sidecar(tmp_path / "made.nii")
