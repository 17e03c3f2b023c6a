"""Simulated heads, on a made-up anatomy; the real ones are checked in the slow test."""

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from pipeline.demo import brain_disease
from pipeline.demo.anatomy import (
    GRID_ORIGIN,
    GRID_SHAPE,
    GRID_SPACING,
    Anatomy,
    load_anatomies,
)
from pipeline.geometry.diffeomorphism import (
    grid_positions,
    integrate,
    jacobian_determinant,
    sample_field,
)

QUIET = {"bias": 0.0, "noise": 0.0}


def ball(centre, radius, shape=GRID_SHAPE, spacing=GRID_SPACING, origin=GRID_ORIGIN):
    points = np.indices(shape) * spacing + np.reshape(origin, (3, 1, 1, 1))
    distance = np.linalg.norm(points - np.reshape(centre, (3, 1, 1, 1)), axis=0)
    return np.clip((radius - distance) / spacing + 0.5, 0, 1).astype(np.float32)


def made_up_anatomy() -> Anatomy:
    regions = {
        "ventricles": ball((0, 0, 10), 15),
        "hippocampi": ball((25, -10, -15), 9) + ball((-25, -10, -15), 9),
        "temporal": ball((42, 0, -18), 15) + ball((-42, 0, -18), 15),
        "cortex": ball((0, 0, 0), 66) - ball((0, 0, 0), 58),
        "brain": ball((0, 0, 0), 70),
    }
    rng = np.random.default_rng(0)
    texture = ndimage.gaussian_filter(rng.standard_normal(GRID_SHAPE), 1.5)
    image = ball((0, 0, 0), 80) * (0.8 + texture) - 0.6 * regions["ventricles"]
    affine = np.diag([GRID_SPACING] * 3 + [1.0])
    affine[:3, 3] = GRID_ORIGIN
    return Anatomy(np.clip(image, 0, 2).astype(np.float32), affine, regions)


@pytest.fixture(scope="module")
def subject():
    rng = np.random.default_rng(1)
    return brain_disease.make_subject(made_up_anatomy(), rng=rng, variation_mm=2.5)


def simulate(subject, severity_mm, ageing_mm, pose, *, seed=4, **scanner):
    return brain_disease.simulate_visit(
        subject,
        rng=np.random.default_rng(seed),
        severity_mm=severity_mm,
        ageing_mm=ageing_mm,
        pose=pose,
        **(QUIET | scanner),
    )


def volume(anatomy, name, *displacements):
    """Share of a region seen through maps, the outermost (nearest to the visit) first."""
    positions = grid_positions(GRID_SHAPE)
    for displacement in displacements:
        positions = positions + sample_field(displacement, positions)
    return sample_field(anatomy.regions[name][None], positions).sum()


def check_atrophy(subject, severity_mm):
    tissue = integrate(severity_mm * subject.disease)
    assert jacobian_determinant(tissue).min() > 0
    assert jacobian_determinant(subject.shape).min() > 0
    length = GRID_SPACING * np.sqrt((tissue**2).sum(axis=0)).max()
    assert 0.8 * severity_mm < length <= severity_mm
    back = integrate(-severity_mm * subject.disease)
    change = {
        name: volume(subject.anatomy, name, back, subject.shape)
        / volume(subject.anatomy, name, subject.shape)
        for name in subject.anatomy.regions
    }
    assert change["ventricles"] > 1.3
    assert change["hippocampi"] < 0.85
    assert change["temporal"] < 0.95
    assert change["brain"] == pytest.approx(1, abs=0.02)
    return change


def test_disease_widens_the_ventricles_and_shrinks_the_temporal_lobes(subject):
    check_atrophy(subject, 5.0)


def test_ageing_is_milder_and_another_pattern(subject):
    tissue = integrate(0.6 * subject.ageing)
    back = integrate(-0.6 * subject.ageing)
    ventricles, cortex = (
        volume(subject.anatomy, name, back, subject.shape)
        / volume(subject.anatomy, name, subject.shape)
        for name in ("ventricles", "cortex")
    )
    assert 1.0 < ventricles < 1.2
    assert cortex < 0.995
    assert jacobian_determinant(tissue).min() > 0
    overlap = (subject.ageing * subject.disease).sum()
    overlap /= np.linalg.norm(subject.ageing) * np.linalg.norm(subject.disease)
    assert overlap < 0.9


