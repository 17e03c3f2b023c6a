"""A new scan of the brain: prepared as those of a study, explained, and brought to its space."""

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib

from pipeline.biomarkers.population import volume_ruler
from pipeline.brain.chain import CONVERSION, ENTRY
from pipeline.brain.scan import read_scan
from pipeline.cohort.derivatives import brain_mask
from pipeline.cohort.scans import is_series
from pipeline.method.explain import explain_image
from pipeline.method.interface import Explainer
from pipeline.method.registry import find_method
from pipeline.stage.errors import ImageError
from pipeline.stage.progress import progress
from pipeline.stage.sidecar import has_sidecar, read_sidecar, run_image_stage, write_sidecar
from pipeline.stages import stage_function
from pipeline.study.config.datasets import VolumeDataset
from pipeline.study.explained import SCAN_FIELD, Explained, Steps

log = logging.getLogger(__name__)


class ChainStage(NamedTuple):
    """A stage of the preparation, as `run_image_stage` takes it."""

    name: str
    function: Callable[..., dict[str, Any]]
    settings: dict[str, object]


def _chain(dataset: VolumeDataset, source: Path) -> list[ChainStage]:
    """Stages of the preparation, with their settings."""
    from pipeline.brain.engines import resolve_engines

    brain, prepared = dataset.brain, dataset.prepared
    taken: dict[str, object] = {
        "prepared": prepared,
        "mask": brain_mask(source),
        "template": brain.template,
    }
    own: dict[str, dict[str, object]] = {
        ENTRY: taken,
        "template": {"template": brain.template, "stripped": prepared == "skull_stripped"},
        "skull_refine": {"fraction": brain.bet_fraction},
        "grid": {"voxel_mm": brain.voxel_mm, "shape": brain.shape},
    }
    chosen = resolve_engines(brain.engines, dataset.chain)
    engines = {stage: {"engine": engine.name} for stage, engine in chosen.items()}
    return [
        ChainStage(stage, stage_function(stage), own.get(stage, {}) | engines.get(stage, {}))
        for stage in dataset.chain
    ]


def as_volume(source: Path, volume: Path) -> Path:
    """A scan; of a DICOM series the `volume` that is made of it, as the workflow does."""
    if not is_series(source):
        return source
    facts = stage_function(CONVERSION)(source, volume)
    write_sidecar(volume, CONVERSION, [{"stage": CONVERSION, **facts}])
    return volume


def prepare_volume(source: Path, destination: Path, dataset: VolumeDataset) -> Steps:
    """Run every stage of the brain's preparation on one volume, as raw as those of the data set.

    Returns
    -------
    list of dict
        The processing steps; also that by which `source` was converted.

    Raises
    ------
    ImageError
        If a stage refuses the volume.
    """
    chain = _chain(dataset, source)
    converted = has_sidecar(source) and read_sidecar(source)["stage"] == CONVERSION
    with (
        tempfile.TemporaryDirectory(prefix="explain-") as name,
        progress(total=len(chain), desc="preparing", unit="stage") as bar,
    ):
        image = source
        for stage in chain:
            last = stage is chain[-1]
            result = destination if last else Path(name) / f"{stage.name}.nii.gz"
            first = stage is chain[0] and not converted
            run_image_stage(stage.name, stage.function, image, result, stage.settings, first=first)
            image = result
            bar.update()
    status = read_sidecar(destination)
    if status["status"] == "excluded":
        raise ImageError(status["rule"], f"{status['reason']} ({status['stage']})")
    return status["steps"]


def explain_volume(
    source: Path, model: Explainer, folder: Path, dataset: VolumeDataset
) -> Explained:
    """Prepare a scan, explain it, and write what comes out into `folder`.

    Raises
    ------
    ImageError
        As `prepare_volume`.
    """
    from pipeline.brain.volume import load_volume, save_volume
    from pipeline.geometry.scan_space import (
        bring_to_scan,
        displacement_mm,
        itk_field,
        log_jacobian,
        scan_affine,
        warp_scan,
        write_field,
    )

    prepared = folder / "prepared.nii.gz"
    steps = prepare_volume(source, prepared, dataset)
    image, affine = load_volume(prepared)
    explanation = explain_image(model, image)
    explained = Explained(explanation, steps, lambda: volume_ruler(affine, dataset.brain.voxel_mm))
    save_volume(explanation.modified, affine, folder / "modified.nii.gz")
    save_volume(explanation.difference, affine, folder / "difference.nii.gz")
    if explanation.displacement is None:
        title = find_method(model.method).title
        log.warning("%s does not deform: there is no field to bring to the scan's space", title)
        return explained
    phi, scan, to_scan = explanation.displacement, read_scan(source), scan_affine(affine, steps)
    write_field(itk_field(phi, affine), folder / "displacement.nii.gz")
    field = itk_field(phi, to_scan)
    write_field(field, folder / SCAN_FIELD)
    nib.save(warp_scan(scan, field), folder / "scan_modified.nii.gz")
    maps = {"log_jacobian": log_jacobian(phi), "change_mm": displacement_mm(field)}
    for name, values in maps.items():
        nib.save(bring_to_scan(values, to_scan, scan), folder / f"scan_{name}.nii.gz")
    return explained
