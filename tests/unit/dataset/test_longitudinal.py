"""Pairs: the observed difference, and what becomes of pairs that cannot be used."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import affine_transform, gaussian_filter
from scipy.spatial.transform import Rotation

from pipeline.dataset.longitudinal import pair_key, register_brain_pair, register_film_pairs
from pipeline.stage.exclusions import EXCLUSION_COLUMNS, exclusion_table
from pipeline.stage.files import write_csv
from pipeline.stage.rules import Rule
from pipeline.stage.sidecar import exclude_image, read_sidecar, write_sidecar

SHAPE = (24, 32, 24)
AFFINE = np.array([[5.0, 0, 0, -60], [0, 5, 0, -80], [0, 0, 5, -55], [0, 0, 0, 1]])


def texture(shape, seed):
    image = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 3)
    return (image / np.abs(image).max()).astype(np.float32)


def save(array, path):
    nib.save(nib.Nifti1Image(array.astype(np.float32), AFFINE), path)
    write_sidecar(path, "grid", [])
    return path


@pytest.fixture
def files(tmp_path):
    """A baseline, a follow-up in another pose with a darker spot, and names for the results."""
    axes = np.meshgrid(*[np.linspace(-1, 1, size) for size in SHAPE], indexing="ij")
    inside = sum(axis**2 for axis in axes) < 0.75**2
    baseline = np.where(inside, 0.6 * texture(SHAPE, 0) + 0.2, -1)
    rotation = Rotation.from_rotvec([4, 0, 5], degrees=True).as_matrix()
    centre = (np.array(SHAPE) - 1) / 2
    offset = centre + np.array([0.6, -0.4, 0.8]) - rotation @ centre
    followup = affine_transform(baseline, rotation, offset, order=1, cval=-1)
    followup[affine_transform(inside * 1.0, rotation, offset, order=1) < 0.95] = -1
    followup[10:13, 14:17, 11:14] -= 0.5
    names = ("difference", "mask")
    results = [tmp_path / f"pair_{name}.nii.gz" for name in names]
    return [
        save(baseline, tmp_path / "baseline.nii.gz"),
        save(followup, tmp_path / "followup.nii.gz"),
        *results,
    ]


def test_difference_shows_the_change_and_nothing_of_the_pose(files):
    register_brain_pair(*files)
    followup, difference, mask = (np.asarray(nib.load(path).dataobj) for path in files[1:])
    change, counts = difference, mask.astype(bool)
    assert mask.dtype == np.uint8
    for path in files[2:]:
        np.testing.assert_array_equal(nib.load(path).affine, AFFINE)
    assert (change[~counts] == 0).all()
    assert (followup[counts] > -1).all()
    assert counts.sum() > 0.8 * (followup > -1).sum()
    np.testing.assert_allclose(change[10:13, 14:17, 11:14], 0.5, atol=0.06)
    change[10:13, 14:17, 11:14] = 0
    assert np.abs(change).mean() < 0.006  # the rim rings in the cubic interpolation
    sidecar = read_sidecar(files[2])
    assert sidecar["status"] == "ok"
    (step,) = sidecar["steps"]
    assert step["stage"] == "pairs"
    assert step["similarity_after"] > step["similarity_before"]
    assert step["warning"] == ""
    assert step["rotation_deg"] == pytest.approx(np.hypot(4, 5), abs=0.7)
    assert step["translation_mm"] == pytest.approx(5 * np.hypot(0.6, np.hypot(0.4, 0.8)), abs=0.5)


@pytest.mark.parametrize(("position", "name"), [(0, "baseline"), (1, "follow-up")])
def test_pair_of_an_excluded_volume_is_excluded_with_its_reason(files, position, name):
    told = {"rule": Rule.BAD_BRAIN, "reason": "an empty brain"}
    exclude_image(files[position], "skull", **told, steps=[])
    register_brain_pair(*files)
    assert [path.stat().st_size for path in files[2:]] == [0, 0]
    assert read_sidecar(files[2]) == {
        "status": "excluded",
        "stage": "pairs",
        "rule": "image_excluded",
        "reason": f"{name} excluded (skull): an empty brain",
        "steps": [],
    }


def test_failed_registration_leaves_empty_files_and_the_reason(files):
    save(np.full(SHAPE, -1.0), files[0])
    register_brain_pair(*files)
    assert [path.stat().st_size for path in files[2:]] == [0, 0]
    assert "empty" in read_sidecar(files[2])["reason"]


def test_doubtful_registration_is_a_warning(files, caplog):
    baseline, followup = (np.asarray(nib.load(path).dataobj) for path in files[:2])
    brain = followup > -1
    # Mutual information takes a negative for a match, correlation for the opposite.
    save(np.where(baseline > -1, -baseline, -1), files[0])
    register_brain_pair(*files)
    sidecar = read_sidecar(files[2])
    assert sidecar["status"] == "ok"
    warning = sidecar["steps"][0]["warning"]
    assert warning.startswith("less alike after the registration than before")
    assert caplog.messages == [f"pairs: {warning}"]
    assert np.asarray(nib.load(files[3]).dataobj)[brain].mean() > 0.8


def test_other_grid_is_an_error(files):
    nib.save(nib.Nifti1Image(np.zeros(SHAPE, np.float32), np.eye(4)), files[0])
    with pytest.raises(ValueError, match="different grids"):
        register_brain_pair(*files)


def test_film_pairs(tmp_path):
    normal = texture((72, 72), 1)
    matrix = np.array([[1.03, 0.02], [-0.02, 0.97]])
    centre = np.array([35.5, 35.5])
    offset = centre + np.array([1, -1.5]) - matrix @ centre
    diseased = affine_transform(normal, matrix, offset, order=1)
    # A negative film can only be made less alike by its registration: it is used, with a warning.
    films = {
        "a_1": normal,
        "a_2": diseased,
        "b_1": -np.roll(normal, 3, 0),
        "b_2": normal,
        "c_2": normal,
    }
    np.savez(
        tmp_path / "films.npz",
        **{"sub-{}_ses-{}".format(*key.split("_")): film for key, film in films.items()},
    )
    film = {"stage": "film", "item": "film", "subject": "c", "session": "1"}
    failed = {**film, "rule": Rule.NO_CONTENT, "reason": "dark"}
    write_csv(exclusion_table([failed]), tmp_path / "films.csv")
    rows = [(subject, "test", "1", "2") for subject in "abc"]
    pairs = pd.DataFrame(rows, columns=["subject", "split", "baseline", "followup"])
    written = []
    for name in ("first", "second"):
        destination, status = tmp_path / f"{name}.npz", tmp_path / f"{name}.csv"
        register_film_pairs(tmp_path / "films.npz", pairs, destination, status, crop=64)
        written.append((destination.read_bytes(), status.read_bytes()))
    assert written[0] == written[1]

    with np.load(destination) as arrays:
        key = pair_key("a", "1", "2")
        kinds = ("difference", "image", "mask", "warning")
        assert sorted(arrays) == [f"{k}/{w}" for k in (key, pair_key("b", "1", "2")) for w in kinds]
        change, image, mask, warning = (arrays[f"{key}/{kind}"] for kind in kinds)
        assert str(warning) == ""
        assert "less alike" in str(arrays[f"{pair_key('b', '1', '2')}/warning"])
    np.testing.assert_array_equal(image, diseased[4:68, 4:68])
    assert (change.dtype, mask.dtype) == (np.float32, bool)
    assert (change[~mask] == 0).all()
    assert 0.8 < mask.mean() < 1
    # The normal film is nothing but moved: registered, it is the diseased one.
    assert np.abs(change[mask]).mean() < 0.03

    excluded = pd.read_csv(status, dtype=str, keep_default_na=False)
    assert list(excluded.columns) == EXCLUSION_COLUMNS
    assert excluded.drop(columns=["source", "reason"]).to_numpy().tolist() == [
        ["pairs", "pair", "c", "2", "1", "image_excluded"],
    ]
    assert excluded["reason"][0] == "film excluded (film): dark"


def test_shard_without_a_usable_pair(tmp_path):
    np.savez(tmp_path / "films.npz")
    write_csv(exclusion_table([]), tmp_path / "films.csv")
    none = pd.DataFrame(columns=["subject", "split", "baseline", "followup"])
    outputs = tmp_path / "pairs.npz", tmp_path / "pairs.csv"
    register_film_pairs(tmp_path / "films.npz", none, *outputs, crop=64)
    with np.load(outputs[0]) as arrays:
        assert arrays.files == []
    assert pd.read_csv(outputs[1]).empty
