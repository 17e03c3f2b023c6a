"""How well the engines do what the tools are for, on real heads with a known truth: a page.

Two packaged heads with brain masks are scanned anew: in several poses, orientations, voxel sizes
and receive fields. The brain stages run on these scans as the workflow runs them, and each is
compared with what is known. Where they come to the skull, all engines that are installed remove it.
"""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.affines import apply_affine
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from scipy.ndimage import (
    binary_erosion,
    distance_transform_edt,
    gaussian_filter,
)
from scipy.spatial.transform import Rotation

from pipeline.brain.engines import Choice
from pipeline.brain.packaged_heads import CORNERS, HEADS, TEMPLATE_HEAD, load_head, sample
from pipeline.brain.template import head_correlation, packaged_template
from pipeline.brain.volume import load_volume, save_volume
from pipeline.geometry.affine import voxel_sizes
from pipeline.measure.engines_page import engines_page, installed_engines
from pipeline.stage.files import atomic_path
from pipeline.stage.progress import progress
from pipeline.stage.sidecar import read_sidecar

FRACTION = 0.25
BEFORE_SKULL = ("orient", "crop", "bias", "template")
COST = ("seconds", "megabytes")  # of the processor, and the peak
# White matter of the head that has no field of its own: this near to its mode.
WHITE_MATTER_RANGE = 0.06
NOISE = 0.02  # standard deviation, relative to white matter
FIELD_SIGMA_MM = 60.0
FIELD_OF_VIEW_MM = (210, 250, 250)


@dataclass(frozen=True)
class Scan:
    """One scan of a packaged head: pose, orientation of its file, voxels, receive field."""

    head: str
    rotation: tuple[float, float, float]  # degrees about x, y and z
    shift: tuple[float, float, float]  # mm
    axes: str
    voxel_mm: tuple[float, float, float]
    field: float  # largest logarithm of the receive field


SCANS = (
    Scan(TEMPLATE_HEAD, (0, 0, 0), (0, 0, 0), "RAS", (1.0, 1.0, 1.0), 0.25),
    Scan(TEMPLATE_HEAD, (12, -8, 10), (9, -7, 6), "PIR", (0.94, 0.94, 1.2), 0.4),
    Scan("ROBEX's", (-10, 12, -6), (-8, 10, -5), "ASL", (1.2, 1.2, 1.2), 0.25),
    Scan("ROBEX's", (20, 5, -15), (0, 15, 10), "LPS", (1.3, 1.3, 1.5), 0.4),
)


def measure_engines(destination: Path, engines: Mapping[str, Choice], *, workers: int = 1) -> None:
    """Run the brain stages on the scans and write the page.

    Parameters
    ----------
    destination
        Markdown file.
    engines
        Engine of each stage, as `pipeline.brain.engines.resolve_engines` returns them.
    workers
        Scans that are measured at the same time.
    """
    with (
        tempfile.TemporaryDirectory(prefix="engines-") as name,
        ThreadPoolExecutor(workers) as pool,
        progress(total=len(SCANS), desc="measuring", unit="scan") as bar,
    ):
        # First in the queue: the scans wait for them.
        unposed = {head: pool.submit(_unposed, head, Path(name), engines) for head in HEADS}

        def measure(number: int) -> tuple[dict[str, float], list[dict], list[dict]]:
            scan, folder = SCANS[number], Path(name, str(number))
            measured = measure_scan(scan, folder, engines, unposed[scan.head].result())
            bar.update()
            return measured

        figures, costs, removals = zip(*pool.map(measure, range(len(SCANS))), strict=True)
    numbered = pd.DataFrame(figures).assign(scan=range(1, len(SCANS) + 1))
    tables = (pd.DataFrame(list(chain(*rows))) for rows in (costs, removals))
    page = engines_page(numbered, *tables, engines, SCANS, NOISE)
    with atomic_path(destination) as temporary:
        temporary.write_text(page, encoding="utf-8")


