"""Scores of one trained model on the test pairs."""

from pathlib import Path

import pandas as pd

from pipeline.dataset.packed import PackedDataset
from pipeline.method.explain import explain_pairs, load_model
from pipeline.method.ncc import masked_ncc
from pipeline.method.training.device import choose_device
from pipeline.score.claims import roughness
from pipeline.stage.files import write_parquet

SCORE_COLUMNS = ["dataset", "method", "seed", "subject", "baseline", "followup", "ncc"]


def score_model(
    packed: Path,
    generator: Path,
    destination: Path,
    *,
    dataset: str,
    method: str,
    seed: int,
    device: str = "auto",
    split: str = "test",
) -> None:
    """Score a model's explanations against the observed differences (Eq. 7).

    Parameters
    ----------
    packed
        Packed data set.
    generator
        The model that the training wrote.
    destination
        Table written (Parquet): a row a pair, columns `SCORE_COLUMNS` and ``roughness``, that of
        the difference map (`pipeline.score.claims.roughness`).
    dataset, method, seed
        What the rows are to say.
    device
        ``auto``, ``cpu`` or ``cuda``.
    split
        Pairs to score.

    Raises
    ------
    InputError
        If `generator` is none, or the device is missing.
    """
    model = load_model(generator, choose_device(device))
    data = PackedDataset.open(packed)
    pairs = data.pairs_index.set_index("row")
    scores = []
    for row, explanation in explain_pairs(model, data, split):
        change, mask = explanation.difference, data.pairs_mask[row]
        scores.append(
            {
                **{"dataset": dataset, "method": method, "seed": seed},
                **pairs.loc[row, ["subject", "baseline", "followup"]],
                "ncc": masked_ncc(data.pairs_difference[row], change, mask),
                "roughness": roughness(change, mask),
            }
        )
    columns = [*SCORE_COLUMNS, "roughness"]
    write_parquet(pd.DataFrame(scores, columns=columns), destination)