def test_atrophy_leaves_the_skull_where_it_is(subject):
    outside = sample_field(
        subject.anatomy.regions["brain"][None], grid_positions(GRID_SHAPE) + subject.shape
    )[0]
    far = ndimage.gaussian_filter(outside, 3) < 0.01
    assert np.abs(subject.disease[:, far]).max() * GRID_SPACING < 0.01


@pytest.mark.parametrize("kind", ["total", "disease"])
def test_the_true_field_undoes_the_follow_up(subject, kind):
    pose = brain_disease.random_pose(np.random.default_rng(2), rotation_deg=8, translation_mm=8)
    follow_up = simulate(subject, 5.0, 1.0, pose)
    # What the same scanner would have delivered in the same pose.
    expected = simulate(subject, 0.0, 0.0 if kind == "total" else 1.0, pose)
    image = nib.as_closest_canonical(follow_up.image)
    before = image.get_fdata(dtype=np.float32)
    target = nib.as_closest_canonical(expected.image).get_fdata(dtype=np.float32)
    field = getattr(follow_up, kind)
    assert field.shape[3:] == (1, 3)
    assert field.header.get_intent()[0] == "vector"
    vectors = np.moveaxis(field.get_fdata(dtype=np.float32)[:, :, :, 0], -1, 0)

    every = (slice(None, None, 4),) * 3
    indices = np.moveaxis(np.indices(before.shape)[(slice(None), *every)], 0, -1)
    points = nib.affines.apply_affine(image.affine, indices.reshape(-1, 3))
    at = nib.affines.apply_affine(np.linalg.inv(field.affine), points).T
    moved = points + sample_field(vectors, at).T
    source = nib.affines.apply_affine(np.linalg.inv(image.affine), moved).T
    after = ndimage.map_coordinates(before, source, order=1).reshape(before[every].shape)

    def error(other):
        return np.sqrt(np.mean((other - target[every]) ** 2))

    assert error(after) < 0.25 * error(before[every])


def test_total_also_removes_the_ageing(subject):
    visit = simulate(subject, 5.0, 1.0, np.eye(4))
    total, disease = visit.total.get_fdata(), visit.disease.get_fdata()
    assert 0.3 < np.abs(total - disease).max() < 1.5
    healthy = simulate(subject, 0.0, 0.0, np.eye(4))
    assert np.abs(healthy.total.get_fdata()).max() < 1e-3


def test_a_visit_looks_like_one_from_a_scanner(subject):
    pose = np.eye(4)
    visits = [
        simulate(subject, 0.0, 0.0, pose, seed=seed, bias=0.1, noise=0.03).image
        for seed in range(2)
    ]
    codes = ["".join(nib.aff2axcodes(image.affine)) for image in visits]
    assert "RAS" not in codes
    assert len(set(codes)) > 1
    for image in visits:
        assert image.get_data_dtype() == np.int16
        np.testing.assert_allclose(image.get_sform(), image.get_qform(), atol=1e-4)
        assert all(1 <= size <= 1.5 for size in image.header.get_zooms())
        data = nib.as_closest_canonical(image).get_fdata()
        air = data[:8, :8, -8:]  # a corner beside and above the head
        assert 0 < air.std() < 0.05 * data.max()


def test_a_pose_is_rigid_and_within_its_bounds():
    rng = np.random.default_rng(0)
    for _ in range(20):
        pose = brain_disease.random_pose(rng, rotation_deg=5, translation_mm=7)
        rotation = pose[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1)
        assert np.abs(pose[:3, 3]).max() <= 7
        assert np.degrees(np.arccos((np.trace(rotation) - 1) / 2)) <= 5 * np.sqrt(3) + 0.5


@pytest.mark.slow
def test_the_packaged_heads():
    for number, anatomy in enumerate(load_anatomies()):
        millilitres = {name: share.sum() * 0.027 for name, share in anatomy.regions.items()}
        assert 5 < millilitres["ventricles"] < 40
        assert 5 < millilitres["hippocampi"] < 15
        assert 1000 < millilitres["brain"] < 2000
        rng = np.random.default_rng(number)
        subject = brain_disease.make_subject(anatomy, rng=rng, variation_mm=2.5)
        for severity_mm in (4.0, 6.0):
            assert 1.4 < check_atrophy(subject, severity_mm)["ventricles"] < 2.5
