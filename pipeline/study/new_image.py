"""A new scan or film, explained by a trained model: ``python -m pipeline explain``."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.biomarkers.population import (
    Ruler,
    beside_population,
    population_range,
    trained_shape,
)
from pipeline.cohort.scans import SUFFIXES
from pipeline.geometry.diffeomorphism import jacobian_determinant
from pipeline.method.explain import NOT_DIAGNOSTIC, ImageExplanation, load_model
from pipeline.method.registry import find_method
from pipeline.stage.about import About
from pipeline.stage.errors import ImageError, InputError
from pipeline.stage.files import atomic_directory, sha256, write_csv, write_json
from pipeline.study.config.datasets import Dataset
from pipeline.study.explained import SCAN_FIELD, Explained, in_words
from pipeline.study.image_page import write_image_page
from pipeline.study.new_flat_image import explain_film, explain_picture
from pipeline.study.new_volume import as_volume, explain_volume
from pipeline.study.other_images import check_others, warp_others

FACTS = "explanation.json"
SCAN = "scan.nii.gz"


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
                f"{generator} was trained on images of {in_words(trained)}, this configuration "
                f"makes them {in_words(prepared)}; give that of the training with --configfile"
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
            image = as_volume(source, folder / SCAN) if volumes else source
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
        "largest_displacement": _largest(phi),
        "folded_share": _folded(phi),
        "mean_absolute_difference": float(np.abs(explanation.difference).mean()),
        "largest_difference": float(np.abs(explanation.difference).max()),
    }


def _largest(phi: np.ndarray | None) -> float | None:
    return None if phi is None else float(np.linalg.norm(phi, axis=0).max())


def _folded(phi: np.ndarray | None) -> float | None:
    return None if phi is None else float(np.mean(jacobian_determinant(phi[::-1]) <= 0))


def _draw(explanation: ImageExplanation, method: str, about: About, folder: Path) -> None:
    from pipeline.figures.explanation import draw_explanation

    for suffix in ("png", "svg"):
        figure = folder / f"figure.{suffix}"
        draw_explanation(explanation, method, about, NOT_DIAGNOSTIC, figure)


# How an image is explained, what file it comes in, and how such files are named in a folder.
MODALITIES: dict[str, tuple[Callable[..., Explained], str, tuple[str, ...]]] = {
    "brain": (explain_volume, "a NIfTI or MGH volume or a DICOM series", SUFFIXES),
    "chest": (explain_film, "a DICOM, PNG or JPEG film", ("",)),
    "image": (explain_picture, "an NPY or PNG image", (".npy", ".png")),
}
