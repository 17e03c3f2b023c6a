"""What the explorer of the report shows: images and explanations of test pairs, for a browser.

Numbers travel as 16-bit integers with a scale, compressed. Along the arrays x runs fastest, then y,
then z; of a film x runs along its columns. Fields have their channels in that order, in voxels.
"""

import base64
import gzip
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd

from pipeline.dataset.packed import PackedDataset
from pipeline.drawing.panels import DIFFERENCE_RANGE
from pipeline.method.explain import explain_prepared, load_model
from pipeline.method.interface import Explainer
from pipeline.method.registry import find_method, shown_first

LARGEST = 32767
# Pairs of a data set are shown as long as their numbers stay below; three are always.
BYTES = 24 * 2**20
FEWEST_PAIRS = 3
COLOURS = {"difference": "PiYG_r", "field": "viridis"}
STEPS = 33
PAIR = ["subject", "baseline", "followup"]


def encode(values: np.ndarray) -> dict[str, Any]:
    """Numbers as text: ``data`` (base64 of gzipped int16) and ``scale``, their unit."""
    scale = float(np.abs(values).max()) / LARGEST or 1.0
    integers = np.round(values / scale).astype("<i2")
    packed = gzip.compress(integers.tobytes(), compresslevel=6, mtime=0)
    return {"scale": scale, "data": base64.b64encode(packed).decode("ascii")}


def x_first(image: np.ndarray) -> np.ndarray:
    """Numbers of a film or volume with x running fastest."""
    return image.ravel(order="C" if image.ndim == 2 else "F")


def chosen_pairs(ranked: pd.DataFrame, count: int) -> pd.DataFrame:
    """`count` rows at even distances of their ranks, the best and the worst among them.

    Parameters
    ----------
    ranked
        Scores of the pairs, best first.
    count
        How many, at least 2 (an odd number has the median); all if there are no more.
    """
    if len(ranked) <= count:
        return ranked
    ranks = np.linspace(0, len(ranked) - 1, count).astype(int)
    return ranked.iloc[ranks]


def colour_table(name: str) -> list[list[int]]:
    """Colours of a map of matplotlib, from its lowest to its highest value: `STEPS` of RGB."""
    colours = matplotlib.colormaps[name](np.linspace(0, 1, STEPS))[:, :3]
    return (255 * colours).round().astype(int).tolist()


def _title(rank: int, last: int, pair: pd.Series) -> str:
    place = {last // 2: "median", last: "worst", 0: "best"}.get(rank, "")
    place = f"{place}, " if place else ""
    return f"{pair['subject']}, {pair['followup']} from {pair['baseline']} ({place}rank {rank + 1})"


def explorer_data(datasets: dict[str, dict[str, Any]], seed: int) -> dict[str, Any]:
    """Everything that the explorer shows.

    Parameters
    ----------
    datasets
        By name: ``title``, ``disease``, ``data`` (``real``, ``demo``, ``toy``), ``packed``
        (folder) and ``models``, of each of which are needed ``method``, ``seed``, ``generator`` and
        ``scores`` (files).
    seed
        Whose models are shown.
    """
    entries = []
    for name, dataset in datasets.items():
        of_seed = {model["method"]: model for model in dataset["models"] if model["seed"] == seed}
        # Pairs are ranked by the method that is shown first.
        shown = {method: of_seed[method] for method in shown_first(of_seed)}
        scores = {
            method: pd.read_parquet(model["scores"]).set_index(PAIR)["ncc"]
            for method, model in shown.items()
        }
        models = {method: load_model(Path(model["generator"])) for method, model in shown.items()}
        packed = PackedDataset.open(Path(dataset["packed"]))
        ranked = (
            next(iter(scores.values())).sort_values(ascending=False).rename("score").reset_index()
        )
        ranked["rank"] = range(len(ranked))
        ranked = ranked.merge(packed.pairs_index[[*PAIR, "row"]], on=PAIR)
        shape = packed.pairs_image.shape[1:]
        numbers = 2 + sum(len(shape) if find_method(m).deforms else 1 for m in models)
        affordable = BYTES // (2 * numbers * int(np.prod(shape)))
        pairs = [
            {
                "title": _title(pair["rank"], len(ranked) - 1, pair),
                "ncc": {m: float(scores[m].loc[tuple(pair[PAIR])]) for m in models},
                **_pair(packed, int(pair["row"]), models),
            }
            for _, pair in chosen_pairs(ranked, max(FEWEST_PAIRS, affordable)).iterrows()
        ]
        entries.append(
            {
                "name": name,
                "disease": dataset["disease"],
                "title": dataset["title"]
                + ("" if dataset["data"] == "real" else f" ({dataset['data']})"),
                "size": list(shape[::-1] if len(shape) == 2 else shape),
                "voxel_mm": float(packed.geometry.pixel_mm[0]) if len(shape) == 3 else None,
                "methods": {method: find_method(method).title for method in models},
                "pairs": pairs,
            }
        )
    colours = {part: colour_table(colour_map) for part, colour_map in COLOURS.items()}
    return {"datasets": entries, "colours": colours, "difference_range": DIFFERENCE_RANGE}


def _pair(packed: PackedDataset, row: int, models: dict[str, Explainer]) -> dict[str, Any]:
    image = np.array(packed.pairs_image[row])
    observed = np.where(packed.pairs_mask[row], packed.pairs_difference[row], 0)
    changes = {}
    for method, model in models.items():
        explanation = explain_prepared(model, image)
        phi = explanation.displacement
        if phi is None:
            changes[method] = {"difference": encode(x_first(explanation.difference))}
        else:  # its channels run from the last array axis to the first: x comes first for films
            phi = phi if image.ndim == 2 else phi[::-1]
            changes[method] = {"field": encode(np.concatenate([x_first(part) for part in phi]))}
    return {
        "image": encode(x_first(image)),
        "observed": encode(x_first(observed)),
        "changes": changes,
    }
