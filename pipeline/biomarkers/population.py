"""Biomarkers of one explained image, and what the same model finds in images that it learned from.

The range tells how ordinary an explanation is among those of the diseased images of the training.
It is no normal range: it holds no healthy people, and not what the patients' volumes are, but what
the model makes of them.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.biomarkers.film_structures import reference_landmarks
from pipeline.biomarkers.measure import brain_rows, film_rows
from pipeline.brain.atlas import region_shares
from pipeline.chest.prepare import centre_crop
from pipeline.dataset.packed import PackedDataset
from pipeline.method.explain import ImageExplanation, explain_prepared
from pipeline.method.interface import Explainer
from pipeline.stage.files import read_csv, sha256, write_csv
from pipeline.stage.progress import progress

log = logging.getLogger(__name__)

KEYS = ["structure", "measure", "unit"]
RANGE = {"low": 0.05, "median": 0.5, "high": 0.95}  # quantiles
# Enough for these quantiles, and at full size minutes of a processor, once a model.
SUBJECTS = 50
FEWEST = 20  # of fewer images the least and the largest are these quantiles
BACKGROUND = -1.0

Ruler = Callable[[ImageExplanation], pd.DataFrame]


def volume_ruler(affine: np.ndarray, voxel_mm: float) -> Ruler:
    """What measures explanations of volumes.

    Parameters
    ----------
    affine
        (4, 4), voxel index to RAS mm of the template's space.
    voxel_mm
        Side of a voxel there.

    Returns
    -------
    callable
        From an explanation to a table of `KEYS` and value; see
        `pipeline.biomarkers.brain_regions.measure_regions`.
    """
    shares = cache(lambda shape: region_shares(affine, shape))

    def measure(explanation: ImageExplanation) -> pd.DataFrame:
        image = explanation.image
        changes = _changes(explanation)
        return _table(brain_rows(image, image > BACKGROUND, changes, shares(image.shape), voxel_mm))

    return measure


def film_ruler(resize: int, crop: int) -> Ruler:
    """What measures explanations of films, prepared with these two sides (pixels).

    Of a film that the landmarks cannot be carried to the table is empty; see
    `pipeline.biomarkers.measure.film_rows`.
    """
    reference = cache(lambda: reference_landmarks(resize, crop))

    def measure(explanation: ImageExplanation) -> pd.DataFrame:
        everywhere = np.ones(explanation.image.shape, bool)
        changes = _changes(explanation)
        return _table(film_rows(explanation.image, everywhere, changes, *reference()))

    return measure


def _changes(explanation: ImageExplanation) -> list[tuple[str, int, np.ndarray, Any]]:
    return [("", 0, explanation.difference, explanation.displacement)]


def _table(rows: Any) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[*KEYS, "value"])


def population_range(
    generator: Path, model: Explainer, measure: Ruler, shape: tuple[int, ...]
) -> pd.DataFrame | None:
    """What a model finds in the diseased images of its training, one a subject.

    Measured once: the table is kept beside the model, for this state of it, and may be handed on
    with it. It holds nothing of single subjects.

    Parameters
    ----------
    generator
        File of the model; the images are those of ``packed`` in the folder of its data set.
    model
        The same, loaded.
    measure
        As of `volume_ruler` or `film_ruler`.
    shape
        Of the images that the model explains.

    Returns
    -------
    DataFrame or None
        `KEYS`, images (how many were measured, at most `SUBJECTS`) and the columns of `RANGE`. None
        where the training images are not at hand.
    """
    kept, state = generator.with_name("population.csv"), sha256(generator)
    if kept.is_file():
        table = read_csv(kept)
        if set(table["generator_sha256"]) == {state}:
            return table.drop(columns="generator_sha256")
    data = _training_images(generator)
    if data is None:
        return None
    diseased = data.train_index[data.train_index["label"] == 1]
    rows = diseased.drop_duplicates("subject")["row"].to_numpy()
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), SUBJECTS)).round().astype(int)]
    tables = []
    with progress(total=len(rows), desc="training images, once", unit="image") as bar:
        for row in rows:
            image = np.array(data.train[row])
            if image.shape != shape:
                image = centre_crop(image, shape[0])
            tables.append(measure(explain_prepared(model, image)))
            bar.update()
    table = _quantiles(pd.concat(tables))
    try:
        write_csv(table.assign(generator_sha256=state), kept)
    except OSError as error:
        log.warning("the range cannot be kept for the next image: %s", error)
    return table


def trained_shape(generator: Path) -> tuple[int, ...] | None:
    """Shape of the images that a model has been trained on; None where they are not at hand."""
    with suppress(OSError, ValueError):
        return np.load(_packed(generator) / "pairs_image.npy", mmap_mode="r").shape[1:]
    return None


def _packed(generator: Path) -> Path:
    return (generator.resolve() / "../../../../packed").resolve()  # of models/METHOD/SEED


def _training_images(generator: Path) -> PackedDataset | None:
    with suppress(OSError, ValueError):  # some may be gone, for the sake of space
        return PackedDataset.open(_packed(generator))
    log.warning(
        "the images that %s was trained on are not at hand (packed/ of its data set): the regions "
        "have no range of theirs",
        generator,
    )
    return None


def _quantiles(measured: pd.DataFrame) -> pd.DataFrame:
    groups = measured.groupby(KEYS, sort=False)["value"]
    found = {name: groups.quantile(share) for name, share in RANGE.items()}
    return pd.DataFrame({"images": groups.size()} | found).reset_index()


def beside_population(measured: pd.DataFrame, population: pd.DataFrame | None) -> pd.DataFrame:
    """The table of one image with the population's columns, empty where they are unknown."""
    if population is None:
        return measured.assign(images=0, **dict.fromkeys(RANGE, np.nan))
    return measured.merge(population, on=KEYS, how="left").fillna({"images": 0})
