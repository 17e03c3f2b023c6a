from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from pipeline.brain.crop import crop_field_of_view
from pipeline.stage.errors import ImageError


@pytest.mark.parametrize("name", ["head.nii.gz", 'a head\'s "$(x)" & more.nii.gz'])
def test_neck_is_cut_off_and_the_brain_kept(
    tmp_path: Path,
    save_head: Callable[..., Path],
    necked_head: nib.Nifti1Image,
    necked_brain: nib.Nifti1Image,
    resample: Callable[..., np.ndarray],
    name: str,
) -> None:
    source = save_head(necked_head, name, 3.0)
    destination = tmp_path / "cropped $(y).nii.gz"
    crop_field_of_view(source, destination, height_mm=170)
    whole, cropped = nib.load(source), nib.load(destination)
    assert whole.shape[2] * 3 > 200 > 175 > cropped.shape[2] * 3 > 160
    # Its voxels are those of the source, where they were.
    first = np.linalg.solve(whole.affine, cropped.affine[:, 3])[:3]
    low = np.round(first).astype(int)
    np.testing.assert_allclose(first, low, atol=1e-3)
    block = tuple(slice(a, a + n) for a, n in zip(low, cropped.shape, strict=True))
    np.testing.assert_array_equal(cropped.get_fdata(), whole.get_fdata()[block])
    np.testing.assert_allclose(cropped.get_qform(), cropped.get_sform(), atol=1e-3)
    brain = [
        resample(necked_brain, np.eye(4), image.shape, image.affine).sum()
        for image in (whole, cropped)
    ]
    assert brain[1] == pytest.approx(brain[0])


def test_head_below_the_height_stays(tmp_path: Path, save_head, icbm_head) -> None:
    source = save_head(icbm_head, "head.nii.gz", 4.0)
    crop_field_of_view(source, tmp_path / "out.nii.gz", height_mm=400)
    assert nib.load(tmp_path / "out.nii.gz").shape == nib.load(source).shape


def test_unreadable_volume(tmp_path: Path) -> None:
    source = tmp_path / "secret.nii.gz"
    source.write_bytes(b"nothing")
    with pytest.raises(ImageError, match="niimath -robustfov failed") as caught:
        crop_field_of_view(source, tmp_path / "out.nii.gz")
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "out.nii.gz").exists()
