"""Simulated heads, on a made-up anatomy; the real ones are checked in the slow test."""

import nibabel as nib
import numpy as np
import pytest
from helpers.anatomies import made_up_anatomy
from scipy import ndimage

from pipeline.demo import brain_disease
from pipeline.demo.anatomy import (
    GRID_SHAPE,
    GRID_SPACING,
    load_anatomies,
    load_held_out_anatomy,
)
from pipeline.geometry.diffeomorphism import (
    grid_positions,
    integrate,
    jacobian_determinant,
    sample_field,
)

QUIET = {"voxel_mm": (1.0, 1.5), "bias": 0.0, "noise": 0.0}


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


def with_pattern(anatomy, pattern, seed=1):
    """A subject whose disease is given, not drawn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(brain_disease, "draw_pattern", lambda rng: pattern)
        rng = np.random.default_rng(seed)
        return brain_disease.make_subject(anatomy, rng=rng, variation_mm=2.5)


def volume_changes(subject, severity_mm):
    """Volume with the disease over that without, by region."""
    tissue = integrate(severity_mm * subject.disease)
    assert jacobian_determinant(tissue).min() > 0
    assert jacobian_determinant(subject.shape).min() > 0
    length = GRID_SPACING * np.sqrt((tissue**2).sum(axis=0)).max()
    assert 0.8 * severity_mm < length <= severity_mm
    back = integrate(-severity_mm * subject.disease)
    return {
        name: volume(subject.anatomy, name, back, subject.shape)
        / volume(subject.anatomy, name, subject.shape)
        for name in subject.anatomy.regions
    }


def test_disease_widens_ventricles_and_shrinks_lobes_on_the_affected_side():
    pattern = {"left ventricle": 1.0, "right medial temporal": -1.0}
    change = volume_changes(with_pattern(made_up_anatomy(), pattern), 5.0)
    assert change["left ventricle"] > 1.3
    assert change["right medial temporal"] < 0.75
    assert change["brain"] == pytest.approx(1, abs=0.02)
    spared = [name for name in change if name not in pattern]
    assert all(0.85 < change[name] < 1.1 for name in spared)


def test_every_region_of_a_pattern_changes_by_its_own_severity():
    pattern = {"left frontal": -1.0, "right frontal": -0.4}
    change = volume_changes(with_pattern(made_up_anatomy(), pattern), 4.0)
    assert change["left frontal"] < change["right frontal"] - 0.1
    assert change["right frontal"] < 0.95


def test_patterns_are_individual():
    rng = np.random.default_rng(0)
    patterns = [brain_disease.draw_pattern(rng) for _ in range(400)]
    assert all(patterns)
    for name, chance in brain_disease.CHANCES.items():
        for side in ("left", "right"):
            rates = [p[f"{side} {name}"] for p in patterns if f"{side} {name}" in p]
            # Patterns that affect nothing are drawn again, so a little more than the chance.
            assert chance - 0.07 < len(rates) / len(patterns) < chance + 0.12
            assert all((rate > 0) == (name == "ventricle") for rate in rates)
            assert 0.4 <= min(map(abs, rates)) < 0.6 < 0.8 < max(map(abs, rates)) <= 1
    assert len({frozenset(pattern) for pattern in patterns}) > 200


def test_ageing_is_milder_and_another_pattern(subject):
    tissue = integrate(0.6 * subject.ageing)
    back = integrate(-0.6 * subject.ageing)
    for name in brain_disease.AGEING:
        change = volume(subject.anatomy, name, back, subject.shape)
        change /= volume(subject.anatomy, name, subject.shape)
        assert 1.0 < change < 1.2 if "ventricle" in name else 0.9 < change < 0.998
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
    pattern = {"left ventricle": 1.0, "right ventricle": 0.7, "right medial temporal": -0.6}
    for number, anatomy in enumerate([*load_anatomies(), load_held_out_anatomy()]):
        millilitres = {name: share.sum() * 0.027 for name, share in anatomy.regions.items()}
        assert 1000 < millilitres["brain"] < 2000
        for side in ("left", "right"):
            assert 2.5 < millilitres[f"{side} ventricle"] < 20
            assert 4 < millilitres[f"{side} medial temporal"] < 16
            assert 60 < millilitres[f"{side} frontal"] < 160
        for severity_mm in (5.0, 7.0):
            change = volume_changes(with_pattern(anatomy, pattern, seed=number), severity_mm)
            assert 1.4 < change["left ventricle"] < 3.2
            assert change["right medial temporal"] < 0.9 < change["left medial temporal"]
