"""Real heads under known poses."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.fake_tools import FakeTools, without_tools
from helpers.small_study import small_head
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from pipeline.brain.packaged_heads import SINGLE_HEAD, TEMPLATE_HEAD, load_head, sample
from pipeline.brain.volume import save_volume


@dataclass
class PosedHead:
    """A head as a scanner would give it."""

    path: Path
    # 4x4, scanner RAS mm -> RAS mm of the anatomy.
    pose: np.ndarray


@pytest.fixture(scope="session")
def icbm_head() -> nib.Nifti1Image:
    return load_head(TEMPLATE_HEAD)[0]


@pytest.fixture(scope="session")
def icbm_brain() -> nib.Nifti1Image:
    return load_head(TEMPLATE_HEAD)[1]


@pytest.fixture(scope="session")
def necked_head() -> nib.Nifti1Image:
    """One person's head with face and neck."""
    return load_head(SINGLE_HEAD)[0]


@pytest.fixture(scope="session")
def necked_brain() -> nib.Nifti1Image:
    return load_head(SINGLE_HEAD)[1]


@pytest.fixture(name="resample", scope="session")
def resample_fixture() -> Callable[..., np.ndarray]:
    """See `pipeline.brain.packaged_heads.sample`."""
    return sample


@pytest.fixture
def save_head(tmp_path: Path) -> Callable[..., Path]:
    """Save a head on a grid of `voxel_mm` isotropic voxels over its own field of view."""

    def save(anatomy: nib.Nifti1Image, name: str, voxel_mm: float) -> Path:
        first = nib.as_closest_canonical(anatomy)
        size = np.array(first.header.get_zooms()[:3])
        shape = tuple(np.floor((np.array(first.shape) - 1) * size / voxel_mm).astype(int) + 1)
        affine = np.diag([voxel_mm] * 3 + [1.0])
        affine[:3, 3] = first.affine[:3, 3]
        path = tmp_path / name
        save_volume(sample(first, np.eye(4), shape, affine), affine, path)
        return path

    return save


@pytest.fixture
def pose_head(tmp_path: Path) -> Callable[..., PosedHead]:
    def build(
        anatomy: nib.Nifti1Image,
        *,
        rotation: tuple[float, float, float] = (8, -5, 6),
        shift: tuple[float, float, float] = (6, -8, 5),
        voxel_mm: tuple[float, float, float] = (1.0, 1.0, 1.2),
        axes: str = "PIR",
        bias: float = 0.3,
        noise: float = 0.02,
    ) -> PosedHead:
        rng = np.random.default_rng(5)
        shape = tuple(np.round(np.array([210, 250, 250]) / voxel_mm).astype(int))
        centre = nib.affines.apply_affine(anatomy.affine, (np.array(anatomy.shape) - 1) / 2)
        affine = np.diag([*voxel_mm, 1.0])
        affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_euler("xyz", rotation, degrees=True).as_matrix()
        pose[:3, 3] = centre - pose[:3, :3] @ centre + shift
        data = sample(anatomy, pose, shape, affine)
        field = gaussian_filter(rng.standard_normal(shape), 60 / np.array(voxel_mm))
        data *= np.exp(bias * field / np.abs(field).max())
        level = np.percentile(data[data > 0], 98)
        data = np.abs(data / level + noise * rng.standard_normal(shape)) * 600
        image = nib.Nifti1Image(data.astype(np.int16), affine)
        image = image.as_reoriented(
            ornt_transform(io_orientation(affine), axcodes2ornt(tuple(axes)))
        )
        image.set_qform(image.affine, 1)
        image.set_sform(image.affine, 1)
        path = tmp_path / "raw.nii"
        nib.save(image, path)
        return PosedHead(path, pose)

    return build


@pytest.fixture
def no_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without FSL, ANTs and ROBEX."""
    (tmp_path / "empty").mkdir()
    without_tools(monkeypatch, tmp_path / "empty")


@pytest.fixture
def fakes(no_tools: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTools:
    """Recording fakes of FSL, ANTs and ROBEX, where the real tools would be found."""
    tools = FakeTools(tmp_path / "tools")
    for variable, value in tools.environment(os.environ["PATH"]).items():
        monkeypatch.setenv(variable, value)
    return tools


@pytest.fixture(name="small_head")
def small_head_fixture(tmp_path: Path) -> Path:
    """See `helpers.small_study.small_head`."""
    path = tmp_path / "head.nii.gz"
    small_head(path)
    return path
