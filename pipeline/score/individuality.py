"""How much the demonstration's patients differ: by their true disease fields.

Where all have the same disease, one field for everybody explains each of them, and no score tells
an explanation of a patient from the average of a population.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.dataset.packed import PackedDataset
from pipeline.score.truth import true_fields
from pipeline.stage.files import write_csv

DECIMALS = 6


def compare_patients(fields: np.ndarray) -> dict[str, float]:
    """How alike the disease fields of patients are.

    Parameters
    ----------
    fields : array, shape (patients, values)
        A patient's displacements in a row, all components of all voxels.

    Returns
    -------
    dict of float
        Mean, smallest and largest correlation of the fields of two patients, and ``mean_field_r2``,
        the share of the fields' sum of squares that their mean explains, times the best number for
        each patient. Not a number for fewer than two patients.
    """
    if len(fields) < 2:
        names = ("correlation_mean", "correlation_min", "correlation_max", "mean_field_r2")
        return dict.fromkeys(names, float("nan"))
    correlations = np.corrcoef(fields)[np.triu_indices(len(fields), 1)]
    mean = fields.mean(axis=0)
    explained = (fields @ mean) ** 2 / (mean @ mean)
    return {
        "correlation_mean": float(correlations.mean()),
        "correlation_min": float(correlations.min()),
        "correlation_max": float(correlations.max()),
        "mean_field_r2": float(explained.sum() / (fields**2).sum()),
    }


def make_demo_table(
    names: Iterable[str], packed: Iterable[Path], truths: Iterable[Path], destination: Path
) -> None:
    """Tell how individual the simulated disease is.

    Parameters
    ----------
    names, packed, truths
        Each demonstration, its packed data set and the folder of its true fields.
    destination
        CSV written, a row a data set: ``dataset``, ``data`` (demo), the numbers of ``pairs`` and
        ``subjects`` of the test split, and the columns of `compare_patients`, over the first pair
        of each test subject and inside its mask.

    Raises
    ------
    InputError
        If a true field is missing.
    """
    rows = []
    for name, folder, truth in zip(names, packed, truths, strict=True):
        data = PackedDataset.open(folder)
        fields: dict[str, np.ndarray] = {}
        pairs = 0
        for true in true_fields(data, truth):
            pairs += 1
            inside = true.fields["disease"] * np.array(data.pairs_mask[true.pair.row])
            fields.setdefault(true.pair.subject, inside.ravel())
        row = {"dataset": name, "data": "demo", "pairs": pairs, "subjects": len(fields)}
        rows.append(row | compare_patients(np.array(list(fields.values()), float)))
    write_csv(pd.DataFrame(rows).round(DECIMALS), destination)
