"""Scores of one trained model on the test pairs."""

from pathlib import Path

import pandas as pd

from pipeline.dataset.packed import PackedDataset
from pipeline.method.explain import explain_pairs, load_model
from pipeline.method.ncc import masked_ncc
from pipeline.method.training.device import choose_device
from pipeline.score.claims import roughness
from pipeline.score.specificity import Evidence, ncc_of_others, pairs_of_others
from pipeline.stage.files import write_parquet

PAIR = ["subject", "baseline", "followup"]
SCORE_COLUMNS = ["dataset", "method", "seed", *PAIR, "ncc", "ncc_other"]


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
        the difference map (`pipeline.score.claims.roughness`); ``ncc_other`` is the score of other
        subjects' explanations on the pair (`pipeline.score.specificity`).
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
    index = data.pairs_index
    pairs = index[index["split"] == split].reset_index(drop=True)
    tried = set(pairs_of_others(pairs)["row"])
    found, others = [], []
    for pair, (row, explanation) in zip(
        pairs.itertuples(), explain_pairs(model, data, split), strict=True
    ):
        change, mask = explanation.difference, data.pairs_mask[row]
        ncc = masked_ncc(data.pairs_difference[row], change, mask)
        found.append((ncc, roughness(change, mask)))
        if row in tried:
            others.append(Evidence.of(pair.subject, explanation))
    scores = pairs.join(pd.DataFrame(found, columns=["ncc", "roughness"], dtype=float))
    scores["ncc_other"] = [
        ncc_of_others(others, pair.subject, *data.pair(pair.row)) for pair in scores.itertuples()
    ]
    scores = scores.assign(dataset=dataset, method=method, seed=seed)
    write_parquet(scores[[*SCORE_COLUMNS, "roughness"]], destination)
