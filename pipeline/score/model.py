"""Scores of one trained model on the test pairs."""

from pathlib import Path

from pipeline.dataset.packed import PackedDataset
from pipeline.method.explain import load_model, score_pairs
from pipeline.method.training.device import choose_device
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
        Table written (Parquet): a row a pair, columns `SCORE_COLUMNS`.
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
    scores = score_pairs(model, PackedDataset.open(packed), split)
    scores = scores.assign(dataset=dataset, method=method, seed=seed)
    write_parquet(scores[SCORE_COLUMNS], destination)
