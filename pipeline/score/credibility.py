"""What makes an explanation credible: each a number of a pair, a column of ``credibility.csv``.

`pipeline.score.credibility_table` says what each means and where it comes from.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array, vstack
from sklearn.metrics import average_precision_score

from pipeline.brain.atlas import GROUPS, region_shares
from pipeline.dataset.packed import PackedDataset
from pipeline.geometry.diffeomorphism import jacobian_determinant
from pipeline.method.explain import explain_images, load_model, load_untrained
from pipeline.method.interface import Explainer
from pipeline.method.ncc import masked_ncc
from pipeline.method.registry import find_method
from pipeline.method.training.device import choose_device
from pipeline.score.classifier import train_classifier
from pipeline.score.field_error import DISEASED_SHARE
from pipeline.score.judges import Judges, mean_auc, validity
from pipeline.score.model import PAIR
from pipeline.score.scored import JUDGES, TRUE_DEFORMATION
from pipeline.score.specificity import Evidence
from pipeline.score.truth import NO_SEED, true_fields
from pipeline.stage.files import write_parquet

STILL_SHARE = 0.05  # of the largest true displacement, below which a place is still
UNCHANGED = 0.02  # a hundredth of the images' range, -1 to 1
FIRST_JUDGE = 1000  # seeds that no model and no other classifier has
TILES = 4  # regions along each axis of images without an atlas

LEAST_GROWTH = 1e-6  # what differs less between regions is the same everywhere
PRECISION = 5  # decimals of a change; what is smaller is rounding in 32 bits

NAN = float("nan")


def of_size(change: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """How large a change is.

    Parameters
    ----------
    change, mask : array, shape (*spatial)
        Modified minus diseased image, and where it counts.

    Returns
    -------
    dict
        ``proximity``, the mean absolute change, on the images' scale of -1 to 1, and ``sparsity``,
        the share that changes by less than `UNCHANGED`.
    """
    size = np.abs(change[mask])
    return {"proximity": float(size.mean()), "sparsity": float((size < UNCHANGED).mean())}


def of_place(change: np.ndarray, true: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Whether a change lies where the disease truly is.

    Parameters
    ----------
    change, mask
        As of `of_size`.
    true : array, shape (d, *spatial)
        Field that undoes the disease, in voxels.

    Returns
    -------
    dict
        ``auprc``, of the absolute change against the region where the true displacement is at least
        half its largest; ``pointing_game``, the share of the places of the largest change that lie
        in it: 0 or 1 unless there are several; ``prevalence``, its share of the mask;
        ``still_share``, how much of the change lies where the true displacement is below a
        twentieth of its largest; and ``still_prevalence``, the share of the mask that does.
    """
    size, length = np.abs(change[mask]).astype(float), np.linalg.norm(true, axis=0)[mask]
    region = length >= DISEASED_SHARE * length.max()
    still = length < STILL_SHARE * length.max()
    return {
        "auprc": float(average_precision_score(region, size)),
        "pointing_game": float(region[size == size.max()].mean()),
        "prevalence": float(region.mean()),
        "still_share": float(size[still].sum() / size.sum()) if size.any() else NAN,
        "still_prevalence": float(still.mean()),
    }


def of_field(
    phi: np.ndarray,
    mask: np.ndarray,
    true: np.ndarray | None = None,
    regions: csr_array | None = None,
) -> dict[str, float]:
    """What only a displacement field has.

    Parameters
    ----------
    phi, true : array, shape (d, *spatial)
        Predicted and true field in voxels, as of `pipeline.method.deformation.warp`.
    mask : array, shape (*spatial)
    regions : csr_array, shape (regions, voxels)
        How much each voxel belongs to each.

    Returns
    -------
    dict
        ``folding_percent``, the share of the mask with a Jacobian determinant that is not positive;
        with a truth ``endpoint_error_px``; and with regions, too, ``volume_correlation``, that of
        predicted and true change of volume over the regions inside the mask: not a number where
        either is the same everywhere.
    """
    growth = jacobian_determinant(phi[::-1]) - 1
    row = {"folding_percent": float(100 * (growth[mask] <= -1).mean())}
    if true is not None:
        row["endpoint_error_px"] = float(np.linalg.norm(phi - true, axis=0)[mask].mean())
    if true is not None and regions is not None:
        sizes = regions @ mask.ravel().astype(float)
        there = sizes > 0
        grown = (growth, jacobian_determinant(true[::-1]) - 1)
        changes = [(regions @ (each * mask).ravel())[there] / sizes[there] for each in grown]
        known = len(changes[0]) > 1 and min(map(np.ptp, changes)) > LEAST_GROWTH
        row["volume_correlation"] = float(np.corrcoef(changes)[0, 1]) if known else NAN
    return row


def atlas(affine: np.ndarray, shape: tuple[int, ...]) -> csr_array:
    """Regions of a brain, left and right; arguments as of `pipeline.brain.atlas.region_shares`."""
    shares = region_shares(affine, shape).items()
    rows = [csr_array(share.reshape(1, -1)) for name, share in shares if name not in GROUPS]
    return vstack(rows, format="csr")