def measure_scan(
    scan: Scan, folder: Path, engines: Mapping[str, Choice], unposed: np.ndarray
) -> tuple[dict[str, float], list[dict], list[dict]]:
    """Measure the stages on one scan.

    Parameters
    ----------
    scan
        What is measured.
    folder
        Folder to make, for the files of the stages.
    engines
        Engine of each stage.
    unposed
        4x4, template RAS mm -> RAS mm of the head: where the head lies that was not posed.

    Returns
    -------
    figures
        ``brain_kept`` (share, by the crop), ``cv_before`` and ``cv_after`` (N4) with ``cv_truth``
        (of the head without field and noise), ``correlation_before`` and ``correlation_after``,
        ``degrees`` and ``mm`` (error of the pose), ``dice_skull`` and ``dice_skull_refine``.
    costs
        Stage, processor seconds and peak memory in MB of each.
    removals
        As `_removals` returns them.
    """
    folder.mkdir()
    head, brain = load_head(scan.head)
    pose, data, affine = _scan(head, scan)
    raw = folder / "raw.nii"
    _save_raw(data, affine, scan.axes, raw)
    paths, costs = _run_stages(raw, folder, engines)
    removals = _removals(paths["template"], folder, _truth(brain, pose, paths["template"]))
    skull, refine = (engines[stage].name for stage in ("skull", "skull_refine"))
    chosen = {(row["skull"], row["skull_refine"]): row for row in removals}
    stages = {"skull": chosen[skull, ""], "skull_refine": chosen[skull, refine]}
    costs += [{"stage": stage, **{key: row[key] for key in COST}} for stage, row in stages.items()]
    return (
        {
            "brain_kept": _brain_kept(brain, pose, paths["crop"]),
            **(_variation(head, brain, pose, paths) if scan.head == TEMPLATE_HEAD else {}),
            **_registration(pose, paths, unposed),
            **{f"dice_{stage}": row["dice"] for stage, row in stages.items()},
        },
        costs,
        removals,
    )


def _scan(head: nib.Nifti1Image, scan: Scan) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pose (4x4, scanner RAS mm -> RAS mm of the head), values and affine of the scan."""
    rng = np.random.default_rng(2020)
    shape = tuple(np.round(np.divide(FIELD_OF_VIEW_MM, scan.voxel_mm)).astype(int))
    centre = apply_affine(head.affine, (np.array(head.shape) - 1) / 2)
    affine = np.diag([*scan.voxel_mm, 1.0])
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", scan.rotation, degrees=True).as_matrix()
    pose[:3, 3] = centre - pose[:3, :3] @ centre + scan.shift
    data = sample(head, pose, shape, affine)
    field = gaussian_filter(rng.standard_normal(shape), np.divide(FIELD_SIGMA_MM, scan.voxel_mm))
    data *= np.exp(scan.field * field / np.abs(field).max())
    level = np.percentile(data[data > 0], 98)
    return pose, np.abs(data / level + NOISE * rng.standard_normal(shape)) * 600, affine


def _save_raw(data: np.ndarray, affine: np.ndarray, axes: str, path: Path) -> None:
    """Write a scan as integers, its axes in the order of `axes`."""
    image = nib.Nifti1Image(data.astype(np.int16), affine)
    image = image.as_reoriented(ornt_transform(io_orientation(affine), axcodes2ornt(tuple(axes))))
    image.set_qform(image.affine, 1)
    image.set_sform(image.affine, 1)
    nib.save(image, path)


def _run_stages(
    raw: Path, folder: Path, engines: Mapping[str, Choice]
) -> tuple[dict[str, Path], list[dict]]:
    """Run the stages before the skull, one after the other."""
    paths, costs, source = {}, [], raw
    for stage in BEFORE_SKULL:
        paths[stage] = folder / f"{stage}.nii.gz"
        costs.append({"stage": stage, **_run(stage, engines[stage].name, source, paths[stage])})
        if (status := read_sidecar(paths[stage]))["status"] != "ok":
            raise RuntimeError(f"{stage} failed: {status['reason']}")
        source = paths[stage]
    return paths, costs


def _run(stage: str, engine: str, source: Path, destination: Path) -> dict[str, float]:
    """Run a stage in a process of its own, as the workflow does; what it costs."""
    options = ["--fraction", str(FRACTION)] if stage == "skull_refine" else []
    command = [sys.executable, "-m", "pipeline", stage, str(source), str(destination)]
    return dict(zip(COST, _cost([*command, "--engine", engine, *options]), strict=True))


def _removals(head: Path, folder: Path, truth: np.ndarray) -> list[dict]:
    """Remove the skull of a registered head by every engine that is installed.

    Parameters
    ----------
    head
        Head in the template's space.
    folder
        For the files of the stages.
    truth
        Boolean (x, y, z) on the grid of the head: its brain.

    Returns
    -------
    list of dict
        Each engine of ``skull``, and after it each of ``skull_refine`` (empty before): ``dice``,
        ``distance_mm`` (both NaN where the stage failed), ``seconds`` and ``megabytes`` of the
        last stage.
    """
    rows = []
    for skull in installed_engines("skull"):
        stripped = folder / f"{skull}.nii.gz"
        cost = _run("skull", skull, head, stripped)
        rows.append({"skull": skull, "skull_refine": "", **_agreement(stripped, truth), **cost})
        for refine in installed_engines("skull_refine"):
            refined = folder / f"{skull}-{refine}.nii.gz"
            cost = _run("skull_refine", refine, stripped, refined)
            agreement = _agreement(refined, truth)
            rows.append({"skull": skull, "skull_refine": refine, **agreement, **cost})
    return rows


def _cost(command: list[str]) -> tuple[float, float]:
    """Run a command; processor seconds and peak memory in MB, of it and of what it starts."""
    # By way of a small process: the peak of a new one begins with the memory of its parent.
    script = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *command], stdout=subprocess.PIPE, text=True, check=True
    )
    seconds, megabytes = map(float, done.stdout.split())
    return seconds, megabytes


def _brain_kept(brain: nib.Nifti1Image, pose: np.ndarray, cropped: Path) -> float:
    """Share of the brain that lies in the cropped field of view."""
    inside = np.argwhere(np.asarray(brain.dataobj) > 0.5)
    places = apply_affine(np.linalg.inv(pose) @ brain.affine, inside)
    image = nib.load(cropped)
    index = apply_affine(np.linalg.inv(image.affine), places)
    return float(np.mean(((index > -0.5) & (index < np.array(image.shape) - 0.5)).all(axis=1)))


def _white_matter(head: nib.Nifti1Image, brain: nib.Nifti1Image) -> np.ndarray:
    """Mask of sure white matter: near the brightest mode, away from the brain's surface."""
    inner = binary_erosion(np.asarray(brain.dataobj) > 0.5, iterations=6)
    values = np.asarray(head.dataobj, dtype=np.float32)
    bright = values[inner & (values > np.median(values[inner]))]
    counts, edges = np.histogram(bright, bins=100)
    mode = edges[np.argmax(gaussian_filter(counts.astype(float), 4))]
    return binary_erosion(inner & (np.abs(values / mode - 1) < WHITE_MATTER_RANGE))


