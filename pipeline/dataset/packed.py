"""The packed dataset: memory-mapped arrays that training and scoring read.

A folder with

- ``train.npy`` (N, *shape) float32, the training images, and ``train.parquet`` (row, subject,
  session, label);
- ``pairs_image.npy`` (P, *shape) float32, the diseased image x1 of each evaluation pair,
  ``pairs_difference.npy`` (P, *shape) float32, the observed difference (registered healthy image
  minus x1), ``pairs_mask.npy`` (P, *shape) bool, where that difference counts, and
  ``pairs.parquet`` (row, subject, split, baseline, followup, and a warning where the registration
  is doubtful, else ``""``);
- ``contents.parquet`` (subject, session, content), the `content_hash` of every image of people that
  is used: of a scan as it is, of a film as it is prepared;
- ``geometry.npz``, where the diseased images of the pairs lie: the arrays of `Geometry`.

Training films may be larger than those of the pairs: they have the size of the preparation and are
cropped at random, where the pairs are cropped to their centre. Whoever reads this folder needs
neither raw nor prepared images.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.stage.files import atomic_directory

ARRAYS = ("train", "pairs_image", "pairs_difference", "pairs_mask")
GEOMETRY = "geometry.npz"
CONTENTS = "contents.parquet"


@dataclass(frozen=True)
class Geometry:
    """Where the images of pairs lie, P of D dimensions: on their common grid and in the raw images.

    Attributes
    ----------
    affine
        (D+1, D+1) float64, array index to the mm of a space that all images share: the template's,
        RAS. Films and made images share none; theirs is the identity.
    to_raw
        (P, D+1, D+1) float64, array index to coordinates of the raw image: RAS mm of a scan,
        (column, row) of a film.
    raw_shape
        (P, D) int, of the raw arrays: rows and columns of a film, voxels of a scan along its axes
        once it is turned to RAS.
    raw_mm
        (P,) float64, mm of one unit of the raw coordinates: 1 for scans, the size of a pixel at the
        detector for films; NaN if unknown.
    pixel_mm
        (P,) float64, side of a pixel or voxel of the grid in mm, in the template's space or at the
        detector; NaN if unknown.
    """

    affine: np.ndarray
    to_raw: np.ndarray
    raw_shape: np.ndarray
    raw_mm: np.ndarray
    pixel_mm: np.ndarray

    @classmethod
    def of_made_images(cls, count: int, shape: tuple[int, ...]) -> "Geometry":
        """Of images that come from nowhere: each is its own raw image, of unknown size."""
        same, unknown = np.eye(len(shape) + 1), np.full(count, np.nan)
        return cls(
            affine=same,
            to_raw=np.tile(same, (count, 1, 1)),
            raw_shape=np.tile(shape, (count, 1)),
            raw_mm=unknown,
            pixel_mm=unknown,
        )

    @classmethod
    def read(cls, folder: Path) -> "Geometry":
        """Read the geometry of a packed folder."""
        with np.load(folder / GEOMETRY) as arrays:
            return cls(**arrays)

    def write(self, folder: Path) -> None:
        """Write it into a packed folder."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        np.savez(folder / GEOMETRY, **arrays)


@dataclass(frozen=True)
class PackedDataset:
    """Arrays (memory maps), indices and geometry of a packed dataset; see the module for shapes."""

    train: np.ndarray
    train_index: pd.DataFrame
    pairs_image: np.ndarray
    pairs_difference: np.ndarray
    pairs_mask: np.ndarray
    pairs_index: pd.DataFrame
    geometry: Geometry

    @classmethod
    def open(cls, folder: Path) -> "PackedDataset":
        """Map the arrays of `folder` into memory, read only."""
        folder = Path(folder)
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
        return cls(
            train_index=pd.read_parquet(folder / "train.parquet"),
            pairs_index=pd.read_parquet(folder / "pairs.parquet"),
            geometry=Geometry.read(folder),
            **arrays,
        )

    def pair(self, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Diseased image, observed difference, and mask of where it counts, of a pair."""
        return self.pairs_image[row], self.pairs_difference[row], self.pairs_mask[row]


def write_array(path: Path, images: Iterable[np.ndarray], count: int, dtype: str) -> None:
    """Write `count` images of one shape into one ``.npy`` file, one at a time.

    Memory stays at one image, so that thousands of volumes can be packed.

    Raises
    ------
    ValueError
        If the images differ in shape or their number is not `count`.
    """
    # Not through a memory map: where the disk is full, that kills the process.
    shape: tuple[int, ...] = ()
    written = 0
    with path.open("wb") as file:
        for image in images:
            if not written:
                shape = image.shape
                header = {"descr": np.dtype(dtype).str, "fortran_order": False}
                np.lib.format.write_array_header_1_0(file, header | {"shape": (count, *shape)})
            if image.shape != shape:
                raise ValueError(f"{path.name}: image of {image.shape} among {shape}")
            file.write(np.ascontiguousarray(image, dtype).data)
            written += 1
    if written != count or not count:
        raise ValueError(f"{path.name}: {written} images where {count} were announced")


def write_made_images(
    destination: Path,
    train: Iterable[np.ndarray],
    labels: Sequence[int],
    pairs: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    splits: Sequence[str],
) -> None:
    """Pack images that are made and come from no archive; each subject is in one split.

    Parameters
    ----------
    destination
        Folder written.
    train, labels
        Training images (*shape), taken one at a time, and the label of each.
    pairs, splits
        Diseased image, observed difference, and mask of where that counts, each (*shape); and the
        split of each pair.
    """
    with atomic_directory(destination) as folder:
        write_array(folder / "train.npy", train, len(labels), "float32")
        images, changes, masks = zip(*pairs, strict=True)
        write_array(folder / "pairs_image.npy", images, len(pairs), "float32")
        write_array(folder / "pairs_difference.npy", changes, len(pairs), "float32")
        write_array(folder / "pairs_mask.npy", masks, len(pairs), "bool")
        Geometry.of_made_images(len(pairs), images[0].shape).write(folder)
        index = pd.DataFrame({"row": range(len(labels))})
        index["subject"] = [f"train{row}" for row in index["row"]]
        index = index.assign(session="1", label=labels)
        index.to_parquet(folder / "train.parquet", index=False)
        index = pd.DataFrame({"row": range(len(pairs)), "split": splits})
        index["subject"] = [f"{split}{row}" for row, split in enumerate(splits)]
        index = index.assign(baseline="healthy", followup="diseased", warning="")
        columns = ["row", "subject", "split", "baseline", "followup", "warning"]
        index[columns].to_parquet(folder / "pairs.parquet", index=False)