def tiles(shape: tuple[int, ...]) -> csr_array:
    """Regions of images without an atlas: `TILES` along each axis."""
    where = [np.arange(size) * TILES // size for size in shape]
    number = np.ravel_multi_index(np.meshgrid(*where, indexing="ij"), (TILES,) * len(shape))
    return csr_array(np.arange(TILES ** len(shape))[:, None] == number.ravel(), dtype=float)


def seed_agreement(changes: Mapping[int, np.ndarray], seed: int, mask: np.ndarray) -> float:
    """Mean NCC of a seed's change with those of the other seeds; not a number without others."""
    others = [masked_ncc(changes[seed], c, mask) for other, c in changes.items() if other != seed]
    return float(np.mean(others)) if others else NAN


def explained(
    model: Explainer, image: np.ndarray, healthy: np.ndarray, mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None, dict[str, float]]:
    """Explain a diseased image; with what a second look at the model tells.

    Parameters
    ----------
    model
        Fitted model.
    image, healthy, mask : array, shape (*spatial)
        Diseased image, the subject's healthy one, and where they count.

    Returns
    -------
    change : array, shape (*spatial)
        Modified minus diseased image.
    phi : array, shape (d, *spatial), or None
    row : dict
        ``composition``, the mean absolute change of the healthy image, and ``idempotence``, the
        mean absolute change of the modified image over that of the diseased one.
    """
    both = np.stack([image, healthy])
    modified, fields = explain_images(model, both)
    again, _ = explain_images(model, modified[:1])
    first, unwanted = np.abs(_change(both, modified)[:, mask]).mean(axis=1)
    second = np.abs(_change(modified[0], again[0])[mask]).mean()
    row = {"composition": float(unwanted), "idempotence": float(second / first) if first else NAN}
    return _change(image, modified[0]), None if fields is None else fields[0], row


def _change(image: np.ndarray, modified: np.ndarray) -> np.ndarray:
    return np.round((modified - image).astype(float), PRECISION)


def measure_credibility(
    packed: Path,
    generators: Iterable[tuple[str, int, Path]],
    destination: Path,
    *,
    dataset: str,
    modality: str,
    classifier: Mapping[str, int],
    truth: Path | None = None,
    device: str = "auto",
) -> None:
    """Measure the explanations of the test pairs.

    Parameters
    ----------
    packed
        Packed data set.
    generators
        Method, seed and file of each model.
    destination
        Table written (Parquet): dataset, method, seed, subject, baseline, followup and the columns
        of `of_size`, `of_place`, `of_field`, `explained`, ``ncc`` (Eq. 7), ``seed_agreement``,
        ``validity``, ``judge_auc``, ``true_length_px``, and of a generator with random weights
        ``random_weights_ncc`` and ``random_weights_similarity``, its NCC with the observed change
        and with the trained one's. In a demonstration the true deformation is measured, too.
    dataset
        What the rows are to say.
    modality
        ``brain`` has the regions of the atlas; other images are cut into tiles.
    classifier
        Settings of the judges: base_filters, batch_size and updates.
    truth
        Folder of a demonstration's true fields.
    device
        ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    InputError
        If a true field is missing, a file is no model, or there is no such device.
    """
    data, where = PackedDataset.open(packed), choose_device(device)
    seeds = range(FIRST_JUDGE, FIRST_JUDGE + JUDGES)
    judges = Judges(
        (train_classifier(data, seed=seed, device=where, **classifier) for seed in seeds), where
    )
    index = data.pairs_index
    known = [data.pair(row) for row in index.loc[index["split"] == "validation", "row"]]
    # One image at a time: those of a large study do not fit in memory.
    judges.set_thresholds((ill for ill, *_ in known), (ill + change for ill, change, _ in known))
    models = {
        (method, seed): (
            load_model(path, where),
            None if find_method(method).baseline else load_untrained(path, seed, where),
        )
        for method, seed, path in generators
    }
    shape = data.pairs_image.shape[1:]
    regions = None
    if truth is not None:
        regions = atlas(data.geometry.affine, shape) if modality == "brain" else tiles(shape)
    truths = {} if truth is None else {t.pair.row: t for t in true_fields(data, truth)}

    rows: list[dict[str, Any]] = []
    ill, well = [], []  # logits of the judges
    for pair in index[index["split"] == "test"].itertuples():
        image, observed, mask = map(np.array, data.pair(pair.row))
        names = {"dataset": dataset, **{key: getattr(pair, key) for key in PAIR}}
        ill.append(judges.diseased(image))
        well.append(judges.diseased(image + observed))
        found: dict[tuple[str, int], tuple[np.ndarray, np.ndarray | None, dict[str, float]]] = {}
        for fit, (model, untrained) in models.items():
            change, phi, row = explained(model, image, image + observed, mask)
            if untrained is not None:
                random = _change(image, explain_images(untrained, image[None])[0][0])
                row["random_weights_ncc"] = masked_ncc(observed, random, mask)
                row["random_weights_similarity"] = masked_ncc(change, random, mask)
            found[fit] = change, phi, row
        true = truths[pair.row].fields["disease"] if truths else None
        if true is not None:
            change = _change(image, image + Evidence(pair.subject, true).on(image))
            found[TRUE_DEFORMATION, NO_SEED] = change, true, {}
        for (method, seed), (change, phi, row) in found.items():
            same = {s: of_other[0] for (m, s), of_other in found.items() if m == method}
            row |= {"ncc": masked_ncc(observed, change, mask), **of_size(change, mask)}
            row["seed_agreement"] = seed_agreement(same, seed, mask)
            row["validity"] = validity(ill[-1], judges.diseased(image + change))
            if true is not None:
                row |= of_place(change, true, mask)
                row["true_length_px"] = float(np.linalg.norm(true, axis=0)[mask].mean())
            if phi is not None:
                row |= of_field(phi, mask, true, regions)
            rows.append({**names, "method": method, "seed": seed, **row})
    write_parquet(pd.DataFrame(rows).assign(judge_auc=mean_auc(ill, well)), destination)