def _variation(
    head: nib.Nifti1Image, brain: nib.Nifti1Image, pose: np.ndarray, paths: Mapping[str, Path]
) -> dict[str, float]:
    white = nib.Nifti1Image(_white_matter(head, brain).astype(np.float32), head.affine)

    def of(data: np.ndarray, affine: np.ndarray) -> float:
        values = data[sample(white, pose, data.shape, affine) > 0.99]
        return float(values.std() / values.mean())

    before, affine = load_volume(paths["crop"])
    return {
        "cv_truth": of(sample(head, pose, before.shape, affine), affine),
        "cv_before": of(before, affine),
        "cv_after": of(*load_volume(paths["bias"])),
    }


def _registration(
    pose: np.ndarray, paths: Mapping[str, Path], unposed: np.ndarray
) -> dict[str, float]:
    template = nib.as_closest_canonical(nib.squeeze_image(nib.load(packaged_template())))
    fixed, sizes = template.get_fdata(dtype=np.float32), voxel_sizes(template.affine)
    before = sample(nib.load(paths["bias"]), np.eye(4), fixed.shape, template.affine)
    found = pose @ _matrix(paths["template"])
    turn = found[:3, :3] @ np.linalg.inv(unposed[:3, :3])
    turn /= np.cbrt(np.linalg.det(turn))
    error = apply_affine(found, CORNERS) - apply_affine(unposed, CORNERS)
    return {
        "correlation_before": head_correlation(before, fixed, sizes),
        "correlation_after": read_sidecar(paths["template"])["steps"][-1]["correlation"],
        "degrees": float(np.degrees(Rotation.from_matrix(turn).magnitude())),
        "mm": float(np.linalg.norm(error, axis=1).max()),
    }


def _matrix(registered: Path) -> np.ndarray:
    return np.array(read_sidecar(registered)["steps"][-1]["matrix"])


def _unposed(head: str, folder: Path, engines: Mapping[str, Choice]) -> np.ndarray:
    """Where a head without pose, field and noise goes; known if it is the template."""
    if head == TEMPLATE_HEAD:
        return np.eye(4)
    image = nib.as_closest_canonical(load_head(head)[0])
    plain = folder / "plain"
    plain.mkdir()
    save_volume(image.get_fdata(), image.affine, plain / "raw.nii")
    return _matrix(_run_stages(plain / "raw.nii", plain, engines)[0]["template"])


def _truth(brain: nib.Nifti1Image, pose: np.ndarray, registered: Path) -> np.ndarray:
    """The packaged mask on the grid of a registered scan."""
    data, affine = load_volume(registered)
    return sample(brain, pose @ _matrix(registered), data.shape, affine) > 0.5


def _agreement(stripped: Path, truth: np.ndarray) -> dict[str, float]:
    """Dice, and 95th percentile of the symmetric surface distance in mm, with a mask."""
    if read_sidecar(stripped)["status"] != "ok":
        return {"dice": np.nan, "distance_mm": np.nan}
    data, affine = load_volume(stripped)
    mask = data != 0
    surfaces = [of & ~binary_erosion(of) for of in (mask, truth)]
    away = [distance_transform_edt(~of, sampling=voxel_sizes(affine)) for of in surfaces]
    distances = np.concatenate([away[1][surfaces[0]], away[0][surfaces[1]]])
    return {
        "dice": float(2 * np.sum(mask & truth) / (mask.sum() + truth.sum())),
        "distance_mm": float(np.percentile(distances, 95)),
    }
