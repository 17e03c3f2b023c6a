"""A new scan or film, explained by a trained model: ``python -m pipeline explain``."""

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
import pandas as pd
from PIL import Image

from pipeline.biomarkers.population import (
    Ruler,
    beside_population,
    film_ruler,
    population_range,
    trained_shape,
    volume_ruler,
)
from pipeline.brain.chain import CONVERSION, ENTRY
from pipeline.brain.scan import read_scan
from pipeline.cohort.derivatives import brain_mask
from pipeline.cohort.scans import SUFFIXES, is_series
from pipeline.geometry.diffeomorphism import jacobian_determinant
from pipeline.method.explain import (
    NOT_DIAGNOSTIC,
    ImageExplanation,
    explain_image,
    explain_prepared,
    load_model,
)
from pipeline.method.interface import Explainer
from pipeline.method.registry import find_method
from pipeline.stage.about import About
from pipeline.stage.errors import ImageError, InputError
from pipeline.stage.files import atomic_directory, sha256, write_csv, write_json
from pipeline.stage.progress import progress
from pipeline.stage.sidecar import has_sidecar, read_sidecar, run_image_stage, write_sidecar
from pipeline.stages import stage_function
from pipeline.study.config.datasets import Dataset, FilmDataset, ImageDataset, VolumeDataset
from pipeline.study.image_page import write_image_page
from pipeline.study.other_images import check_others, warp_others

log = logging.getLogger(__name__)

FACTS = "explanation.json"
SCAN, SCAN_FIELD = "scan.nii.gz", "scan_displacement.nii.gz"
Steps = list[dict[str, Any]]  # of the preparation, as sidecars hold them


class Explained(NamedTuple):
    """An explanation, the steps of the preparation, and how to make what measures it."""

    explanation: ImageExplanation
    steps: Steps
    make_ruler: Callable[[], Ruler] | None = None


class NewImages:
    """A trained model, ready to explain new images.

    Parameters
    ----------
    generator
        ``generator.safetensors`` of a trained model.
    dataset
        The data set that the model was trained on.

    Raises
    ------
    InputError
        If the model is none, or does not suit the data set.
    """

    def __init__(self, generator: Path, dataset: Dataset) -> None:
        self.generator, self.dataset = Path(generator), dataset
        self.model, self.model_sha256 = load_model(generator), sha256(generator)
        if self.model.dimensions != len(dataset.image_shape()):
            raise InputError(f"{generator} explains images of {self.model.dimensions} dimensions")
        trained, prepared = trained_shape(self.generator), dataset.image_shape()
        if trained not in (None, prepared):
            raise InputError(
                f"{generator} was trained on images of {_words(trained)}, this configuration makes "
                f"them {_words(prepared)}; give that of the training with --configfile"
            )
        self._ruler: Ruler | None = None
        self._population: pd.DataFrame | None = None

    def explain(
        self,
        source: Path,
        destination: Path,
        *,
        apply: Sequence[Path] = (),
        apply_labels: Sequence[Path] = (),
    ) -> ImageExplanation:
        """Prepare an image as the training images were, explain it, and write what comes out.

        Parameters
        ----------
        source
            T1 volume (NIfTI or MGH; or a DICOM series, by its folder or a file), raw or prepared as
            those of the data set; raw film (DICOM or PNG); or image of the grid's size (NPY, as it
            is; or PNG, black and white of which are -1 and 1).
        destination
            Folder written; one that holds anything but an earlier explanation is left alone.
            docs/explain.md describes its files.
        apply, apply_labels
            Other images in the space of a scan, which are deformed as it is: with linear
            interpolation, and by the nearest voxel.

        Raises
        ------
        InputError
            If the image or another one cannot be used, or the destination is in use.
        """
        dataset, method = self.dataset, self.model.method
        explain, wanted, _ = MODALITIES[dataset.modality]
        source, volumes = Path(source), dataset.modality == "brain"
        if not source.is_file() and not (volumes and source.is_dir()):
            raise InputError(f"{source} is not there; give {wanted}")
        _check_destination(destination)
        others = [*apply, *apply_labels]
        if others and not (volumes and find_method(method).deforms):
            raise InputError("other images are deformed by a model that deforms volumes only")
        with _refused(source), atomic_directory(destination) as folder:
            image = _as_volume(source, folder / SCAN) if volumes else source
            if others:
                check_others(others, image)
            explanation, steps, make_ruler = explain(image, self.model, folder, dataset)
            if others:
                warp_others(apply, apply_labels, folder / SCAN_FIELD, folder / "applied")
            _draw(explanation, method, dataset.describe(), folder)
            regions = self._measure(explanation, make_ruler)
            if regions is not None:
                write_csv(regions.round(6), folder / "regions.csv")
            facts = {
                "notice": NOT_DIAGNOSTIC,
                "method": method,
                "model_sha256": self.model_sha256,
                "preparation": steps,
                "pipeline": version("defigan-pipeline"),
                **_facts(explanation),
            }
            write_json(facts, folder / FACTS)
            title = find_method(method).title
            write_image_page(
                folder, Path(destination).name, dataset.describe(), title, facts, regions
            )
        return explanation

    def _measure(
        self, explanation: ImageExplanation, make_ruler: Callable[[], Ruler] | None
    ) -> pd.DataFrame | None:
        if make_ruler is None:
            return None
        if self._ruler is None:  # of all images, since all lie on one grid
            self._ruler, shape = make_ruler(), self.dataset.image_shape()
            self._population = population_range(self.generator, self.model, self._ruler, shape)
        return beside_population(self._ruler(explanation), self._population)


