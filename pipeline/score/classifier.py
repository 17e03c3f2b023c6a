"""Other explanations to compare with: attributions of a classifier of the same training images.

A small convolutional network learns to tell diseased from healthy images; Captum then attributes
its decision on each test pair's diseased image. An attribution is not a change of intensity, but
its sign can be read as one: the maps are those of the evidence *against* the disease, so that a
place that had better be brighter is positive, as in the observed difference (healthy minus
diseased).
Grad-CAM knows places only and its sign means nothing more than where.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from captum.attr import (
    GuidedBackprop,
    IntegratedGradients,
    LayerAttribution,
    LayerGradCam,
    Occlusion,
)
from torch import Tensor, nn

from pipeline.dataset.packed import PackedDataset
from pipeline.method.disease_classifier import Classifier
from pipeline.method.ncc import masked_ncc
from pipeline.method.training.batches import ClassBatches, training_images
from pipeline.method.training.device import choose_device
from pipeline.method.training.operations import count_operations
from pipeline.score.model import SCORE_COLUMNS
from pipeline.score.specificity import Evidence, ncc_of_others, pairs_of_others
from pipeline.stage.files import write_parquet

LEARNING_RATE = 1e-3
STEPS = 16  # of the integrated gradients
WINDOWS = 8  # occluded windows along each axis
BACKGROUND = -1.0


def train_classifier(
    packed: PackedDataset,
    *,
    seed: int,
    base_filters: int,
    batch_size: int,
    updates: int,
    device: torch.device,
) -> Classifier:
    """Train on the training images, as many of each class in a batch; in evaluation mode."""
    torch.manual_seed(seed)
    shape = packed.pairs_image.shape[1:]
    network = Classifier(len(shape), base_filters).to(device)
    images = training_images(packed.train, device)
    labels = packed.train_index["label"].to_numpy()
    rng = np.random.default_rng(seed)
    classes = [
        ClassBatches(images, np.flatnonzero(labels == label), batch_size, shape, rng, device)
        for label in (0, 1)
    ]
    wanted = torch.tensor([0.0, 1.0], device=device).repeat_interleave(batch_size)
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    for _ in range(updates):
        logits = network(torch.cat([batches.draw() for batches in classes]))
        loss = nn.functional.binary_cross_entropy_with_logits(logits, wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def attribute(network: Classifier, image: Tensor) -> dict[str, np.ndarray]:
    """Evidence against the disease in an image (1, 1, *spatial), by method; arrays (*spatial)."""
    shape = tuple(image.shape[2:])
    window = (1, *(max(1, size // WINDOWS) for size in shape))
    cam = LayerGradCam(network, network.features[-1]).attribute(image, relu_attributions=True)
    mode = {2: "bilinear", 3: "trilinear"}[len(shape)]
    found = {
        "integrated gradients": IntegratedGradients(network).attribute(
            image, baselines=BACKGROUND, n_steps=STEPS
        ),
        "guided backpropagation": GuidedBackprop(network).attribute(image.requires_grad_()),
        "grad-cam": LayerAttribution.interpolate(cam, shape, interpolate_mode=mode),
        "occlusion": Occlusion(network).attribute(
            image, sliding_window_shapes=window, strides=window, baselines=BACKGROUND
        ),
    }
    return {name: -values.detach()[0, 0].cpu().numpy() for name, values in found.items()}


def score_attributions(
    packed: Path,
    destination: Path,
    *,
    dataset: str,
    seed: int,
    base_filters: int,
    batch_size: int,
    updates: int,
    device: str = "auto",
) -> None:
    """Train a classifier and score its attributions on the test pairs, as `score_model` does.

    Parameters
    ----------
    packed
        Packed data set.
    destination
        Table written (Parquet): a row a pair and method, columns `SCORE_COLUMNS`.
    dataset, seed
        What the rows are to say; the seed is also that of the training.
    base_filters, batch_size, updates
        Width of the network; images of each class in an update; updates.
    device
        ``auto``, ``cpu`` or ``cuda``.
    """
    data, where = PackedDataset.open(packed), choose_device(device)
    options = {"base_filters": base_filters, "batch_size": batch_size, "updates": updates}
    network = train_classifier(data, seed=seed, device=where, **options)
    index = data.pairs_index
    pairs = index[index["split"] == "test"]

    def maps(row: int) -> dict[str, np.ndarray]:
        image = torch.from_numpy(np.array(data.pairs_image[row]))[None, None].to(where)
        return attribute(network, image)

    of_others = {
        pair.row: (pair.subject, maps(pair.row)) for pair in pairs_of_others(pairs).itertuples()
    }
    rows = []
    for pair in pairs.itertuples():
        image, observed, mask = data.pair(pair.row)
        _, own = of_others.get(pair.row) or (pair.subject, maps(pair.row))
        for method, values in own.items():
            others = [Evidence(subject, found[method]) for subject, found in of_others.values()]
            names = (dataset, method, seed, pair.subject, pair.baseline, pair.followup)
            other = ncc_of_others(others, pair.subject, image, observed, mask)
            rows.append((*names, masked_ncc(observed, values, mask), other))
    write_parquet(pd.DataFrame(rows, columns=SCORE_COLUMNS), destination)


def attribution_operations(
    shape: tuple[int, ...], pairs: int, *, base_filters: int, batch_size: int, updates: int
) -> int:
    """Floating-point operations of `score_attributions`, up to a few passes of a pair's image.

    Parameters
    ----------
    shape
        Of the images, in voxels.
    pairs
        Test pairs.
    base_filters, batch_size, updates
        As of `score_attributions`.
    """
    with torch.device("meta"):
        network, image = Classifier(len(shape), base_filters), torch.empty(1, 1, *shape)
    forward = count_operations(lambda: network(image))
    # Going back through a network takes twice as much as going through it.
    trained, integrated, occluded = 2 * batch_size * updates, STEPS, WINDOWS ** len(shape)
    return forward * (3 * trained + pairs * (3 * integrated + occluded))
