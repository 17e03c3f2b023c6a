"""What a method must beat: explanations that know the disease's average, or nothing at all."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.method.interface import Cost, Method
from pipeline.method.options import Options

if TYPE_CHECKING:
    import numpy as np


class Baseline(Method):
    """A method without options that is fitted in seconds."""

    baseline = True
    options = Options

    def cost(self, settings: Mapping[str, Any], shape: tuple[int, ...]) -> Cost:
        """Next to nothing beside a network's."""
        return Cost(fit=0, steps=1, explanation=0)


def class_means(packed: Path) -> tuple["np.ndarray", "np.ndarray"]:
    """Mean healthy and mean diseased training image of a packed data set.

    Returns
    -------
    healthy, diseased : array, shape (*spatial)
        On the grid of the pairs: training films are larger, and cropped to their centre here. One
        image at a time is in memory.
    """
    import numpy as np

    from pipeline.dataset.packed import PackedDataset

    data = PackedDataset.open(packed)
    shape = data.pairs_image.shape[1:]
    starts = [
        (size - wanted) // 2 for size, wanted in zip(data.train.shape[1:], shape, strict=True)
    ]
    centre = tuple(slice(a, a + size) for a, size in zip(starts, shape, strict=True))
    means = []
    for label in (0, 1):
        rows = data.train_index.loc[data.train_index["label"] == label, "row"]
        total = np.zeros(shape)
        for row in rows:
            total += data.train[row][centre]
        means.append((total / len(rows)).astype(np.float32))
    return means[0], means[1]
