"""The simulated chest films: anatomy, deformation, true fields and exposure."""

import numpy as np
import pytest
from scipy import ndimage

from pipeline.demo import chest_disease
from pipeline.demo.chest_disease import FIELD_STEP, State, Subject
from pipeline.geometry.diffeomorphism import (
    grid_positions,
    integrate,
    jacobian_determinant,
    sample_field,
)

HEIGHT = 320
INSIDE = (slice(20, -20), slice(20, -20))  # away from where a map leaves the film


@pytest.fixture(scope="module")
def radiograph() -> np.ndarray:
    return chest_disease.load_radiograph(HEIGHT)


@pytest.fixture(scope="module")
def subject(radiograph) -> Subject:
    return Subject(radiograph, np.random.default_rng(3))


@pytest.fixture(scope="module")
def pose(radiograph) -> chest_disease.Pose:
    return chest_disease.random_pose(radiograph.shape, np.random.default_rng(5))


def test_radiograph_keeps_its_proportions_and_shows_bone_bright(radiograph):
    assert radiograph.shape == (HEIGHT, round(HEIGHT * 1841 / 1955))
    assert radiograph.min() == 0
    assert radiograph.max() == 1
    height, width = radiograph.shape
    lung = radiograph[int(0.3 * height), int(0.68 * width)]
    liver = radiograph[int(0.85 * height), int(0.2 * width)]
    assert liver > lung + 0.2


EVERYTHING = dict.fromkeys(chest_disease.COPD, 1.0)  # all parts affected, none milder


@pytest.mark.parametrize(
    "motions", [[*chest_disease.disease_motions(EVERYTHING)], chest_disease.AGEING]
)
@pytest.mark.parametrize("sign", [-1, 1])
def test_deformations_never_fold(radiograph, motions, sign):
    velocity = chest_disease.motion_velocity(motions, radiograph.shape)
    assert jacobian_determinant(integrate(sign * velocity)).min() > 0.1


def test_warps_of_subjects_never_fold_and_differ(radiograph):
    films = []
    for seed in range(3):
        person = Subject(radiograph, np.random.default_rng(seed))
        assert jacobian_determinant(person._warp).min() > 0.2
        films.append(person.film(State(), chest_disease.Pose(np.eye(2), np.zeros(2))))
    assert np.abs(films[0] - films[1]).mean() > 0.01
    assert np.abs(films[1] - films[2]).mean() > 0.01


def test_maps_to_and_from_the_radiograph_are_inverse(subject):
    state = State(0.7, 0.9)
    positions = grid_positions(subject.shape)[:, 20:-20, 20:-20]
    back = subject.from_radiograph(subject.to_radiograph(positions, state), state)
    assert np.abs(back - positions).max() < 0.5  # pixels


@pytest.mark.parametrize(
    "counterpart", [State(0.2, 0.0), State(0.8, 0.0)], ids=["total", "disease"]
)
def test_true_field_turns_the_followup_into_its_counterpart(subject, pose, counterpart):
    followup = State(0.8, 1.0)
    field = subject.displacement(followup, counterpart, pose)
    pixels = grid_positions(subject.shape)
    towards = sample_field(field, pixels / FIELD_STEP)[::-1]
    sick, healthy = subject.film(followup, pose), subject.film(counterpart, pose)
    made = ndimage.map_coordinates(sick, pixels + towards, order=3, mode="nearest")
    error = np.abs(made - healthy)[INSIDE]
    assert error.mean() < 0.05 * np.abs(sick - healthy)[INSIDE].mean()
    assert error.max() < 0.03


def test_no_disease_and_no_ageing_is_no_displacement(subject, pose):
    field = subject.displacement(State(0.4, 0.0), State(0.4, 0.0), pose)
    assert np.abs(field[:, 5:-5, 5:-5]).max() < 0.3


def flow_of(pattern, shape):
    """Where tissue at a landmark moves, (down, right) in fractions of the film's height."""
    velocity = chest_disease.motion_velocity(chest_disease.disease_motions(pattern), shape)
    flow = integrate(velocity) * FIELD_STEP / HEIGHT

    def moved(row: float, column: float) -> np.ndarray:
        at = np.array([row * (shape[0] - 1), column * (shape[1] - 1)])
        return sample_field(flow, at[:, None] / FIELD_STEP)[:, 0]

    return moved


def test_parts_of_the_disease_move_what_they_are_named_after(radiograph):
    shape = radiograph.shape
    for side, dome, angle in (("right", 0.23, 0.07), ("left", 0.76, 0.91)):
        moved = flow_of({f"{side} dome": 1.0}, shape)
        assert 0.05 < moved(0.73, dome)[0] < 0.09
        assert moved(0.80, angle)[0] < 0.6 * moved(0.73, dome)[0]
        assert np.abs(moved(0.73, 1 - dome)).max() < 0.01
    moved = flow_of({"heart": 1.0}, shape)
    assert moved(0.60, 0.69)[1] < -0.02
    assert moved(0.64, 0.36)[1] > 0.01
    moved = flow_of({"trachea": 1.0}, shape)
    assert moved(0.19, 0.46)[1] > 0.002
    assert moved(0.19, 0.514)[1] < -0.002
    moved = flow_of({"left soft tissue": 1.0}, shape)
    assert moved(0.91, 0.96)[1] < -0.01
    assert np.abs(moved(0.91, 0.04)).max() < 0.005
    moved = flow_of({"right upper zone": 1.0}, shape)
    assert moved(0.22, 0.26)[0] < -0.015  # pushed up above the zone, down below, and to the sides
    assert moved(0.40, 0.26)[0] > 0.015
    assert moved(0.31, 0.18)[1] < -0.015 < 0.015 < moved(0.31, 0.34)[1]


def test_half_as_severe_is_half_the_velocity(radiograph):
    shape = radiograph.shape
    full, half = (
        chest_disease.motion_velocity(
            chest_disease.disease_motions(dict.fromkeys(EVERYTHING, severity)), shape
        )
        for severity in (1.0, 0.5)
    )
    np.testing.assert_allclose(half, full / 2, atol=1e-4)


def test_patterns_are_individual():
    rng = np.random.default_rng(0)
    patterns = [chest_disease.draw_pattern(rng) for _ in range(400)]
    for pattern in patterns:
        assert any(name.endswith(("dome", "zone")) for name in pattern)
        assert all(0.4 <= severity <= 1 for severity in pattern.values())
    for name, part in chest_disease.COPD.items():
        found = sum(name in pattern for pattern in patterns) / len(patterns)
        assert part.chance - 0.07 < found < part.chance + 0.15
    assert len({frozenset(pattern) for pattern in patterns}) > 120


def test_displacement_grows_with_severity(subject, pose):
    largest = [
        np.hypot(*subject.displacement(State(0, severity), State(), pose)).max() / HEIGHT
        for severity in (0.25, 0.5, 1.0)
    ]
    assert largest == sorted(largest)
    assert 0.02 < largest[-1] < 0.10


def test_exposure_keeps_the_anatomy(subject, pose):
    film = subject.film(State(), pose)
    exposed = chest_disease.expose(film, np.random.default_rng(1))
    assert exposed.dtype == np.float32
    assert 0 <= exposed.min() < exposed.max() <= 1
    assert np.corrcoef(film.ravel(), exposed.ravel())[0, 1] > 0.95
    assert np.abs(exposed - film).mean() > 0.005


def test_pose_and_its_inverse_cancel(pose):
    pixels = grid_positions((7, 9))
    np.testing.assert_allclose(pose.inverse().apply(pose.apply(pixels)), pixels, atol=1e-4)
