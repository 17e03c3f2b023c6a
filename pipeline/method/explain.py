"""Trained generators: saving, loading, and explaining images with them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipeline.dataset.packed import PackedDataset
from pipeline.method.generator import Generator, load_reference_weights
from pipeline.method.ncc import masked_ncc
from pipeline.stage.errors import InputError
from pipeline.stage.files import atomic_path

ARCHITECTURE = "generator"  # key of the file's metadata

NOT_DIAGNOSTIC = (
    "Research software, not a diagnostic device: it shows how a network would change this image, "
    "not what the patient has. The model takes every image for a diseased one, and nothing here "
    "has been validated for decisions about patients."
)


def save_generator(architecture: dict, weights: dict[str, Tensor], path: Path) -> None:
    """Write weights as safetensors, with the arguments of `Generator` as metadata."""
    with atomic_path(path) as temporary:
        metadata = {ARCHITECTURE: json.dumps(architecture)}
        save_file({name: w.contiguous() for name, w in weights.items()}, temporary, metadata)


def load_generator(path: Path, device: str | torch.device = "cpu") -> Generator:
    """Read a generator that `save_generator` wrote, in evaluation mode.

    Raises
    ------
    InputError
        If the file is not one.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        generator = Generator(**json.loads(metadata[ARCHITECTURE]))
    except (OSError, SafetensorError, KeyError) as error:
        raise InputError(f"{path} is not a generator that this pipeline trained") from error
    load_reference_weights(generator, weights)
    return generator.to(device).eval()


@torch.no_grad()
def explain_images(
    generator: Generator, images: np.ndarray, batch_size: int = 8
) -> tuple[np.ndarray, np.ndarray]:
    """Explain diseased images, in evaluation mode.

    Parameters
    ----------
    generator : Generator
    images : array, shape (N, *spatial)
        Diseased images x1, scaled to [-1, 1].

    Returns
    -------
    xhat0 : array, shape (N, *spatial)
        The images without the disease.
    change : array
        DeFI-GAN: the displacement fields, (N, d, *spatial), in voxels, channel 0 along the last
        array axis. VA-GAN: the difference maps, (N, *spatial).
    """
    generator.eval()
    device = next(generator.parameters()).device
    modified, changes = [], []
    for start in range(0, len(images), batch_size):
        batch = np.array(images[start : start + batch_size], dtype=np.float32)
        xhat0, change = generator(torch.from_numpy(batch).unsqueeze(1).to(device))
        modified.append(xhat0.squeeze(1).cpu().numpy())
        changes.append((change if generator.method == "defi-gan" else change.squeeze(1)).cpu())
    return np.concatenate(modified), np.concatenate(changes)


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
        DeFI-GAN: the field phi of Eq. 1 in voxels, channel 0 along the last array axis. VA-GAN has
        none.
    """

    image: np.ndarray
    modified: np.ndarray
    displacement: np.ndarray | None

    @property
    def difference(self) -> np.ndarray:
        """What the model changes, xhat0 - x1, shape (*spatial)."""
        return self.modified - self.image


def explain_image(model: Generator | str | Path, image: np.ndarray) -> ImageExplanation:
    """Explain one prepared image.

    Parameters
    ----------
    model
        Trained generator, or its file (``generator.safetensors``).
    image : array, shape (*spatial)
        A film or volume as the stages prepare it: on the grid of the training, in [-1, 1].

    Raises
    ------
    InputError
        If the file is no generator, or the image does not suit it.

    Examples
    --------
    A generator as it is before its training (in earnest, give the file of a trained one):

    >>> import numpy as np, torch
    >>> from pipeline.method import Generator, explain_image
    >>> _ = torch.manual_seed(0)
    >>> model = Generator(dimensions=2, method="defi-gan", base_filters=4, poolings=2)
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
    generator = model if isinstance(model, Generator) else load_generator(Path(model))
    image = np.asarray(image, dtype=np.float32)
    if image.ndim != generator.dimensions:
        raise InputError(
            f"the image has {image.ndim} dimensions, the model explains {generator.dimensions}"
        )
    if not np.isfinite(image).all() or np.abs(image).max() > 1:
        raise InputError("the image is not scaled to [-1, 1]; prepare it as for the training")
    xhat0, change = explain_images(generator, image[None])
    displacement = change[0] if generator.method == "defi-gan" else None
    return ImageExplanation(image, xhat0[0], displacement)


def score_pairs(
    generator: Generator,
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
    for row in pairs["row"]:
        image = packed.pairs_image[row]
        xhat0, _ = explain_images(generator, image[None])
        scores.append(
            masked_ncc(packed.pairs_difference[row], xhat0[0] - image, packed.pairs_mask[row])
        )
        after_each()
    return pairs.assign(ncc=np.array(scores, dtype=float))
