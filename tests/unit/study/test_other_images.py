"""Images that cannot be deformed with a scan are refused before it is prepared."""

import nibabel as nib
import numpy as np
import pytest

from pipeline.stage.errors import InputError
from pipeline.study.other_images import check_others


def save(path, shape, shift=0.0, dtype=np.int16):
    affine = nib.affines.from_matvec(4 * np.eye(3), [shift, 0, 0])
    nib.save(nib.Nifti1Image(np.zeros(shape, dtype), affine), path)
    return path


def test_what_cannot_be_used_is_told(tmp_path):
    scan = save(tmp_path / "scan.nii.gz", (40, 40, 40))
    check_others([scan, save(tmp_path / "slab.nii", (40, 40, 9, 1))], scan)
    (tmp_path / "text.nii").write_text("no image")
    for path, said in (
        (save(tmp_path / "far.nii", (40, 40, 40), shift=200.0), "does not lie where"),
        (save(tmp_path / "many.nii", (40, 40, 40, 2)), "not one volume of numbers"),
        (save(tmp_path / "waves.nii", (40, 40, 40), dtype=np.complex64), "not one volume"),
        (tmp_path / "text.nii", "cannot be read as a NIfTI or MGH image"),
        (tmp_path / "none.nii", "there is no file"),
    ):
        with pytest.raises(InputError, match=said):
            check_others([path], scan)
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="have one name"):
        check_others([scan, save(tmp_path / "other/scan.nii", (40, 40, 40))], scan)
