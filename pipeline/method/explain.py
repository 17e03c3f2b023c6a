"""Fitted models: saving, loading, and explaining images with them."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pipeline.dataset.packed import PackedDataset
from pipeline.method.interface import Explainer
from pipeline.method.ncc import masked_ncc
from pipeline.method.registry import find_method
from pipeline.method.unet import load_reference_weights
from pipeline.stage.errors import InputError
from pipeline.stage.files import atomic_path

ARCHITECTURE = "generator"  # key of the file's metadata

NOT_DIAGNOSTIC = (
    "Research software, not a diagnostic device: it shows how a network would change this image, "
    "not what the patient has. The model takes every image for a diseased one, and nothing here "
    "has been validated for decisions about patients."
)


def save_model(
    architecture: Mapping[str, object], weights: Mapping[str, Tensor], path: Path
) -> None:
    """Write a fitted model as safetensors.

    Parameters
    ----------
    architecture
        ``method``, by which its weights are understood, and what else the method's `build` needs.
    weights
        Tensors by name.
    path
        File written.
    """
    write_weights(weights, path, {ARCHITECTURE: json.dumps(dict(architecture))})


def write_weights(
    weights: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write named weights and texts about them to a safetensors file."""
    tensors = {name: weight.contiguous() for name, weight in weights.items()}
    with atomic_path(path) as temporary:
        # Not by its own way to a file, whose errors do not tell that the disk is full.
        temporary.write_bytes(save(tensors, metadata))


