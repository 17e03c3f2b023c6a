"""The ceiling of the scores: the demonstration's true deformation as an explanation.

The field that the simulation applied lives in the space of the raw images. It is carried through
the same geometry as the images, then deforms x1 as a generator's field would (Eq. 1). What keeps
its score below 1 is what no method can know: noise, contrast, interpolation and registration.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.affines import apply_affine
from scipy.ndimage import map_coordinates

from pipeline.dataset.packed import PackedDataset
from pipeline.method.ncc import masked_ncc
from pipeline.score.scored import TRUE_DEFORMATION
from pipeline.score.specificity import Evidence, ncc_of_others, pairs_of_others
from pipeline.stage import layout
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_parquet

NO_SEED = -1
KINDS = ("total", "disease")


def field_on_grid(
    field: np.ndarray, field_affine: np.ndarray, to_raw: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """Carry a displacement field from the raw image's space to the grid of the networks.

    With `W` = `to_raw` and the true field `u`, ``phi(p) = W^-1(W(p) + u(W(p))) - p``.

    Parameters
    ----------
    field
        Array (*field grid, D); displacements in raw coordinates.
    field_affine
        (D+1, D+1), index of the field's grid to raw coordinates.
    to_raw
        (D+1, D+1), array index of the networks' grid to raw coordinates.
    shape
        The networks' grid.

    Returns
    -------
    numpy.ndarray
        phi (D, *shape) float32 in voxels; channel 0 along the last array axis.
    """
    dimension = len(shape)
    points = np.moveaxis(np.indices(shape, dtype=float), 0, -1)
    where = apply_affine(np.linalg.inv(field_affine) @ to_raw, points)
    # The outermost value goes on outside: a coarse grid ends before the last raw pixel does.
    raw = np.stack(
        [
            map_coordinates(field[..., axis], np.moveaxis(where, -1, 0), order=1, mode="nearest")
            for axis in range(dimension)
        ],
        axis=-1,
    )
    phi = raw @ np.linalg.inv(to_raw[:dimension, :dimension]).T
    return np.moveaxis(phi[..., ::-1], -1, 0).astype(np.float32)


def _read_field(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Field (*grid, D) and affine (D+1, D+1) of a true field of D dimensions."""
    if not path.is_file():
        raise InputError(f"{path} is missing: make the demonstration again")
    image = nib.load(path)
    field = np.asarray(image.dataobj, np.float64)
    dimension = field.shape[-1]
    if dimension == 2:
        kept = [0, 1, 3]
        return field[:, :, 0, 0], image.affine[np.ix_(kept, kept)]
    return field[:, :, :, 0], image.affine


class Pair(Protocol):
    """A row of `PackedDataset.pairs_index`."""

    row: int
    subject: str
    split: str
    baseline: str
    followup: str


@dataclass(frozen=True)
class TrueField:
    """True displacement fields of one test pair, on the networks' grid.

    Attributes
    ----------
    pair
        Row of the index of pairs.
    fields
        phi (D, *shape) in voxels by kind, as of `pipeline.method.deformation.warp`: ``total``
        undoes the disease and the ageing, ``disease`` the disease alone.
    to_mm
        (D, D), displacements in voxels along the array axes to mm of the raw image.
    """

    pair: Pair
    fields: dict[str, np.ndarray]
    to_mm: np.ndarray


def true_fields(packed: PackedDataset, truth: Path) -> Iterator[TrueField]:
    """Carry the true fields of the test pairs to the networks' grid, one pair at a time.

    Parameters
    ----------
    packed
        Data set.
    truth
        Folder of the true fields.

    Raises
    ------
    InputError
        If a field is missing.
    """
    shape = packed.pairs_image.shape[1:]
    index, where = packed.pairs_index, packed.geometry
    for pair in index[index["split"] == "test"].itertuples():
        to_raw = where.to_raw[pair.row]
        fields = {}
        for kind in KINDS:
            path = layout.true_field(truth, pair.subject, pair.followup, kind)
            fields[kind] = field_on_grid(*_read_field(path), to_raw, shape)
        yield TrueField(pair, fields, to_raw[:-1, :-1] * where.raw_mm[pair.row])


def score_truth(packed: Path, truth: Path, destination: Path, *, dataset: str) -> None:
    """Score the true deformation on the test pairs, as `score_model` does with a generator's.

    Parameters
    ----------
    packed
        Packed data set.
    truth
        Folder of the true fields.
    destination
        Table written (Parquet): columns `SCORE_COLUMNS` and ``field``, which is ``total`` or
        ``disease``.
    dataset
        What the rows are to say.

    Raises
    ------
    InputError
        If a field is missing.
    """
    data = PackedDataset.open(packed)
    found = list(true_fields(data, truth))
    index = data.pairs_index
    chosen = set(pairs_of_others(index[index["split"] == "test"])["row"])
    others = {
        kind: [
            Evidence(true.pair.subject, true.fields[kind])
            for true in found
            if true.pair.row in chosen
        ]
        for kind in KINDS
    }
    rows = []
    for true in found:
        pair = true.pair
        image, observed, mask = data.pair(pair.row)
        for kind, phi in true.fields.items():
            predicted = Evidence(pair.subject, phi).on(image)
            rows.append(
                {
                    "dataset": dataset,
                    "method": TRUE_DEFORMATION,
                    "seed": NO_SEED,
                    "subject": pair.subject,
                    "baseline": pair.baseline,
                    "followup": pair.followup,
                    "ncc": masked_ncc(observed, predicted, mask),
                    "ncc_other": ncc_of_others(others[kind], pair.subject, image, observed, mask),
                    "field": kind,
                }
            )
    write_parquet(pd.DataFrame(rows), destination)
