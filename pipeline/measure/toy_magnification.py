"""The score of magnifying every toy square to one healthy side: what a method must beat there.

Who knows that the disease is the size, and nothing of a pair's healthy side, can do no better.

``python -m pipeline.measure.toy_magnification results/toy/packed`` prints the row of docs/toy.md.
"""

import argparse
from pathlib import Path

import numpy as np

from pipeline.dataset.packed import PackedDataset
from pipeline.demo.toy_squares import BACKGROUND, place_square, scale_square
from pipeline.method.ncc import masked_ncc


def magnify(image: np.ndarray, side: int) -> np.ndarray:
    """The image (size, size) with its square resized to `side` pixels."""
    inside = (image != np.float32(BACKGROUND)).any(axis=0)
    (columns,) = inside.nonzero()
    square = slice(columns[0], columns[-1] + 1)
    return place_square(scale_square(image[square, square], side), len(image))


def magnification_scores(data: PackedDataset, split: str, side: int) -> np.ndarray:
    """NCC (Eq. 7) of the change to `side` pixels, a pair of the split each."""
    index = data.pairs_index
    return np.array(
        [
            masked_ncc(
                np.array(data.pairs_difference[row]),
                magnify(image := np.array(data.pairs_image[row]), side) - image,
                np.array(data.pairs_mask[row]),
            )
            for row in index.loc[index["split"] == split, "row"]
        ]
    )


def choose_side(data: PackedDataset) -> int:
    """The side, pixels, with the best mean NCC on the validation pairs."""
    size = data.pairs_image.shape[-1]
    sides = range(size // 2, size + 1)
    return max(sides, key=lambda side: magnification_scores(data, "validation", side).mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packed", type=Path, help="packed toy squares")
    data = PackedDataset.open(parser.parse_args().packed)
    side = choose_side(data)
    mean = magnification_scores(data, "test", side).mean()
    print(f"magnified to {side} pixels: NCC {mean:.3f} on the test pairs")
