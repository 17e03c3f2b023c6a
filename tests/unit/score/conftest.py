from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.dataset.packed import Geometry, write_array


@pytest.fixture
def write_packed() -> Callable[..., None]:
    """Write a packed data set of given pairs (subject, split, baseline, followup)."""

    def write(
        folder: Path,
        pairs: list[tuple[str, str, str, str]],
        images: np.ndarray,
        differences: np.ndarray,
        masks: np.ndarray,
        geometry: Geometry | None = None,
    ) -> None:
        folder.mkdir(parents=True)
        for name, arrays, dtype in (
            ("train", images, "float32"),
            ("pairs_image", images, "float32"),
            ("pairs_difference", differences, "float32"),
            ("pairs_mask", masks, "bool"),
        ):
            write_array(folder / f"{name}.npy", arrays, len(arrays), dtype)
        train = pd.DataFrame({"row": [0], "subject": ["t"], "session": ["bl"], "label": [0]})
        train.to_parquet(folder / "train.parquet")
        index = pd.DataFrame(pairs, columns=["subject", "split", "baseline", "followup"])
        index.insert(0, "row", range(len(index)))
        index.to_parquet(folder / "pairs.parquet")
        (geometry or Geometry.of_made_images(len(pairs), images.shape[1:])).write(folder)

    return write
