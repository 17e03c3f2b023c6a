"""What the paper says of its methods in passing, measured: noise of training, smoothness of maps.

Both stand in words alone there (sections 3.3 and 3.4); here each is a number of every model.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.method.registry import METHODS, reference_method
from pipeline.stage.about import About
from pipeline.stage.files import write_csv

# By what is measured: what the paper says, and where.
CLAIMS = {
    "noise": ("training is less noisy from epoch to epoch", "3.3"),
    "roughness": ("interpretations are spatially smoother", "3.4"),
}
DECIMALS = 6


def roughness(difference: np.ndarray, mask: np.ndarray) -> float:
    """How rough a difference map is: steps between neighbours, relative to its size.

    Parameters
    ----------
    difference : array, shape (*spatial)
        Modified minus diseased image.
    mask : array, shape (*spatial)
        Where it is true, voxels count, and neighbours of which both do.

    Returns
    -------
    float
        Mean absolute difference of neighbours along the axes over the mean absolute value, per
        voxel; not a number of a map that changes nothing or has no neighbours.
    """
    inside = np.where(mask, difference, np.nan)
    steps = [np.abs(np.diff(inside, axis=axis)).ravel() for axis in range(inside.ndim)]
    # pandas' mean leaves out what is not a number, and is none of nothing.
    size, step = pd.Series(np.abs(inside).ravel()).mean(), pd.Series(np.concatenate(steps)).mean()
    return float(step / size) if size else float("nan")


def training_noise(validation_ncc: Iterable[float]) -> float:
    """Standard deviation of the change of the validation score from one epoch to the next.

    Unbiased; not a number for fewer than three epochs. A steady rise is no noise.
    """
    return float(pd.Series(validation_ncc, dtype=float).diff().std(ddof=1))


def make_claims_table(
    models: Iterable[tuple[Path, Path]], datasets: Mapping[str, About], destination: Path
) -> None:
    """Compare the methods in what the paper says of them.

    Parameters
    ----------
    models
        Of each model the table of `pipeline.score.model.score_model` and its ``history.parquet``.
    datasets
        By name and in the wanted order: ``data`` (``demo``, ``toy`` or ``real``).
    destination
        CSV written: a row a data set, claim and method: dataset, data, measure (``noise``: see
        `training_noise`, or ``roughness``: averaged over pairs, then subjects), method, seeds, mean
        and sd over them, ``ratio`` to the paper's own method, and the claim with its section:
        ``paper`` says whose number is to be the smaller one.
    """
    found = pd.DataFrame([_measured(*files) for files in models])
    reference = reference_method()
    rows = []
    for name, about in datasets.items():
        mine = found[found["dataset"] == name]
        for measure, (claim, section) in CLAIMS.items():
            of_method = {method: part[measure] for method, part in mine.groupby("method")}
            own = of_method[reference.name].mean() if reference.name in of_method else np.nan
            rows += [
                {
                    **{"dataset": name, "data": about["data"], "measure": measure},
                    **{"method": method, "seeds": len(of_method[method])},
                    **{"mean": of_method[method].mean(), "sd": of_method[method].std(ddof=1)},
                    "ratio": of_method[method].mean() / own,
                    "paper": f"{reference.title}: {claim} (section {section})",
                }
                for method in METHODS
                if method in of_method
            ]
    write_csv(pd.DataFrame(rows).round(DECIMALS), destination)


def _measured(scores: Path, history: Path) -> dict[str, object]:
    pairs = pd.read_parquet(scores)
    return {
        **pairs[["dataset", "method", "seed"]].iloc[0].to_dict(),
        "noise": training_noise(pd.read_parquet(history)["validation_ncc"]),
        "roughness": pairs.groupby("subject")["roughness"].mean().mean(),
    }