@contextmanager
def _refused(source: Path) -> Iterator[None]:
    """Tell which image it is that cannot be used."""
    try:
        yield
    except ImageError as error:
        raise InputError(f"{source} cannot be used: {error}") from error


def _words(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _check_destination(destination: Path) -> None:
    """Whatever lies there is replaced: it must not be somebody's folder."""
    path = Path(destination)
    if path.exists() and not (path / FACTS).is_file() and not (path.is_dir() and _empty(path)):
        raise InputError(f"{path} is there and holds no explanation; name a folder that is new")


def _empty(folder: Path) -> bool:
    return next(folder.iterdir(), None) is None


def _facts(explanation: ImageExplanation) -> dict[str, float | None]:
    phi = explanation.displacement
    return {
        "largest_displacement_voxels": _largest(phi),
        "folded_share": _folded(phi),
        "mean_absolute_difference": float(np.abs(explanation.difference).mean()),
    }


def _largest(phi: np.ndarray | None) -> float | None:
    return None if phi is None else float(np.linalg.norm(phi, axis=0).max())


def _folded(phi: np.ndarray | None) -> float | None:
    return None if phi is None else float(np.mean(jacobian_determinant(phi[::-1]) <= 0))


# ---- brain volumes ----


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


def _as_volume(source: Path, volume: Path) -> Path:
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


def _explain_volume(
    source: Path, model: Explainer, folder: Path, dataset: VolumeDataset
) -> Explained:
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


# ---- films ----


def _explain_film(source: Path, model: Explainer, folder: Path, dataset: FilmDataset) -> Explained:
    from pipeline.chest.frame import find_frame
    from pipeline.chest.prepare import centre_crop, prepare_film
    from pipeline.dicom.film import read_film

    chest = dataset.chest
    raw = read_film(source)
    film = prepare_film(raw, chest.resize)
    explanation = explain_image(model, centre_crop(film, chest.crop))
    _write_arrays(explanation, folder)
    frame = find_frame(raw)._asdict()
    step = {"stage": "film", "frame_px": frame, "resize": chest.resize, "crop": chest.crop}
    return Explained(explanation, [step], lambda: film_ruler(chest.resize, chest.crop))


def _write_arrays(explanation: ImageExplanation, folder: Path) -> None:
    arrays = {
        "image": explanation.image,
        "modified": explanation.modified,
        "difference": explanation.difference,
    }
    for name in ("image", "modified"):
        grey = np.clip((arrays[name] + 1) / 2 * 65535, 0, 65535).round().astype(np.uint16)
        Image.fromarray(grey).save(folder / f"{'prepared' if name == 'image' else name}.png")
    if explanation.displacement is not None:
        arrays["displacement"] = explanation.displacement
    np.savez_compressed(folder / "explanation.npz", allow_pickle=False, **arrays)


# ---- images that need no preparation ----


def read_image(source: Path) -> np.ndarray:
    """An image as the networks see it: an NPY array as it is, a PNG from -1 (black) to 1.

    Raises
    ------
    InputError
        If the file holds no grey image.
    """
    try:
        if Path(source).suffix == ".npy":
            image = np.load(source, allow_pickle=False)
            scale = None
        else:
            with Image.open(source, formats=["PNG"]) as picture:
                scale = 65535 if picture.mode.startswith("I") else 255
                image = np.asarray(picture if scale == 65535 else picture.convert("L"))
        image = image.astype(np.float32)
    except (OSError, ValueError) as error:
        raise InputError(f"{source} is neither an NPY array of numbers nor a PNG") from error
    if not np.isfinite(image).all():
        raise InputError(f"{source} holds values that are no numbers")
    return image if scale is None else image / scale * 2 - 1


def _explain_picture(
    source: Path, model: Explainer, folder: Path, dataset: ImageDataset
) -> Explained:
    image, side = read_image(source), dataset.squares.size
    if image.shape != (side, side):
        raise InputError(
            f"{source} is of {_words(image.shape)}; the model explains images of {side} x {side}"
        )
    explanation = explain_prepared(model, image)
    _write_arrays(explanation, folder)
    return Explained(explanation, [])


# ---- figure ----


def _draw(explanation: ImageExplanation, method: str, about: About, folder: Path) -> None:
    from pipeline.figures.explanation import draw_explanation

    for suffix in ("png", "svg"):
        figure = folder / f"figure.{suffix}"
        draw_explanation(explanation, method, about, NOT_DIAGNOSTIC, figure)


# How an image is explained, what file it comes in, and how such files are named in a folder.
MODALITIES: dict[str, tuple[Callable[..., Explained], str, tuple[str, ...]]] = {
    "brain": (_explain_volume, "a NIfTI or MGH volume or a DICOM series", SUFFIXES),
    "chest": (_explain_film, "a DICOM, PNG or JPEG film", ("",)),
    "image": (_explain_picture, "an NPY or PNG image", (".npy", ".png")),
}
