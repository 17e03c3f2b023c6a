"""Biomarkers of the test pairs of a data set: predicted, observed and, simulated, true."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from pipeline.biomarkers.brain_regions import measure_regions, tissue_shares
from pipeline.biomarkers.film_structures import (
    UNITS,
    find_landmarks,
    inside_lungs,
    measure_film,
    move_landmarks,
    reference_landmarks,
)
from pipeline.biomarkers.observed import deformable_field
from pipeline.brain.atlas import GROUPS, region_shares
from pipeline.dataset.packed import PackedDataset
from pipeline.method.deformation import warp
from pipeline.method.explain import explain_prepared, load_model
from pipeline.score.scored import TRUE_DEFORMATION, is_seeded
from pipeline.score.truth import NO_SEED, true_fields
from pipeline.score.uncertainty import by_seed_and_subject, mean_uncertainty
from pipeline.stage.errors import ImageError
from pipeline.stage.files import write_csv, write_parquet

log = logging.getLogger(__name__)

OBSERVED = "observed"
DECIMALS = 6
LUCENCY = "lung lucency"
# What the paper names as signs of its diseases, known ones and unexpected ones (section 3.4).
PAPER = {
    "Alzheimer's disease": {
        "ventricles": "larger",
        "hippocampi": "smaller",
        "temporal lobes": "smaller",
        "precuneus": "smaller",
        "cerebellum": "smaller",
        "brainstem": "smaller",
    },
    "COPD": {
        "diaphragm height": "smaller",
        "diaphragm curvature": "smaller",
        "heart width": "smaller",
        "tracheal width": "smaller",
        "soft-tissue thickness": "smaller",
        LUCENCY: "unchanged",
        "gastric bubble area": "larger",
        "clavicle height": "larger",
        "lung apex height": "smaller",
    },
}
CHANGES = ("volume change", "change")  # measures of which larger and smaller can be said


def measure_biomarkers(
    packed: Path,
    generators: Iterable[tuple[str, int, Path]],
    destination: Path,
    *,
    dataset: str,
    modality: str,
    truth: Path | None = None,
) -> None:
    """Measure the biomarkers of the test pairs.

    Parameters
    ----------
    packed
        Packed data set.
    generators
        Method, seed and file of each model.
    destination
        Table written (Parquet): dataset, method (``observed`` by deformable registration
        of the pair, ``true deformation`` in a demonstration, those of the models), seed, subject,
        baseline, followup, structure, measure, unit, value. A method that does not deform has only
        differences of intensity.
    dataset
        What the rows are to say.
    modality
        ``brain`` or ``chest``: what is measured.
    truth
        Folder of the demonstration's true fields.
    """
    data = PackedDataset.open(packed)
    models = [(method, seed, load_model(path)) for method, seed, path in generators]
    true = {}
    if truth is not None:
        true = {field.pair.row: field.fields["disease"] for field in true_fields(data, truth)}
    index, where = data.pairs_index, data.geometry
    rows = []
    shares, reference = {}, None
    for pair in index[index["split"] == "test"].itertuples():
        image, mask = np.array(data.pairs_image[pair.row]), data.pairs_mask[pair.row]
        difference = np.array(data.pairs_difference[pair.row])
        changes = [(OBSERVED, NO_SEED, difference, deformable_field(image + difference, image))]
        if pair.row in true:
            changes.append(_deformed(image, true[pair.row]))
        for method, seed, model in models:
            explanation = explain_prepared(model, image)
            changes.append((method, seed, explanation.difference, explanation.displacement))
        if modality == "brain" and not shares:
            shares = region_shares(where.affine, image.shape)
        if modality == "chest" and reference is None:
            reference = reference_landmarks(data.train.shape[-1], image.shape[0])
        names = {"dataset": dataset}
        names |= {key: getattr(pair, key) for key in ("subject", "baseline", "followup")}
        if modality == "brain":
            found = brain_rows(image, mask, changes, shares, float(where.pixel_mm[pair.row]))
        else:
            found = film_rows(image, mask, changes, *reference)
        rows += [names | row for row in found]
    write_parquet(pd.DataFrame(rows), destination)


def _deformed(image: np.ndarray, phi: np.ndarray) -> tuple[str, int, np.ndarray, np.ndarray]:
    xhat0 = warp(torch.from_numpy(image)[None, None], torch.from_numpy(phi)[None])
    return TRUE_DEFORMATION, NO_SEED, xhat0[0, 0].numpy() - image, phi


def brain_rows(
    image: np.ndarray, mask: np.ndarray, changes: list, shares: dict, voxel_mm: float
) -> Iterator[dict[str, Any]]:
    """Rows of one volume; `shares` as of `region_shares`, the others as of `film_rows`."""
    for method, seed, difference, phi in changes:
        regions = {name: share * mask for name, share in shares.items()}
        regions |= {name: t * mask for name, t in tissue_shares(image, phi).items()}
        for row in measure_regions(difference, phi, regions, voxel_mm):
            yield {"method": method, "seed": seed, **row}


def film_rows(
    image: np.ndarray, mask: np.ndarray, changes: list, reference: np.ndarray, places: dict
) -> Iterator[dict[str, Any]]:
    """Rows of one film; none where the landmarks cannot be carried to it.

    Parameters
    ----------
    image, mask : array, shape (rows, columns)
        The diseased film, and where the pair is compared.
    changes : list of (method, seed, difference, phi)
        What is made of it: xhat0 - x1 (rows, columns), and the field (2, rows, columns) or None.
    reference, places
        As of `pipeline.biomarkers.film_structures.find_landmarks`.
    """
    try:
        here = find_landmarks(image, reference, places)
    except (ImageError, ValueError) as error:
        log.warning("a film has no landmarks: %s", error)
        return
    diseased = measure_film(here)
    lungs = mask & inside_lungs(here, image.shape)
    for method, seed, difference, phi in changes:
        if lungs.any():  # brighter without the disease: more lucent with it
            lucency = {"measure": "change", "unit": "intensity", "value": difference[lungs].mean()}
            yield {"method": method, "seed": seed, "structure": LUCENCY, **lucency}
        if phi is None:
            continue
        try:
            healthy = measure_film(move_landmarks(here, phi))
        except ValueError as error:
            # A new image has no method here, nor have the many that it is measured beside.
            level = logging.WARNING if method else logging.DEBUG
            log.log(level, "%s, seed %d: %s", method, seed, error)
            continue
        for structure, value in diseased.items():
            unit = UNITS.get(structure, "px")
            change = 100 * (value / healthy[structure] - 1)
            for measure, what, number in (
                ("change", "%", change),
                ("with the disease", unit, value),
                ("without the disease", unit, healthy[structure]),
            ):
                yield {
                    **{"method": method, "seed": seed, "structure": structure},
                    **{"measure": measure, "unit": what, "value": number},
                }


def make_biomarker_table(
    tables: Iterable[Path], datasets: dict[str, dict[str, Any]], destination: Path
) -> None:
    """Average `measure_biomarkers` over pairs, seeds and subjects.

    Parameters
    ----------
    tables
        Tables of `measure_biomarkers`.
    datasets
        By name: ``disease`` and ``data`` (``demo`` or ``real``).
    destination
        CSV written: a row a data set, structure, measure and method: disease, subjects, mean, low
        and high (95 % bootstrap interval over seeds and subjects), ``interval_note``, why there is
        none, ``finding`` in words of the diseased group where the interval leaves 0 out, and
        ``paper``, what the paper found.
    """
    frame = pd.concat([pd.read_parquet(path) for path in tables], ignore_index=True)
    keys = ["dataset", "structure", "measure", "unit", "method"]
    rows = []
    for names, measured in frame.groupby(keys, sort=False):
        row = dict(zip(keys, names, strict=True))
        values = by_seed_and_subject(measured, "value")
        found = mean_uncertainty(
            values, seeded=row["method"] != OBSERVED and is_seeded(row["method"])
        )
        row |= {"subjects": values.shape[1], "mean": values.mean().mean()}
        row |= {"low": found.low, "high": found.high, "interval_note": found.note}
        row["finding"], row["paper"] = _words(row, datasets[row["dataset"]]["disease"])
        rows.append(row)
    table = pd.DataFrame(rows)
    table.insert(1, "data", [datasets[name]["data"] for name in table["dataset"]])
    table.insert(2, "disease", [datasets[name]["disease"]["name"] for name in table["dataset"]])
    first = {name: place for place, name in enumerate(GROUPS)}
    order = table["structure"].map(lambda name: first.get(name, len(first)))
    table = table.iloc[np.lexsort((np.arange(len(table)), order, table["dataset"]))]
    write_csv(table.round(DECIMALS), destination)


def _words(row: dict[str, Any], disease: dict[str, str]) -> tuple[str, str]:
    if row["measure"] not in CHANGES:
        return "", ""
    expected = PAPER.get(disease["name"], {}).get(row["structure"], "")
    paper = f"{expected} in {disease['diseased']}" if expected else ""
    if row["low"] > 0 or row["high"] < 0:
        size = "larger" if row["low"] > 0 else "smaller"
        return f"{row['structure']} {size} in {disease['diseased']}", paper
    return "" if row["interval_note"] else "no clear change", paper
