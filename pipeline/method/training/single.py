"""Training of one network by a loss of its own, without a critic."""

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypedDict, cast

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.dataset.packed import PackedDataset
from pipeline.method.interface import Explainer, Fitted, Place
from pipeline.method.training.average import running_average
from pipeline.method.training.batches import (
    BatchesState,
    ClassBatches,
    both_classes,
    open_streams,
)
from pipeline.method.training.device import check_precision
from pipeline.method.training.epochs import fit_by_epochs, refuse_divergence
from pipeline.method.training.operations import count_operations
from pipeline.method.training.settings import SingleSettings
from pipeline.method.unet import check_halvings


class Learner(Explainer, Protocol):
    """A model that tells how much it has to learn."""

    @property
    def ready(self) -> bool:
        """Whether each of its parts has been trained; until then no weights are averaged."""

    def losses(self, images: Tensor, labels: Tensor, draws: torch.Generator) -> dict[str, Tensor]:
        """Terms of the loss, scalars: ``loss`` is what the training minimises.

        Parameters
        ----------
        images : Tensor, shape (N, 1, *spatial)
        labels : Tensor, shape (N,)
            0 healthy, 1 diseased.
        draws : torch.Generator
            On the processor, for what is drawn.
        """


class SingleState(TypedDict):
    """All that updates of a `SingleTrainer` depend on; the network's as PyTorch has them."""

    network: dict[str, Any]
    averaged: dict[str, Any] | None
    adam: dict[str, Any]
    x1: BatchesState
    x0: BatchesState
    draws: Tensor
    updates: int
    terms: dict[str, list[float]]


class SingleTrainer:
    """A network with its optimiser (AdamW) and data.

    Parameters
    ----------
    network : Learner
    x1, x0 : ClassBatches
        Diseased and healthy images; an update sees a batch of each.
    settings : SingleSettings
    rng : numpy.random.Generator
        Seeds what the losses draw.
    """

    def __init__(
        self,
        network: Learner,
        x1: ClassBatches,
        x0: ClassBatches,
        settings: SingleSettings,
        rng: np.random.Generator,
    ) -> None:
        self.network, self.x1, self.x0, self.settings = network, x1, x0, settings
        self.adam = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, fused=True)
        module = cast(nn.Module, network)
        self.averaged = running_average(module, settings.averaging, statistics=False)
        self.draws = torch.Generator().manual_seed(int(rng.integers(2**63)))
        self.updates = 0
        self.begin_epoch()

    @property
    def model(self) -> Explainer:
        """The network, or its running average."""
        return self.network if self.averaged is None else cast(Explainer, self.averaged.module)

    def begin_epoch(self) -> None:
        """Forget the losses of the last epoch."""
        self.terms: dict[str, list[float]] = {}

    def epoch_is_over(self) -> bool:
        """Whether the epoch has all of its updates."""
        return len(self.terms.get("loss", [])) >= self.settings.updates_per_epoch

    def epoch_means(self) -> dict[str, float]:
        """Mean of each term of the losses in this epoch."""
        return {name: math.fsum(values) / len(values) for name, values in self.terms.items()}

    def counts(self) -> dict[str, int]:
        """Updates so far."""
        return {"updates": self.updates}

    def update(self) -> tuple[str, float]:
        """Train with a batch of each class: ``network``, and its loss.

        Raises
        ------
        Diverged
            See `pipeline.method.training.epochs.refuse_divergence`.
        """
        cast(nn.Module, self.network).train()
        batches = (self.x1.draw(), self.x0.draw())
        images = torch.cat(batches)
        labels = torch.tensor([1, 0], device=images.device).repeat_interleave(len(batches[0]))
        with self._autocast(images.device.type):
            losses = self.network.losses(images, labels, self.draws)
        self.adam.zero_grad()
        losses["loss"].backward()
        self.adam.step()
        if self.averaged is not None:
            if not self.network.ready:
                self.averaged.n_averaged.zero_()  # so that the weights are copied
            self.averaged.update_parameters(cast(nn.Module, self.network))
        self.updates += 1
        values = {name: value.item() for name, value in losses.items()}
        refuse_divergence(values, self.updates)
        for name, value in values.items():
            self.terms.setdefault(name, []).append(value)
        return "network", values["loss"]

    def _autocast(self, device: str) -> AbstractContextManager[Any]:
        return torch.autocast(device, torch.bfloat16, enabled=self.settings.precision == "bf16")

    def state(self) -> SingleState:
        """Everything that the following updates depend on."""
        return {
            "network": self.network.state_dict(),
            "averaged": None if self.averaged is None else self.averaged.state_dict(),
            "adam": self.adam.state_dict(),
            "x1": self.x1.state(),
            "x0": self.x0.state(),
            "draws": self.draws.get_state(),
            "updates": self.updates,
            "terms": self.terms,
        }

    def restore(self, state: SingleState) -> None:
        """Go on from a `state`."""
        self.network.load_state_dict(state["network"])
        if self.averaged is not None:
            self.averaged.load_state_dict(cast(Mapping[str, Any], state["averaged"]))
        self.adam.load_state_dict(state["adam"])
        self.x1.restore(state["x1"])
        self.x0.restore(state["x0"])
        self.draws.set_state(state["draws"])
        self.updates, self.terms = state["updates"], state["terms"]

    def is_finite(self) -> bool:
        """Whether every weight is a number."""
        return all(bool(weight.isfinite().all()) for weight in self.network.parameters())


def build_single(
    data: PackedDataset,
    shape: tuple[int, ...],
    settings: SingleSettings,
    place: torch.device,
    build: Callable[..., Learner],
) -> SingleTrainer:
    """Network, optimiser and batches of a new training, on their device.

    `build` makes the network of `SingleSettings.architecture`.
    """
    streams = open_streams(settings.seed)
    x1, x0 = both_classes(data, shape, settings.batch_size, streams, place)
    # Weights come from the run's own seed and leave the global random state as it is.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(streams.weights)
        network = build(**settings.architecture(len(shape)))
    return SingleTrainer(network.to(place), x1, x0, settings, streams.rest)


def train_single(
    packed: Path, settings: SingleSettings, place: Place, build: Callable[..., Learner]
) -> Fitted:
    """Train a network, which `build` makes of `SingleSettings.architecture`.

    See `pipeline.method.training.epochs.fit_by_epochs`.
    """

    def build_trainer(data: PackedDataset, shape: tuple[int, ...]) -> SingleTrainer:
        check_halvings(shape, settings.poolings)
        check_precision(settings.precision, shape, settings.poolings, place.device)
        return build_single(data, shape, settings, place.device, build)

    return fit_by_epochs(packed, settings, place, build_trainer)


def update_operations(
    settings: SingleSettings, shape: tuple[int, ...], build: Callable[..., Learner]
) -> int:
    """Floating-point operations of the first update; arguments as of `train_single`."""
    with torch.device("meta"):
        network = build(**settings.architecture(len(shape)))
        images = torch.empty(2 * settings.batch_size, 1, *shape)
        labels = torch.zeros(2 * settings.batch_size, dtype=torch.long)
    draws = torch.Generator()
    return count_operations(lambda: network.losses(images, labels, draws)["loss"].backward())
