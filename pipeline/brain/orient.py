"""First stage: read a raw scan and turn its axes to the RAS order.

Axes are swapped and flipped, nothing is interpolated: by FSL's ``fslreorient2std``, as in the paper
(which keeps the handedness of the file), or by nibabel. What an engine returns for an array and its
affine is the same in the new order.
"""

from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError, SpatialImage

from pipeline.brain.engines import EMBEDDED, use_engine
from pipeline.brain.kind import check_kind, check_skull
from pipeline.brain.scan import read_scan
from pipeline.brain.volume import check_values, save_volume
from pipeline.geometry.affine import voxel_sizes
from pipeline.stage.content import content_hash


def orient_volume(source: Path, destination: Path, *, engine: str = EMBEDDED) -> dict:
    """Check a raw volume and write it in the orientation of the template.

    Parameters
    ----------
    source
        Raw scan, see `read_scan`.
    destination
        float32 ``.nii.gz`` whose sform and qform agree.
    engine
        As `pipeline.brain.engines.ENGINES` names it.

    Returns
    -------
    dict
        Engine, version, original axis codes, shape, voxel sizes in mm, the header's contradiction
        (see `header_contradiction`), and a hash of the voxels, whatever their order in the file.

    Raises
    ------
    ImageError
        The file is no usable scan (`read_scan`), has values that are not finite or all the same, is
        a mask or a CT (`check_kind`), a brain alone (`check_skull`); or the tool failed.
    InputError
        The engine is unknown or not installed.
    """
    reorient, used = use_engine("orient", engine)
    image = read_scan(source)
    data = np.asarray(image.dataobj)
    check_values(data)
    check_kind(data)
    canonical = to_canonical(data, image.affine)
    check_skull(*canonical)
    content = content_hash(canonical[0])
    data, affine = reorient(data, image.affine)
    save_volume(data, affine, destination)
    return {**used, **scan_facts(image, data, affine), "content": content}


def scan_facts(image: SpatialImage, data: np.ndarray, affine: np.ndarray) -> dict[str, object]:
    """What is told of a scan, and of its voxels (x, y, z) and 4x4 affine in their new order."""
    return {
        "axes": "".join(nib.aff2axcodes(image.affine)),
        "shape": list(data.shape),
        "voxel_mm": [round(float(size), 4) for size in voxel_sizes(affine)],
        "contradiction": header_contradiction(image.header),
    }


def to_canonical(data: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same values with axes in the order RAS (FSL leaves RAS or LAS)."""
    oriented = nib.as_closest_canonical(nib.Nifti1Image(data, affine))
    return np.asarray(oriented.dataobj), oriented.affine


def header_contradiction(header: nib.Nifti1Header) -> str:
    """What is wrong if the sform and the qform of a header turn the image differently, or ``""``.

    Programs differ in which of the two they read, so that such a volume is flipped for some of
    them. It is processed by its sform, which nibabel prefers; quality control makes it a suspect.
    """
    try:
        forms = [header.get_sform(coded=True), header.get_qform(coded=True)]
        axes = [
            "".join(axis or "?" for axis in nib.aff2axcodes(form))
            for form, code in forms
            if code > 0
        ]
    except (HeaderDataError, ValueError):
        return ""  # one of them is damaged, which is no other orientation
    if len(set(axes)) < 2:
        return ""
    return f"the header contradicts itself: {axes[0]} by its sform, {axes[1]} by its qform"
