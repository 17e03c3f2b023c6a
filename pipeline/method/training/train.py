"""Adversarial training of one generator (paper, sections 2 and 3)."""

from pathlib import Path

import torch

from pipeline.dataset.packed import PackedDataset
from pipeline.method.critic import VolumeCritic, build_critic
from pipeline.method.generator import Generator
from pipeline.method.interface import Fitted, Place
from pipeline.method.training.batches import both_classes, open_streams
from pipeline.method.training.device import check_precision
from pipeline.method.training.epochs import fit_by_epochs
from pipeline.method.training.piecewise import without_curvature
from pipeline.method.training.settings import TrainSettings
from pipeline.method.training.trainer import Trainer


def train_generator(packed: Path, settings: TrainSettings, place: Place) -> Fitted:
    """Train a generator; see `pipeline.method.training.epochs.fit_by_epochs`."""

    def build(data: PackedDataset, shape: tuple[int, ...]) -> Trainer:
        halvings = max(settings.poolings, len(VolumeCritic.POOLED))
        check_precision(settings.precision, shape, halvings, place.device)
        return build_trainer(data, shape, settings, place.device)

    return fit_by_epochs(packed, settings, place, build)


def build_trainer(
    data: PackedDataset,
    shape: tuple[int, ...],
    settings: TrainSettings,
    place: torch.device,
) -> Trainer:
    """Networks, optimisers and batches of a new run, on their device."""
    streams = open_streams(settings.seed)
    x1, x0 = both_classes(data, shape, settings.batch_size, streams, place)
    # Weights come from the run's own seed and leave the global random state as it is.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(streams.weights)
        generator = Generator(**settings.architecture(len(shape)))
        critic = build_critic(
            len(shape), settings.critic_weights, settings.critic_base_filters, settings.variant
        )
    critic = without_curvature(critic)
    if place.type == "cpu":  # saves a quarter of the time there
        layout = {2: torch.channels_last, 3: torch.channels_last_3d}[len(shape)]
        generator = generator.to(memory_format=layout)
        critic = critic.to(memory_format=layout)
    return Trainer(generator.to(place), critic.to(place), x1, x0, settings, streams.rest)
