"""The packed dataset: memory-mapped arrays that training and scoring read.

A folder with

- ``train.npy`` (N, *shape) float32, the training images, and ``train.parquet`` (row, subject,
  session, label);
- ``pairs_image.npy`` (P, *shape) float32, the diseased image x1 of each evaluation pair,
  ``pairs_difference.npy`` (P, *shape) float32, the observed difference (registered healthy image
  minus x1), ``pairs_mask.npy`` (P, *shape) bool, where that difference counts, and
  ``pairs.parquet`` (row, subject, split, baseline, followup).

Training films may be larger than those of the pairs: they are cropped at random.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

ARRAYS = ("train", "pairs_image", "pairs_difference", "pairs_mask")


@dataclass(frozen=True)
class PackedDataset:
    """Arrays (memory maps) and indices of a packed dataset; see the module for shapes."""

    train: np.ndarray
    train_index: pd.DataFrame
    pairs_image: np.ndarray
    pairs_difference: np.ndarray
    pairs_mask: np.ndarray
    pairs_index: pd.DataFrame

    @classmethod
    def open(cls, folder: Path) -> "PackedDataset":
        """Map the arrays of `folder` into memory, read only."""
        folder = Path(folder)
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
        return cls(
            train_index=pd.read_parquet(folder / "train.parquet"),
            pairs_index=pd.read_parquet(folder / "pairs.parquet"),
            **arrays,
        )


def write_array(path: Path, images: Iterable[np.ndarray], count: int, dtype: str) -> None:
    """Write `count` images of one shape into one ``.npy`` file, one at a time.

    Memory stays at one image, so that thousands of volumes can be packed.

    Raises
    ------
    ValueError
        If the images differ in shape or their number is not `count`.
    """
    array = None
    written = 0
    for image in images:
        if array is None:
            shape = (count, *image.shape)
            array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        if image.shape != array.shape[1:]:
            raise ValueError(f"{path.name}: image of {image.shape} among {array.shape[1:]}")
        array[written] = image
        written += 1
    if array is None or written != count:
        raise ValueError(f"{path.name}: {written} images where {count} were announced")
    array.flush()
