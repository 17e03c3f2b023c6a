from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np

from pipeline.brain.bias import correct_bias
from pipeline.brain.volume import save_volume


def test_bias_field_is_removed(tmp_path: Path, save_head: Callable[..., Path], icbm_head) -> None:
    clean = nib.load(save_head(icbm_head, "clean.nii.gz", 4.0))
    anatomy = clean.get_fdata()
    x, y, _ = np.meshgrid(*[np.linspace(-1, 1, n) for n in clean.shape], indexing="ij")
    field = np.exp(0.5 * x - 0.4 * y)
    save_volume(anatomy * field, clean.affine, tmp_path / "biased.nii.gz")
    correct_bias(tmp_path / "biased.nii.gz", tmp_path / "out.nii.gz")
    corrected = nib.load(tmp_path / "out.nii.gz")
    np.testing.assert_allclose(corrected.affine, clean.affine, atol=1e-4)
    head = anatomy > 30

    def spread(volume: np.ndarray) -> float:
        """Remaining unevenness: standard deviation of log(volume / anatomy)."""
        return np.log(volume[head] / anatomy[head]).std()

    # What N4 leaves of the unbiased head itself is the floor of any comparison.
    assert spread(corrected.get_fdata()) < 0.4 * spread(anatomy * field)
