"""The updates of critic and generator, and all that they change."""

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, TypedDict, cast

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.method.generator import Generator
from pipeline.method.losses import critic_loss, generator_loss
from pipeline.method.training.average import running_average
from pipeline.method.training.batches import BatchesState, ClassBatches
from pipeline.method.training.epochs import refuse_divergence
from pipeline.method.training.settings import TrainSettings

BETAS = (0.0, 0.9)  # of Adam
CRITIC_TERMS = ("critic_loss", "critic_real", "critic_fake", "gradient_penalty")
GENERATOR_TERMS = ("generator_loss", "generator_adversarial", "generator_penalty")


class TrainerState(TypedDict):
    """All that updates of a `Trainer` depend on; networks and optimisers as PyTorch has them."""

    generator: dict[str, Any]
    averaged: dict[str, Any] | None
    critic: dict[str, Any]
    generator_adam: dict[str, Any]
    critic_adam: dict[str, Any]
    x1: BatchesState
    x0: BatchesState
    alpha: Mapping[str, Any]
    updates: int
    generator_updates: int
    terms: dict[str, list[float]]


class Trainer:
    """Both networks with their optimisers and data, and the updates of either.

    Parameters
    ----------
    generator, critic : torch.nn.Module
    x1, x0 : ClassBatches
        Diseased and healthy images.
    settings : TrainSettings
    alpha : numpy.random.Generator
        Draws the mixtures of the gradient penalty.
    """

    def __init__(
        self,
        generator: Generator,
        critic: nn.Module,
        x1: ClassBatches,
        x0: ClassBatches,
        settings: TrainSettings,
        alpha: np.random.Generator,
    ) -> None:
        self.generator, self.critic, self.x1, self.x0 = generator, critic, x1, x0
        self.settings, self.alpha = settings, alpha
        self.generator_adam, self.critic_adam = (
            torch.optim.Adam(
                network.parameters(), lr=settings.learning_rate, betas=BETAS, fused=True
            )
            for network in (generator, critic)
        )
        self.averaged = running_average(generator, settings.averaging, statistics=True)
        self.sequence = settings.schedule().updates()
        self.updates = self.generator_updates = 0
        self.begin_epoch()

    @property
    def model(self) -> Generator:
        """The generator, or its running average."""
        return self.generator if self.averaged is None else cast(Generator, self.averaged.module)

    def begin_epoch(self) -> None:
        """Forget the losses of the last epoch."""
        self.terms: dict[str, list[float]] = {n: [] for n in CRITIC_TERMS + GENERATOR_TERMS}

    def epoch_is_over(self) -> bool:
        """Whether the epoch has all of its updates."""
        done = len(self.terms["generator_loss"])
        if self.settings.epoch_counts == "updates":
            done += len(self.terms["critic_loss"])
        return done >= self.settings.updates_per_epoch

    def epoch_means(self) -> dict[str, float]:
        """Mean of each term of the losses in this epoch; NaN where there was none."""
        return {name: float(np.mean(v)) if v else math.nan for name, v in self.terms.items()}

    def counts(self) -> dict[str, int]:
        """Updates of both networks together, and of the generator."""
        return {"updates": self.updates, "generator_updates": self.generator_updates}

    def update(self) -> tuple[str, float]:
        """The next update of the schedule: which network was trained, and its loss.

        Raises
        ------
        Diverged
            See `pipeline.method.training.epochs.refuse_divergence`.
        """
        network = next(self.sequence)
        self.generator.train()
        losses = self.update_critic() if network == "critic" else self.update_generator()
        self.updates += 1
        self.generator_updates += network == "generator"
        refuse_divergence(losses, self.updates)
        for name, value in losses.items():
            self.terms[name].append(value)
        return network, losses[f"{network}_loss"]

    def update_critic(self) -> dict[str, float]:
        """One step of the critic; the terms of its loss."""
        losses = []
        self.critic_adam.zero_grad()
        for _ in range(self.settings.accumulated_batches):
            x1, x0 = self.x1.draw(), self.x0.draw()
            losses.append(self.add_critic_gradients(x1, x0, self.draw_alpha(x0)))
        self.critic_adam.step()
        return dict(zip(CRITIC_TERMS, torch.stack(losses).mean(0).tolist(), strict=True))

    def draw_alpha(self, x0: Tensor) -> Tensor:
        """Mixtures (N,) of the gradient penalty for a batch."""
        return torch.from_numpy(self.alpha.random(len(x0), dtype=np.float32)).to(x0.device)

    def add_critic_gradients(self, x1: Tensor, x0: Tensor, alpha: Tensor) -> Tensor:
        """Add a batch's gradients to those of the critic; the terms of its loss (4,)."""
        # The generator is not trained here, but in training mode its running statistics move.
        with torch.no_grad(), self.autocast():
            fake = self.generator(x1).modified
        weight = self.settings.gradient_penalty
        loss = critic_loss(self.critic, x0, fake, alpha, weight, self.autocast())
        (loss.total / self.settings.accumulated_batches).backward()
        return torch.stack(loss).detach()

    def update_generator(self) -> dict[str, float]:
        """One step of the generator; the terms of its loss."""
        losses = []
        self.generator_adam.zero_grad()
        for _ in range(self.settings.accumulated_batches):
            losses.append(self.add_generator_gradients(self.x1.draw()))
        self.generator_adam.step()
        if self.averaged is not None:
            self.averaged.update_parameters(self.generator)
        return dict(zip(GENERATOR_TERMS, torch.stack(losses).mean(0).tolist(), strict=True))

    def add_generator_gradients(self, x1: Tensor) -> Tensor:
        """Add a batch's gradients to those of the generator; the terms of its loss (3,)."""
        self.critic.requires_grad_(False)  # its gradients are not needed: saves their computation
        with self.autocast():
            explanation, penalty = self.generator.penalised(x1)
            loss = generator_loss(self.critic, explanation, penalty, self.settings.lambda_)
        (loss.total / self.settings.accumulated_batches).backward()
        self.critic.requires_grad_(True)
        return torch.stack(loss).detach()

    def autocast(self) -> AbstractContextManager[Any]:
        """The context in which networks compute in 16 bits, where the settings want that."""
        device = next(self.generator.parameters()).device.type
        return torch.autocast(device, torch.bfloat16, enabled=self.settings.precision == "bf16")

    def state(self) -> TrainerState:
        """Everything that the following updates depend on."""
        return {
            "generator": self.generator.state_dict(),
            "averaged": None if self.averaged is None else self.averaged.state_dict(),
            "critic": self.critic.state_dict(),
            "generator_adam": self.generator_adam.state_dict(),
            "critic_adam": self.critic_adam.state_dict(),
            "x1": self.x1.state(),
            "x0": self.x0.state(),
            "alpha": self.alpha.bit_generator.state,
            "updates": self.updates,
            "generator_updates": self.generator_updates,
            "terms": self.terms,
        }

    def restore(self, state: TrainerState) -> None:
        """Go on from a `state`."""
        self.generator.load_state_dict(state["generator"])
        if self.averaged is not None:
            self.averaged.load_state_dict(cast(Mapping[str, Any], state["averaged"]))
        self.critic.load_state_dict(state["critic"])
        self.generator_adam.load_state_dict(state["generator_adam"])
        self.critic_adam.load_state_dict(state["critic_adam"])
        self.x1.restore(state["x1"])
        self.x0.restore(state["x0"])
        self.alpha.bit_generator.state = state["alpha"]
        self.generator_updates, self.terms = state["generator_updates"], state["terms"]
        for _ in range(self.updates, state["updates"]):
            next(self.sequence)
        self.updates = state["updates"]

    def is_finite(self) -> bool:
        """Whether every weight is a number."""
        weights = (*self.generator.parameters(), *self.critic.parameters())
        return all(bool(weight.isfinite().all()) for weight in weights)
