"""The true field arrives on the networks' grid where, and as long as, it should."""

import nibabel as nib
import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from pipeline.cohort.manifest import as_manifest
from pipeline.score.truth import field_on_grid, film_to_raw, score_truth
from pipeline.stage import layout
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_parquet
from pipeline.stage.sidecar import write_sidecar

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


@pytest.mark.parametrize("raw_shape", [(150, 121), (120, 161)])
def test_film_pixels_are_found_in_the_raw_film(raw_shape):
    resize, crop = 40, 31
    side = min(raw_shape)
    top, left = ((length - side) // 2 for length in raw_shape)
    matrix = film_to_raw(raw_shape, resize, crop)
    row, column = 20, 7
    raw_column, raw_row, _ = matrix @ [row, column, 1]
    # A film that shows its own coordinates, prepared the same way, shows where it came from.
    for axis, expected in enumerate((raw_row, raw_column)):
        ramp = np.indices(raw_shape)[axis].astype(np.float32)
        square = Image.fromarray(ramp[top : top + side, left : left + side])
        small = np.asarray(square.resize((resize, resize), Image.Resampling.BILINEAR))
        start = (resize - crop) // 2
        assert small[start + row, start + column] == pytest.approx(expected, abs=0.01)


def expected_difference(image, shift):
    """x1(p + shift) - x1(p), 0 outside."""
    points = np.indices(image.shape) + np.reshape(shift, (-1, *[1] * image.ndim))
    return map_coordinates(image, points, order=1, cval=0.0) - image


def write_manifest(results, dataset, path):
    row = {
        "subject": PAIR[0],
        "session": PAIR[3],
        "label": 1,
        "diagnosis": "",
        "score": np.nan,
        "field_strength": np.nan,
        "site": "",
        "day": 400,
        "date": "",
        "path": str(path),
        "split": "test",
    }
    manifest = as_manifest(pd.DataFrame([row]))
    write_parquet(manifest, results / dataset / "ingest" / "manifest.parquet")


def check(scores, dataset):
    assert scores["field"].tolist() == ["total", "disease"]
    assert (scores["method"] == "true deformation").all()
    assert (scores["dataset"] == dataset).all()
    assert scores["ncc"][0] == pytest.approx(1, abs=1e-4)
    assert scores["ncc"][1] < 0.9


def test_volumes_are_scored(tmp_path, write_packed):
    to_raw = similarity() @ grid_affine()
    shift = np.array([1.3, -0.6, 0.8])
    vector = to_raw[:3, :3] @ shift
    folder = tmp_path / "truth" / "sub-s"
    folder.mkdir(parents=True)
    for kind, u in (("total", vector), ("disease", -vector)):
        field = np.broadcast_to(u.astype(np.float32), (4, 4, 4, 1, 3))
        nib.save(
            nib.Nifti1Image(field, np.diag([60.0, 60, 60, 1])), folder / f"ses-m12_{kind}.nii.gz"
        )
    image = texture(GRID_SHAPE)
    grid = tmp_path / layout.volume("adni", "grid", "s", "m12")
    grid.parent.mkdir(parents=True)
    nib.save(nib.Nifti1Image(image, grid_affine()), grid)
    steps = [{"stage": "crop"}, {"stage": "template", "matrix": similarity().tolist()}]
    write_sidecar(grid, "grid", steps)
    write_manifest(tmp_path, "adni", grid)
    difference = expected_difference(image, shift)
    mask = np.zeros(GRID_SHAPE, bool)
    mask[3:-3, 3:-3, 3:-3] = True
    write_packed(tmp_path / "adni" / "packed", [PAIR], image[None], difference[None], mask[None])
    score_truth(tmp_path, "adni", tmp_path / "truth", tmp_path / "scores.parquet")
    check(pd.read_parquet(tmp_path / "scores.parquet"), "adni")


@pytest.fixture
def film(tmp_path):
    """A raw film of 96 x 80 pixels."""
    film = pydicom.Dataset()
    film.file_meta = pydicom.dataset.FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.SOPClassUID, film.SOPInstanceUID = DigitalXRayImageStorageForPresentation, "1.2.3"
    film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
    film.Rows, film.Columns = 96, 80
    film.ImagerPixelSpacing = [1.5, 1.5]
    film.save_as(tmp_path / "film.dcm", enforce_file_format=True)
    return tmp_path / "film.dcm"


def test_films_are_scored(tmp_path, write_packed, film):
    shift = np.array([1.5, -0.7])  # rows, columns; twice that in raw pixels
    folder = tmp_path / "truth" / "sub-s"
    folder.mkdir(parents=True)
    for kind, sign in (("total", 2), ("disease", -2)):
        field = np.broadcast_to((sign * shift[::-1]).astype(np.float32), (20, 24, 1, 1, 2))
        path = folder / f"ses-m12_{kind}.nii.gz"
        nib.save(nib.Nifti1Image(field, np.diag([4.0, 4, 1, 1])), path)
    write_manifest(tmp_path, "copd", film)
    image = texture((32, 32))
    difference = expected_difference(image, shift)
    mask = np.zeros((32, 32), bool)
    mask[3:-3, 3:-3] = True
    write_packed(tmp_path / "copd" / "packed", [PAIR], image[None], difference[None], mask[None])
    score_truth(tmp_path, "copd", tmp_path / "truth", tmp_path / "scores.parquet", resize=40)
    check(pd.read_parquet(tmp_path / "scores.parquet"), "copd")


def test_missing_field_is_named(tmp_path, write_packed, film):
    write_manifest(tmp_path, "copd", film)
    image = texture((32, 32))[None]
    write_packed(tmp_path / "copd" / "packed", [PAIR], image, image, image > -9)
    with pytest.raises(InputError, match=r"ses-m12_total\.nii\.gz is missing"):
        score_truth(tmp_path, "copd", tmp_path, tmp_path / "scores.parquet", resize=40)
