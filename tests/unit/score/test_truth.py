"""The true field arrives on the networks' grid where, and as long as, it should."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from pipeline.chest.frame import Frame
from pipeline.chest.prepare import film_to_raw
from pipeline.dataset.packed import Geometry, PackedDataset
from pipeline.score.truth import field_on_grid, score_truth, true_fields
from pipeline.stage import layout
from pipeline.stage.errors import InputError

GRID_SHAPE = (16, 20, 18)
PAIR = ("s", "test", "bl", "m12")


def texture(shape):
    return gaussian_filter(np.random.default_rng(0).standard_normal(shape), 2).astype(np.float32)


def similarity() -> np.ndarray:
    """Template mm to raw mm: scale, rotation, translation."""
    matrix = np.eye(4)
    matrix[:3, :3] = 1.1 * Rotation.from_euler("xyz", [10, -20, 15], degrees=True).as_matrix()
    matrix[:3, 3] = [12, -7, 30]
    return matrix


def grid_affine() -> np.ndarray:
    affine = np.diag([5.0, 5.0, 5.0, 1.0])
    affine[:3, 3] = [-40, -50, -45]
    return affine


def linear_field(to_raw, shape, gradient):
    """u(s) = gradient (s - centre), the centre being that of the networks' grid."""
    centre = (to_raw @ [*(np.array(shape) - 1) / 2, 1])[:-1]
    return lambda s: (s - centre) @ gradient.T


def test_field_of_a_volume_follows_the_geometry():
    to_raw = similarity() @ grid_affine()
    gradient = np.array([[0.02, 0.05, 0], [-0.03, 0.01, 0.02], [0.01, 0, -0.04]])
    field = linear_field(to_raw, GRID_SHAPE, gradient)
    field_affine = np.diag([3.0, 4.0, 3.5, 1.0])
    field_affine[:3, 3] = [-80, -90, -70]
    indices = np.stack(np.indices((60, 50, 60)), axis=-1)
    positions = indices @ field_affine[:3, :3].T + field_affine[:3, 3]
    phi = field_on_grid(field(positions), field_affine, to_raw, GRID_SHAPE)
    assert phi.shape == (3, *GRID_SHAPE)
    for voxel in ([2, 3, 4], [8, 10, 9], [14, 5, 12]):
        raw = (to_raw @ [*voxel, 1])[:3]
        moved = np.linalg.inv(to_raw) @ [*(raw + field(raw)), 1]
        # The channels go from the last array axis to the first.
        np.testing.assert_allclose(phi[(slice(None), *voxel)][::-1], moved[:3] - voxel, atol=1e-4)


def expected_difference(image, shift):
    """x1(p + shift) - x1(p), 0 outside."""
    points = np.indices(image.shape) + np.reshape(shift, (-1, *[1] * image.ndim))
    return map_coordinates(image, points, order=1, cval=0.0) - image


def check(scores, dataset):
    assert scores["field"].tolist() == ["total", "disease"]
    assert (scores["method"] == "true deformation").all()
    assert (scores["dataset"] == dataset).all()
    assert scores["ncc"][0] == pytest.approx(1, abs=1e-4)
    assert scores["ncc"][1] < 0.9


def write_true_fields(folder, vector, affine, subject=PAIR[0]):
    """The total field is constant; that of the disease is its opposite."""
    path = layout.true_field(folder, subject, PAIR[3], "total")
    path.parent.mkdir(parents=True)
    for kind, sign in (("total", 1), ("disease", -1)):
        grid = (20, 24, 1, 1) if len(vector) == 2 else (4, 4, 4, 1)
        field = np.broadcast_to((sign * vector).astype(np.float32), (*grid, len(vector)))
        nib.save(nib.Nifti1Image(field, affine), layout.true_field(folder, subject, PAIR[3], kind))


