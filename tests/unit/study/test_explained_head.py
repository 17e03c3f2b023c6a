"""A head as scanners give it goes through `explain` as a user meets it; what its files are."""

import base64
import json
import re

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import torch
import yaml
from nibabel.affines import apply_affine, from_matvec
from scipy.ndimage import binary_dilation, gaussian_filter, map_coordinates

from pipeline.brain.packaged_heads import SINGLE_HEAD, TEMPLATE_HEAD, load_head, sample
from pipeline.brain.volume import save_volume
from pipeline.cli import main
from pipeline.geometry.itk import to_itk
from pipeline.method.explain import save_model

# The engines that take least time, and a coarse grid.
ENGINES = {"bias": "niimath", "skull": "deepbet", "skull_refine": "none"}
GRID = {"voxel_mm": 4.5, "shape": [40, 48, 40], "engines": ENGINES}
VOLUMES = ("modified", "log_jacobian", "change_mm")


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """One person's head at 1 mm with scalp four times as bright, explained by the command line."""
    folder = tmp_path_factory.mktemp("head")
    head, brain = load_head(SINGLE_HEAD)
    first, last = (apply_affine(head.affine, i) for i in ((0, 0, 0), head.shape))
    corner, shape = np.minimum(first, last), np.abs(last - first).astype(int)
    corner[2], shape[2] = corner[2] + 55, shape[2] - 55  # without the neck
    affine = from_matvec(np.eye(3), corner)
    data, inside = (sample(image, np.eye(4), shape, affine) for image in (head, brain))
    bright = np.where(binary_dilation(inside > 0.5, iterations=2), data, 4 * data)
    scan = nib.Nifti1Image(bright.astype(np.int16), affine)
    scan.header["descrip"] = b"MRN1"
    nib.save(scan, folder / "scan.nii.gz")
    # Other images of the same head, on voxels of their own.
    half = from_matvec(2 * np.eye(3), corner)
    small = (sample(image, np.eye(4), shape // 2, half) for image in (head, brain))
    for name, values in zip(("contrast.nii.gz", "labels.mgz"), small, strict=True):
        labels = (10 * (values > 0.5)).astype(np.int32)
        nib.save(
            nib.MGHImage(labels, half) if "labels" in name else nib.Nifti1Image(-values, half),
            folder / name,
        )
    icbm, _ = load_head(TEMPLATE_HEAD)
    coarse = icbm.affine @ np.diag([4.0, 4.0, 4.0, 1.0])
    smooth = nib.Nifti1Image(gaussian_filter(icbm.get_fdata(), 1.5), icbm.affine)
    template = sample(smooth, np.eye(4), tuple(np.array(icbm.shape) // 4), coarse)
    save_volume(template, coarse, folder / "template.nii.gz")
    brain = GRID | {"template": str(folder / "template.nii.gz")}
    archive = {"images": "ADNI", "tables": "tables"}
    config = {"datasets": {"adni": {"source": "adni", "archive": archive, "brain": brain}}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    nodes = torch.randn((1, 3, 5, 5, 5), generator=torch.Generator().manual_seed(0))
    architecture = {"dimensions": 3, "method": "constant-field", "nodes": 5}
    model = folder / "generator.safetensors"
    save_model(architecture, {"field": nodes / 2}, model)
    out = folder / "out"
    options = ["--dataset", "adni", "--config", folder / "config.yaml"]
    options += ["--apply", folder / "contrast.nii.gz", "--apply-labels", folder / "labels.mgz"]
    main(list(map(str, ["explain", folder / "scan.nii.gz", model, out, *options])))
    return folder, out


def test_it_is_not_refused_and_lies_where_the_template_does(case):
    _, out = case
    steps = {
        step["stage"]: step
        for step in json.loads((out / "explanation.json").read_text())["preparation"]
    }
    assert steps["template"]["likeness"] > 0.4
    assert steps["template"]["correlation"] < 0.3  # which scalp alone decides
    assert steps["template"]["alignment"] == ""
    assert 0.9 < steps["skull"]["litres"] < 2


def test_every_image_opens_in_simpleitk_and_nibabel_at_one_place(case):
    _, out = case
    files = [*out.glob("*.nii.gz"), *out.glob("applied/*.nii.gz")]
    assert len(files) == 10
    for path in files:
        ours, theirs = nib.load(path), sitk.ReadImage(path)
        assert theirs.GetSize() == ours.shape[:3]
        sform, qform = ours.get_sform(), ours.get_qform()
        for index in ((0, 0, 0), tuple(size - 1 for size in ours.shape[:3])):
            ras = np.array(theirs.TransformIndexToPhysicalPoint(index)) * [-1, -1, 1]
            for affine in (sform, qform):
                np.testing.assert_allclose(apply_affine(affine, index), ras, atol=0.01)
        assert np.isfinite(ours.get_fdata()).all()


def test_maps_lie_on_the_scans_voxels(case):
    folder, out = case
    scan = nib.load(folder / "scan.nii.gz")
    maps = {name: nib.load(out / f"scan_{name}.nii.gz") for name in VOLUMES}
    for image in maps.values():
        assert image.shape == scan.shape
        np.testing.assert_allclose(image.affine, scan.affine, atol=1e-5)
        assert not bytes(image.header["descrip"]).strip(b"\0")  # the patient's number was there
    # At the voxels of the field, its length.
    field = nib.load(out / "scan_displacement.nii.gz")
    middle = tuple(size // 2 for size in field.shape[:3])
    at = apply_affine(np.linalg.inv(scan.affine) @ field.affine, middle)
    length = map_coordinates(maps["change_mm"].get_fdata(), at[:, None], order=1)[0]
    vector = np.asarray(field.dataobj)[middle].ravel()
    assert length == pytest.approx(np.linalg.norm(vector), rel=0.1)


def test_scan_modified_is_what_itk_makes_with_the_field(case):
    folder, out = case
    scan = sitk.ReadImage(folder / "scan.nii.gz", sitk.sitkFloat32)
    field = sitk.ReadImage(out / "scan_displacement.nii.gz", sitk.sitkVectorFloat64)
    made = sitk.Resample(scan, scan, sitk.DisplacementFieldTransform(field), sitk.sitkLinear)
    ours = sitk.ReadImage(out / "scan_modified.nii.gz")
    np.testing.assert_allclose(*map(sitk.GetArrayViewFromImage, (made, ours)), atol=1)
    assert np.abs(sitk.GetArrayFromImage(ours) - sitk.GetArrayFromImage(scan)).max() > 10


def test_other_images_are_deformed_as_the_scan_is(case):
    folder, out = case
    field = sitk.ReadImage(out / "scan_displacement.nii.gz", sitk.sitkVectorFloat64)
    transform = sitk.DisplacementFieldTransform(field)
    before = nib.load(folder / "labels.mgz")
    labels = nib.load(out / "applied/labels.nii.gz")
    assert labels.get_data_dtype() == np.int32
    np.testing.assert_allclose(labels.affine, before.affine, atol=1e-5)
    values = np.asarray(labels.dataobj)
    assert set(np.unique(values)) == {0, 10}
    image = to_itk(np.asarray(before.dataobj).astype(np.int32), before.affine)
    expected = sitk.GetArrayFromImage(
        sitk.Resample(image, image, transform, sitk.sitkNearestNeighbor)
    ).T
    np.testing.assert_array_equal(values, expected)
    contrast = nib.load(out / "applied/contrast.nii.gz").get_fdata()
    image = sitk.ReadImage(folder / "contrast.nii.gz", sitk.sitkFloat32)
    expected = sitk.GetArrayFromImage(sitk.Resample(image, image, transform)).T
    np.testing.assert_allclose(contrast, expected, atol=1)


def test_table_and_page_tell_the_regions(case):
    _, out = case
    regions = pd.read_csv(out / "regions.csv")
    chosen = regions["measure"] == "volume change"
    changes = regions[chosen].set_index("structure")["value"]
    assert {"hippocampi", "ventricles", "left Precuneus", "white matter"} <= set(changes.index)
    assert changes.between(-100, 400).all() and changes.abs().max() > 1
    assert (regions["images"] == 0).all() and regions["median"].isna().all()
    page = (out / "page.html").read_text(encoding="utf-8")
    assert "not a diagnostic device" in page
    assert f"{changes['hippocampi']:+.2f}" in page
    assert "is not known, since they do not lie beside the model" in page
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)  # it needs no other file
    assert "http" not in page and "MRN1" not in page
    picture = base64.b64decode(re.search(r"base64,([^\"]+)", page).group(1))
    assert picture == (out / "figure.png").read_bytes()
