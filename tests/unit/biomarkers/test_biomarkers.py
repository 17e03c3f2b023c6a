"""Biomarkers of changes that are known."""

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.studies import ADNI
from scipy.ndimage import gaussian_filter

from pipeline.biomarkers.brain_regions import measure_regions, tissue_shares
from pipeline.biomarkers.film_structures import (
    LANDMARKS,
    find_landmarks,
    inside_lungs,
    measure_film,
    move_landmarks,
    reference_landmarks,
)
from pipeline.biomarkers.measure import film_rows, make_biomarker_table
from pipeline.biomarkers.observed import deformable_field
from pipeline.chest.prepare import centre_crop, prepare_film
from pipeline.demo.chest_disease import Pose, State, Subject, load_radiograph
from pipeline.method.deformation import warp
from pipeline.stage.files import write_parquet

SHAPE = (16, 18, 20)


def test_growth_of_a_region():
    """The image's region is sampled at 1.2 times the distance along one axis: a fifth larger."""
    phi = np.zeros((3, *SHAPE))
    phi[1, :, 9:] = 0.2 * np.arange(9)[:, None]  # channel 1: the axis before the last
    share = np.zeros(SHAPE)
    share[:, 11:17] = 0.5
    difference = np.full(SHAPE, -0.3)
    rows = pd.DataFrame(measure_regions(difference, phi, {"cortex": share}, voxel_mm=2.0))
    found = rows.set_index("measure")["value"]
    assert found["volume change"] == pytest.approx(20)
    assert found["displacement"] == pytest.approx(2 * 0.2 * np.mean(np.arange(2, 8)))
    assert found["difference"] == pytest.approx(-0.3)
    # Without a field there is a difference alone.
    bare = measure_regions(difference, None, {"cortex": share}, voxel_mm=2.0)
    assert [row["measure"] for row in bare] == ["difference"]


def test_tissues_are_told_apart_by_intensity():
    image = np.full(SHAPE, -1.0, np.float32)
    rng = np.random.default_rng(0)
    for part, level in ((slice(2, 6), -0.6), (slice(6, 10), 0.1), (slice(10, 14), 0.8)):
        image[part] = level + 0.02 * rng.standard_normal((4, *SHAPE[1:]))
    shares = tissue_shares(image, None)
    assert [
        np.flatnonzero(share.mean(axis=(1, 2)) > 0.5).tolist() for share in shares.values()
    ] == [
        [2, 3, 4, 5],
        [6, 7, 8, 9],
        [10, 11, 12, 13],
    ]


@pytest.mark.parametrize("values", [(0.2, 0.2, 0.6), (0.2, 0.2001, 0.9), (-0.9999, -0.9998, 1.0)])
def test_a_brain_of_two_grey_values_has_no_three_tissues(values):
    image = np.full(SHAPE, -1.0, np.float32)
    image[4:6], image[6:8], image[8:12] = values
    assert tissue_shares(image, None) == {}