@pytest.fixture
def write_pair(tmp_path, write_packed):
    """Write a packed pair whose observed difference is a shift; its way back to the raw image."""

    def write(shape, shift, to_raw, raw_mm):
        image = texture(shape)
        difference = expected_difference(image, shift)
        mask = np.zeros(shape, bool)
        mask[tuple(slice(3, -3) for _ in shape)] = True
        geometry = replace(
            Geometry.of_made_images(1, shape), to_raw=to_raw[None], raw_mm=np.array([raw_mm])
        )
        folder = tmp_path / "packed"
        write_packed(folder, [PAIR], image[None], difference[None], mask[None], geometry)
        return folder

    return write


def test_volumes_are_scored(tmp_path, write_pair):
    to_raw = similarity() @ grid_affine()
    shift = np.array([1.3, -0.6, 0.8])
    write_true_fields(tmp_path / "truth", to_raw[:3, :3] @ shift, np.diag([60.0, 60, 60, 1]))
    packed = write_pair(GRID_SHAPE, shift, to_raw, 1.0)
    score_truth(packed, tmp_path / "truth", tmp_path / "scores.parquet", dataset="adni")
    check(pd.read_parquet(tmp_path / "scores.parquet"), "adni")


def test_films_are_scored(tmp_path, write_pair):
    shift = np.array([1.5, -0.7])  # rows, columns; twice that in raw pixels
    write_true_fields(tmp_path / "truth", 2 * shift[::-1], np.diag([4.0, 4, 1, 1]))
    packed = write_pair((32, 32), shift, film_to_raw((96, 80), Frame(), resize=40, crop=32), 1.5)
    score_truth(packed, tmp_path / "truth", tmp_path / "scores.parquet", dataset="copd")
    check(pd.read_parquet(tmp_path / "scores.parquet"), "copd")


def test_field_of_another_subject_is_tried(tmp_path, write_packed):
    """Two films move in opposite ways: each field fits its own and is wrong for the other."""
    shift, to_raw = np.array([1.5, -0.7]), film_to_raw((96, 80), Frame(), resize=40, crop=32)
    images, mask = np.stack([texture((32, 32))] * 2), np.zeros((2, 32, 32), bool)
    mask[:, 3:-3, 3:-3] = True
    differences = [expected_difference(images[0], way * shift) for way in (1, -1)]
    for subject, way in (("s", 1), ("t", -1)):
        raw = 2 * way * shift[::-1]
        write_true_fields(tmp_path / "truth", raw, np.diag([4.0, 4, 1, 1]), subject)
    geometry = Geometry.of_made_images(2, (32, 32))
    geometry = replace(geometry, to_raw=np.stack([to_raw] * 2), raw_mm=np.ones(2))
    pairs, folder = [PAIR, ("t", *PAIR[1:])], tmp_path / "packed"
    write_packed(folder, pairs, images, np.stack(differences), mask, geometry)
    score_truth(folder, tmp_path / "truth", tmp_path / "scores.parquet", dataset="copd")
    scores = pd.read_parquet(tmp_path / "scores.parquet")
    scores = scores[scores["field"] == "total"]
    np.testing.assert_allclose(scores["ncc"], 1, atol=1e-4)
    assert (scores["ncc_other"] < 0).all()


def test_true_field_tells_mm_of_the_raw_image(tmp_path, write_pair):
    write_true_fields(tmp_path / "truth", np.array([1.0, 2.0]), np.diag([4.0, 4, 1, 1]))
    packed = write_pair(
        (32, 32), np.zeros(2), film_to_raw((96, 80), Frame(), resize=40, crop=32), 1.5
    )
    (true,) = true_fields(PackedDataset.open(packed), tmp_path / "truth")
    # A pixel of the prepared film is two of the raw film, each 1.5 mm.
    np.testing.assert_allclose(np.linalg.norm(true.to_mm @ [1.0, 0.0]), 3.0)


def test_missing_field_is_named(tmp_path, write_pair):
    packed = write_pair((32, 32), np.zeros(2), np.eye(3), 1.0)
    with pytest.raises(InputError, match=r"ses-m12_total\.nii\.gz is missing"):
        score_truth(packed, tmp_path, tmp_path / "scores.parquet", dataset="copd")
