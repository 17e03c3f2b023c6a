"""Scores of one trained model on the test pairs."""

from pathlib import Path

from pipeline.dataset.packed import PackedDataset
from pipeline.method.explain import explain_prepared, load_model, score_pairs
from pipeline.method.training.device import choose_device
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
        Table written (Parquet): a row a pair, columns `SCORE_COLUMNS`; ``ncc_other`` is the score
        of other subjects' explanations on the pair (`pipeline.score.specificity`).
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
    scores = score_pairs(model, data, split)
    others = [
        Evidence.of(pair.subject, explain_prepared(model, data.pairs_image[pair.row]))
        for pair in pairs_of_others(scores).itertuples()
    ]
    scores["ncc_other"] = [
        ncc_of_others(others, pair.subject, *data.pair(pair.row)) for pair in scores.itertuples()
    ]
    scores = scores.assign(dataset=dataset, method=method, seed=seed)
    write_parquet(scores[SCORE_COLUMNS], destination)