@pytest.mark.parametrize("shape", [(48, 56), (28, 32, 30)])
def test_registration_observes_a_known_field(shape):
    """Of a textured image and one deformed by 2 voxels, most of the displacement is found."""
    rng = np.random.default_rng(0)
    image = gaussian_filter(rng.standard_normal(shape), 2).astype(np.float32)
    image /= np.abs(image).max()
    middle = [slice(size // 4, -size // 4) for size in shape]
    bump = np.zeros(shape)
    bump[tuple(size // 2 for size in shape)] = 1
    bump = gaussian_filter(bump, 6)
    phi = np.zeros((len(shape), *shape), np.float32)
    phi[0], phi[-1] = 2 * bump / bump.max(), -1.5 * bump / bump.max()
    target = warp(torch.from_numpy(image)[None, None], torch.from_numpy(phi)[None])[0, 0].numpy()
    found = deformable_field(target, image)
    inside = (slice(None), *middle)
    error = np.linalg.norm((found - phi)[inside], axis=0).mean()
    assert error < 0.35 * np.linalg.norm(phi[inside], axis=0).mean()


def test_landmarks_are_found_on_simulated_films():
    """On films of known anatomy most landmarks lie within two pixels of where they truly are."""
    height, resize, crop = 320, 72, 64
    radiograph = load_radiograph(height)
    reference, places = reference_landmarks(resize, crop)
    errors = []
    for seed, severity in ((1, 0.0), (2, 0.7), (3, 1.0)):
        subject = Subject(radiograph, np.random.default_rng(seed))
        shape = np.array(radiograph.shape)
        matrix = np.diag([1 / 1.05, 1 / 1.05])
        centre = (shape - 1) / 2
        pose = Pose(matrix, centre - matrix @ centre)
        state = State(severity=severity)
        film = centre_crop(prepare_film(subject.film(state, pose), resize), crop)
        found = find_landmarks(film, reference, places)
        for name, place in LANDMARKS.items():
            raw = np.array(place) * shape - 0.5
            seen = pose.inverse().apply(subject.from_radiograph(raw.reshape(2, 1), state))[:, 0]
            corner, side = (shape - min(shape)) // 2, min(shape)
            true = (seen - corner + 0.5) * resize / side - 0.5 - (resize - crop) // 2
            errors.append(np.linalg.norm(found[name] - true))
    assert np.median(errors) < 1.0
    assert np.percentile(errors, 80) < 2.0


def test_landmarks_follow_the_field():
    """xhat0(p) = x1(p + phi): what lies at q in the image lies at q - phi in the modified one."""
    phi = np.zeros((2, 20, 20), np.float32)
    phi[0], phi[1] = 1.5, -2
    moved = move_landmarks({"dome": np.array([9.0, 11.0])}, phi)
    np.testing.assert_allclose(moved["dome"], [11, 9.5], atol=0.01)


def test_lengths_and_curvature():
    places = {name: np.array(place) * 100 for name, place in LANDMARKS.items()}
    places["right tracheal wall"], places["left tracheal wall"] = np.array([[0, 3], [4, 6.0]])
    # Three points of a circle of radius 10: the dome 2 above a chord of 12.
    places["right costophrenic angle"] = np.array([50.0, 10.0])
    places["right cardiophrenic angle"] = np.array([50.0, 22.0])
    places["right dome"] = np.array([48.0, 16.0])
    found = measure_film(places)
    assert found["tracheal width"] == pytest.approx(5)
    assert found["diaphragm height"] == pytest.approx(2)
    assert found["diaphragm curvature"] == pytest.approx(1 / 10)
    flat = {**places, "right dome": np.array([51.0, 16.0])}
    assert measure_film(flat)["diaphragm height"] == pytest.approx(-1)


def test_heights_of_clavicles_and_apices_and_area_of_the_gastric_bubble():
    places = {name: np.array(place) * 100 for name, place in LANDMARKS.items()}
    for side, rows in (("right", (9, 20, 45)), ("left", (7, 18, 45))):
        for name, row in zip(("apex", "clavicle", "lung wall"), rows, strict=True):
            places[f"{side} {name}"][0] = row
    corners = {"top": (70, 70), "medial wall": (75, 60), "lowest fold": (85, 70)}
    corners["lateral wall"] = (75, 80)
    for name, place in corners.items():
        places[f"{name} of the gastric bubble"] = np.array(place, float)
    found = measure_film(places)
    assert found["clavicle height"] == pytest.approx(45 - 19)
    assert found["lung apex height"] == pytest.approx(19 - 8)
    assert found["gastric bubble area"] == pytest.approx(20 * 15 / 2)


def test_lucency_is_measured_well_inside_the_lungs_and_of_every_method():
    film, places = reference_landmarks(72, 64)
    lungs = inside_lungs(places, film.shape)
    assert film[lungs].mean() < film[~lungs].mean() - 0.3  # lungs are dark
    for name in ("right dome", "left heart border", "right lung wall", "left tracheal wall"):
        row, column = np.round(places[name]).astype(int)
        assert not lungs[row - 1 : row + 2, column - 1 : column + 2].any()
    difference = np.where(lungs, 0.1, -5.0)
    mask = np.ones(film.shape, bool)
    (found,) = film_rows(film, mask, [("adds", 0, difference, None)], film, places)
    assert (found["structure"], found["measure"]) == ("lung lucency", "change")
    assert found["value"] == pytest.approx(0.1, abs=0.02)
    still = np.zeros((2, *film.shape), np.float32)
    rows = pd.DataFrame(
        film_rows(film, mask, [("deforms", 0, 0 * difference, still)], film, places)
    )
    changes = rows[rows["measure"] == "change"].set_index("structure")["value"]
    assert {"lung lucency", "clavicle height", "gastric bubble area"} <= set(changes.index)
    assert changes.abs().max() == pytest.approx(0, abs=1e-6)
    units = rows[rows["measure"] == "with the disease"].set_index("structure")["unit"]
    assert (units["gastric bubble area"], units["lung apex height"]) == ("px²", "px")


def test_findings_are_in_words_of_the_disease(tmp_path):
    """Twelve subjects and three seeds have intervals; a single seed has none, and no finding."""
    rows = [
        {
            **{"dataset": "adni", "method": method, "seed": seed},
            **{"subject": f"s{number}", "baseline": "bl", "followup": "m12", "unit": "%"},
            **{"structure": structure, "measure": measure, "value": values[number % 3]},
        }
        for method, seed, structure, measure, values in (
            *(("defi-gan", s, "left Insula", "volume change", (-1.0, 1.0, 2.0)) for s in range(3)),
            *(("defi-gan", s, "hippocampi", "volume change", (-5.0, -3.0, -4.0)) for s in range(3)),
            ("observed", -1, "ventricles", "volume change", (20.0, 30.0, 25.0)),
            ("observed", -1, "ventricles", "displacement", (1.0, 2.0, 3.0)),
            ("va-gan", 0, "ventricles", "volume change", (20.0, 30.0, 25.0)),
        )
        for number in range(12)
    ]
    write_parquet(pd.DataFrame(rows), tmp_path / "biomarkers.parquet")
    make_biomarker_table(
        [tmp_path / "biomarkers.parquet"],
        {"adni": {**ADNI, "data": "demo"}},
        tmp_path / "table.csv",
    )
    table = pd.read_csv(tmp_path / "table.csv", keep_default_na=False)
    ventricles = ["ventricles"] * 3
    assert table["structure"].tolist() == [*ventricles, "hippocampi", "left Insula"]
    assert table["finding"].tolist() == [
        "ventricles larger in AD",
        "",
        "",
        "hippocampi smaller in AD",
        "no clear change",
    ]
    assert table["interval_note"].tolist() == ["", "", "1 seed, fewer than 3", "", ""]
    paper = ["larger in AD", "", "larger in AD", "smaller in AD", ""]
    assert table["paper"].tolist() == paper
    assert table["mean"].tolist() == [25, 2, 25, -4, pytest.approx(2 / 3)]
    assert (table["data"] == "demo").all()
    assert (table["disease"] == "Alzheimer's disease").all()
