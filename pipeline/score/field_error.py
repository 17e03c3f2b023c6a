"""Predicted displacement fields against the demonstration's true ones.

The truth is the field that undoes the disease alone: that is what a generator is asked for.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.brain.atlas import GROUPS, region_shares
from pipeline.dataset.packed import PackedDataset
from pipeline.geometry.diffeomorphism import jacobian_determinant
from pipeline.method.explain import explain_prepared, load_model
from pipeline.score.truth import true_fields
from pipeline.stage.files import write_csv, write_parquet

# Where the disease displaces by at least this share of its largest displacement, it is at work.
DISEASED_SHARE = 0.5
# Share of its volume by which a place must truly change to count as larger or smaller.
CHANGED = 0.05
# These hold both, which cancel: no share of the change of volume is told for them.
MIXED = ("everywhere", "diseased", "elsewhere")
# Nor for regions whose true change of volume is smaller, in per cent.
SMALLEST_CHANGE = 1.0
DECIMALS = 6


def compare_fields(
    predicted: np.ndarray, true: np.ndarray, weights: np.ndarray, to_mm: np.ndarray
) -> dict[str, float]:
    """Errors of a displacement field in a region.

    Parameters
    ----------
    predicted, true : array, shape (D, *spatial)
        phi in voxels, as of `pipeline.method.deformation.warp`.
    weights : array, shape (*spatial)
        How much each voxel counts, 0 to 1.
    to_mm : array, shape (D, D)
        Displacements in voxels along the array axes to mm.

    Returns
    -------
    dict
        Weighted means over the region: lengths of the true and the predicted displacement and of
        their difference (``endpoint_error``) in pixels and mm; ``angle_deg`` between the two,
        weighted by the true length, since a displacement of nothing has no direction; the change of
        volume by the disease, which the field undoes, in per cent of the healthy volume, true and
        predicted (the mean Jacobian determinant minus 1; positive: larger in the disease); and
        ``folding_percent``, the share with a Jacobian determinant that is not positive.
    """
    chosen = weights > 0
    weights = weights[chosen] / weights[chosen].sum()
    pairs = {"predicted": predicted[::-1], "true": true[::-1]}  # components along the array axes
    vectors = {name: field[:, chosen] for name, field in pairs.items()}
    in_mm = {name: to_mm @ vector for name, vector in vectors.items()}
    row = {}
    for unit, found in (("px", vectors), ("mm", in_mm)):
        lengths = {name: np.linalg.norm(vector, axis=0) for name, vector in found.items()}
        error = np.linalg.norm(found["predicted"] - found["true"], axis=0)
        row[f"true_length_{unit}"] = float(weights @ lengths["true"])
        row[f"predicted_length_{unit}"] = float(weights @ lengths["predicted"])
        row[f"endpoint_error_{unit}"] = float(weights @ error)
    product = lengths["predicted"] * lengths["true"]
    cosine = (in_mm["predicted"] * in_mm["true"]).sum(axis=0) / np.where(product > 0, product, 1)
    directed = weights * lengths["true"] * (product > 0)
    angles = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    row["angle_deg"] = float(directed @ angles / directed.sum()) if directed.any() else np.nan
    jacobians = {name: jacobian_determinant(field)[chosen] for name, field in pairs.items()}
    for name in ("true", "predicted"):
        row[f"{name}_volume_change_percent"] = float(100 * (weights @ jacobians[name] - 1))
    row["folding_percent"] = float(100 * weights[jacobians["predicted"] <= 0].sum())
    return row


def compare_with_truth(
    packed: Path,
    truth: Path,
    generators: Iterable[tuple[str, int, Path]],
    destination: Path,
    *,
    dataset: str,
    modality: str,
) -> None:
    """Compare the fields of models with the true ones on the test pairs.

    Parameters
    ----------
    packed, truth, dataset
        As of `pipeline.score.truth.score_truth`, which also tells the errors.
    generators
        Method, seed and file of each model; all of them of methods that deform.
    modality
        ``brain`` has the regions of the atlas, too.
    destination
        Table written (Parquet): dataset, method, seed, subject, baseline, followup, region and the
        columns of `compare_fields`. Regions are ``everywhere`` (the pair's mask), ``diseased``
        (where the disease displaces by at least half of its largest displacement), ``elsewhere``,
        where the disease truly adds or takes at least a twentieth of the volume (``larger in the
        disease``, ``smaller in the disease``), and for volumes the groups of the atlas.
    """
    data = PackedDataset.open(packed)
    models = [(method, seed, load_model(path)) for method, seed, path in generators]
    shares: dict[str, np.ndarray] = {}
    rows = []
    for true in true_fields(data, truth):
        pair, phi = true.pair, true.fields["disease"]
        image, mask = data.pairs_image[pair.row], np.array(data.pairs_mask[pair.row])
        if modality == "brain" and not shares:
            found = region_shares(data.geometry.affine, image.shape)
            shares = {name: found[name] for name in GROUPS}
        length = np.linalg.norm(phi, axis=0)
        diseased = length >= DISEASED_SHARE * length.max()
        regions = {"everywhere": mask, "diseased": mask & diseased, "elsewhere": mask & ~diseased}
        grown = jacobian_determinant(phi[::-1]) - 1
        regions |= {
            "larger in the disease": mask & (grown > CHANGED),
            "smaller in the disease": mask & (grown < -CHANGED),
        }
        regions |= {name: mask * share for name, share in shares.items()}
        for method, seed, model in models:
            predicted = explain_prepared(model, image).displacement
            if predicted is None:
                raise ValueError(f"{method} does not deform")
            names = {"dataset": dataset, "method": method, "seed": seed}
            names |= {key: getattr(pair, key) for key in ("subject", "baseline", "followup")}
            rows += [
                names
                | {"region": region}
                | compare_fields(predicted, phi, weights.astype(float), true.to_mm)
                for region, weights in regions.items()
                if weights.any()
            ]
    write_parquet(pd.DataFrame(rows), destination)


def make_truth_table(comparisons: Iterable[Path], destination: Path) -> None:
    """Average `compare_with_truth` over pairs, subjects and seeds.

    Parameters
    ----------
    comparisons
        Tables of `compare_with_truth`.
    destination
        CSV written: a row a data set, method and region, with the numbers of seeds and subjects,
        the means, and ``recovered_share``, the predicted over the true change of volume; empty
        where the true one is below one per cent or a region holds both growth and shrinkage.
    """
    frame = pd.concat([pd.read_parquet(path) for path in comparisons], ignore_index=True)
    keys = ["dataset", "method", "region"]
    measures = [c for c in frame if c not in (*keys, "seed", "subject", "baseline", "followup")]
    groups = frame.groupby(keys, sort=False)
    counts = groups.agg(seeds=("seed", "nunique"), subjects=("subject", "nunique"))
    by_subject = frame.groupby([*keys, "subject"], sort=False)[measures].mean()
    table = counts.join(by_subject.groupby(keys, sort=False).mean()).reset_index()
    true, predicted = (table[f"{name}_volume_change_percent"] for name in ("true", "predicted"))
    told = (true.abs() >= SMALLEST_CHANGE) & ~table["region"].isin(MIXED)
    table["recovered_share"] = (predicted / true).where(told)
    table.insert(1, "data", "demo")
    write_csv(table.round(DECIMALS), destination)
