import platform
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine

from pipeline.brain import bet_port, skull
from pipeline.brain.bet_port import port_threshold
from pipeline.brain.engines import ENGINES
from pipeline.brain.volume import save_volume
from pipeline.stage.errors import ImageError, InputError


@pytest.fixture
def stripped(tmp_path: Path, save_head, icbm_head, icbm_brain, resample) -> Path:
    """The ICBM brain within its packaged mask, as ROBEX would leave it, at 2 mm."""
    path = save_head(icbm_head, "brain.nii.gz", 2.0)
    head = nib.load(path)
    mask = resample(icbm_brain, np.eye(4), head.shape, head.affine) > 0.5
    save_volume(np.where(mask, head.get_fdata(), 0), head.affine, path)
    return path


@pytest.mark.parametrize("machine", ["aarch64", "arm64", "ppc64le"])
def test_other_machines_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    save_volume(np.arange(8).reshape(2, 2, 2), np.eye(4), tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match=f"x86-64 Linux only, this is .* on {machine}"):
        skull.strip_skull(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")


def test_threshold_of_the_port() -> None:
    assert port_threshold(0.25) == pytest.approx(0.683, abs=5e-4)
    assert port_threshold(0.1) < port_threshold(0.5) < 1


@pytest.mark.parametrize("fraction", [0, 1, -0.2, 25])
def test_impossible_fraction(tmp_path: Path, fraction: float) -> None:
    with pytest.raises(InputError, match="fraction"):
        skull.refine_skull(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz", fraction=fraction)


def test_padded_grid_keeps_positions() -> None:
    affine = np.diag([2.0, 1.5, 1.2, 1])
    affine[:3, 3] = (-90, -120, -70)
    shape, grid = bet_port._padded_grid((90, 140, 150), affine)
    np.testing.assert_allclose(np.linalg.norm(grid[:3, :3], axis=0), 1)
    low = apply_affine(np.linalg.inv(grid), apply_affine(affine, [0, 0, 0]))
    high = apply_affine(np.linalg.inv(grid), apply_affine(affine, [89, 139, 149]))
    np.testing.assert_allclose(low, bet_port.MARGIN_MM, atol=1e-9)
    assert (np.array(shape) - 1 - high >= bet_port.MARGIN_MM).all()


@pytest.mark.parametrize(("size", "told"), [(4, "0.00 l"), (80, "l, which cannot be")])
def test_mask_that_is_no_brain(size: int, told: str) -> None:
    mask = np.zeros((80, 80, 80), bool)
    mask[:size, :size, :size] = True
    with pytest.raises(ImageError, match=told):
        skull._check_brain("ROBEX", mask, np.diag([2.0, 2, 2, 1]))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("engine", [n for n, e in ENGINES["skull"].items() if not e.role])
def test_every_other_engine_finds_the_brain_of_a_real_head(
    tmp_path: Path, save_head, icbm_head, icbm_brain, resample, engine: str
) -> None:
    if ENGINES["skull"][engine].probe() is None and ENGINES["skull"][engine].environment is None:
        pytest.skip(f"{engine} is optional, and not installed")
    head = save_head(icbm_head, "head $(x).nii.gz", 2.0)
    results = [tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"]
    facts = [skull.strip_skull(head, path, engine=engine) for path in results]
    assert facts[0] == facts[1]
    assert results[0].read_bytes() == results[1].read_bytes()
    whole, brain = nib.load(head), nib.load(results[0])
    np.testing.assert_array_equal(brain.affine, whole.affine)
    mask = brain.get_fdata() != 0
    np.testing.assert_array_equal(brain.get_fdata()[mask], whole.get_fdata()[mask])
    truth = resample(icbm_brain, np.eye(4), brain.shape, brain.affine) > 0.5
    assert 2 * np.sum(mask & truth) / (mask.sum() + truth.sum()) > 0.94


def test_network_that_finds_no_brain_is_a_reason(tmp_path: Path) -> None:
    dark = np.zeros((60, 60, 60))
    dark[30, 30, 30] = 1
    save_volume(dark, np.diag([3.0, 3, 3, 1]), tmp_path / "empty.nii.gz")
    with pytest.raises(ImageError, match="deepbet"):
        skull.strip_skull(tmp_path / "empty.nii.gz", tmp_path / "out.nii.gz", engine="deepbet")
    assert not (tmp_path / "out.nii.gz").exists()


@pytest.mark.slow
def test_bet_keeps_a_stripped_brain(tmp_path: Path, stripped: Path) -> None:
    facts = skull.refine_skull(stripped, tmp_path / "out $(x).nii.gz")
    before, after = nib.load(stripped), nib.load(tmp_path / "out $(x).nii.gz")
    assert 0.85 < facts["share"] <= 1
    kept = after.get_fdata() != 0
    np.testing.assert_array_equal(after.get_fdata()[kept], before.get_fdata()[kept])
    assert kept.sum() == pytest.approx(facts["share"] * (before.get_fdata() != 0).sum())


@pytest.mark.slow
def test_bet_on_what_is_no_brain(tmp_path: Path) -> None:
    data = np.zeros((60, 60, 60))
    data[2:5] = np.random.default_rng(2).random((3, 60, 60)) + 1
    save_volume(data, np.diag([2.0, 2, 2, 1]), tmp_path / "in.nii.gz")
    with pytest.raises(ImageError, match="BET"):
        skull.refine_skull(tmp_path / "in.nii.gz", tmp_path / "out.nii.gz")
    assert not (tmp_path / "out.nii.gz").exists()