def assemble_model(architecture: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Explainer:
    """A fitted model in evaluation mode; arguments as of `save_model`.

    Raises
    ------
    InputError
        If the method is not registered, or its model has other weights.
    """
    model = _build(architecture)
    load_reference_weights(model, weights)
    return model.eval()


def _build(architecture: Mapping[str, Any]) -> Explainer:
    arguments = {name: value for name, value in architecture.items() if name != "method"}
    return find_method(architecture["method"]).build(**arguments)


def load_model(path: Path, device: str | torch.device = "cpu") -> Explainer:
    """Read a model that `save_model` wrote, in evaluation mode.

    Raises
    ------
    InputError
        If the file is not one, or its method is not registered.
    """
    return assemble_model(*_read(path)).to(device)


def load_untrained(path: Path, seed: int, device: str | torch.device = "cpu") -> Explainer:
    """A model as `load_model` reads it, but with the first, random weights of its architecture.

    Raises
    ------
    InputError
        As of `load_model`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _build(_read(path)[0]).eval().to(device)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not Path(path).is_file():
        raise InputError(
            f"there is no file {path}; trained models are called "
            "results/{dataset}/models/{method}/seed-{seed}/generator.safetensors"
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return json.loads(metadata[ARCHITECTURE]), weights
    except (OSError, SafetensorError, KeyError) as error:
        raise InputError(f"{path} is not a model that this pipeline trained") from error


@torch.no_grad()
def explain_images(
    model: Explainer, images: np.ndarray, batch_size: int = 8
) -> tuple[np.ndarray, np.ndarray | None]:
    """Explain diseased images, in evaluation mode.

    Parameters
    ----------
    model
        Fitted model.
    images : array, shape (N, *spatial)
        Diseased images x1, prepared as for its training.

    Returns
    -------
    modified : array, shape (N, *spatial)
        The images without the disease, xhat0.
    displacement : array, shape (N, d, *spatial), or None
        The fields phi of Eq. 1 in voxels, channel 0 along the last array axis; None of a method
        that does not deform.
    """
    model.eval()
    weights = chain(model.parameters(), model.buffers())
    device = next((weight.device for weight in weights), torch.device("cpu"))
    modified, fields = [], []
    for start in range(0, len(images), batch_size):
        batch = np.array(images[start : start + batch_size], dtype=np.float32)
        explanation = model(torch.from_numpy(batch).unsqueeze(1).to(device))
        modified.append(explanation.modified.squeeze(1).cpu().numpy())
        if explanation.displacement is not None:
            fields.append(explanation.displacement.cpu().numpy())
    return np.concatenate(modified), np.concatenate(fields) if fields else None


@dataclass(frozen=True)
class ImageExplanation:
    """What a model sees of the disease in one image.

    Attributes
    ----------
    image : array, shape (*spatial)
        The diseased image x1, in [-1, 1].
    modified : array, shape (*spatial)
        The image without the disease, xhat0.
    displacement : array, shape (d, *spatial), or None
        The field phi of Eq. 1 in voxels, channel 0 along the last array axis; None of a method that
        does not deform.
    """

    image: np.ndarray
    modified: np.ndarray
    displacement: np.ndarray | None

    @property
    def difference(self) -> np.ndarray:
        """What the model changes, xhat0 - x1, shape (*spatial)."""
        return self.modified - self.image


def explain_prepared(model: Explainer, image: np.ndarray) -> ImageExplanation:
    """Explain one image (*spatial) as it is, such as one of a packed data set."""
    return explain_each(model, image[None])[0]


def explain_each(model: Explainer, images: np.ndarray) -> list[ImageExplanation]:
    """Explain images (N, *spatial) as they are, together."""
    modified, fields = explain_images(model, images)
    displacements = [None] * len(images) if fields is None else fields
    return [ImageExplanation(*each) for each in zip(images, modified, displacements, strict=True)]


def explain_image(model: Explainer | str | Path, image: np.ndarray) -> ImageExplanation:
    """Explain one prepared image.

    Parameters
    ----------
    model
        Fitted model, or its file (``generator.safetensors``).
    image : array, shape (*spatial)
        A film or volume as the stages prepare it: on the grid of the training, in [-1, 1].

    Raises
    ------
    InputError
        If the file is no model, or the image does not suit it.

    Examples
    --------
    A generator as it is before its training (in earnest, give the file of a trained one):

    >>> import numpy as np, torch
    >>> from pipeline.method.explain import explain_image
    >>> from pipeline.method.generator import Generator
    >>> from pipeline.method.registry import reference_method
    >>> _ = torch.manual_seed(0)
    >>> name = reference_method().name
    >>> model = Generator(dimensions=2, method=name, base_filters=4, poolings=2)
    >>> rows, columns = np.mgrid[-1:1:32j, -1:1:32j]
    >>> film = np.where(rows**2 + columns**2 < 0.5, 1, -1)
    >>> explanation = explain_image(model, film)
    >>> explanation.displacement.shape  # along the columns, along the rows
    (2, 32, 32)
    >>> explanation.modified.shape
    (32, 32)
    >>> bool(np.abs(explanation.difference).max() < 2)
    True
    """
    explainer = load_model(Path(model)) if isinstance(model, str | Path) else model
    image = np.asarray(image, dtype=np.float32)
    if image.ndim != explainer.dimensions:
        raise InputError(
            f"the image has {image.ndim} dimensions, the model explains {explainer.dimensions}"
        )
    if not np.isfinite(image).all() or np.abs(image).max() > 1:
        raise InputError("the image is not scaled to [-1, 1]; prepare it as for the training")
    return explain_prepared(explainer, image)


def explain_pairs(
    model: Explainer, packed: PackedDataset, split: str
) -> Iterator[tuple[int, ImageExplanation]]:
    """Explain the pairs of one split: the row of each, and its explanation."""
    index = packed.pairs_index
    rows = index.loc[index["split"] == split, "row"].to_numpy()
    # Two at a time: of one small volume PyTorch takes ten times as long on a single core, by
    # another convolution. All of them would not fit into memory at the size of the paper.
    for start in range(0, len(rows), 2):
        two = rows[start : start + 2]
        yield from zip(two, explain_each(model, packed.pairs_image[two]), strict=True)


def score_pairs(
    model: Explainer,
    packed: PackedDataset,
    split: str,
    after_each: Callable[[], None] = lambda: None,
) -> pd.DataFrame:
    """Score the explanations of one split against the observed differences.

    `after_each` is called after each pair.

    Returns
    -------
    DataFrame
        The split's rows of ``packed.pairs_index`` with a column ``ncc`` more (Eq. 7). Only a few
        images are in memory at a time.
    """
    index = packed.pairs_index
    pairs = index[index["split"] == split].reset_index(drop=True)
    scores = []
    for row, explanation in explain_pairs(model, packed, split):
        scores.append(
            masked_ncc(packed.pairs_difference[row], explanation.difference, packed.pairs_mask[row])
        )
        after_each()
    return pairs.assign(ncc=np.array(scores, dtype=float))
