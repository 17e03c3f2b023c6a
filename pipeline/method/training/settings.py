"""The settings that define one training run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from pipeline.method.training.schedule import total_updates
from pipeline.stage.errors import InputError

CHOICES = {
    "method": ("defi-gan", "va-gan"),
    "variant": ("plain", "original"),
    "epoch_counts": ("updates", "generator_updates"),
    "precision": ("float32", "tf32", "bf16"),
}


@dataclass(frozen=True)
class TrainSettings:
    """Everything that the trained weights depend on, besides data, device and threads.

    Attributes
    ----------
    method : {"defi-gan", "va-gan"}
    seed : int
        Of the initial weights, the batches, the crops and the gradient penalty's mixtures.
    lambda_ : float
        Weight of the generator's penalty, Eq. 6; ``lambda`` in JSON and YAML.
    learning_rate : float
        Of both Adam optimisers.
    batch_size : int
        Images of each class in a batch.
    accumulated_batches : int
        Batches whose gradients are averaged for one update.
    epochs, updates_per_epoch : int
        An epoch is a number of updates and ends with the validation score.
    epoch_counts : {"updates", "generator_updates"}
        Whether an epoch's updates are those of critic and generator together or the generator's.
    precision : {"float32", "tf32", "bf16"}
        ``tf32`` lets a GPU round the factors of products to 10 bits. ``bf16`` computes networks
        in 16 bits, the gradient penalty excepted.
    critic_updates : int
        Critic updates before each generator update...
    initial_critic_updates, initial_generator_updates : int
        ...except before the first `initial_generator_updates` ones.
    gradient_penalty : float
        Weight of the critic's penalty, Eq. 6.
    flow_scale : float
        Factor on the generator's output that gives voxels (DeFI-GAN).
    variant : {"plain", "original"}
        See `pipeline.method.generator.Generator`.
    base_filters, poolings : int
        Width and depth of the generator.
    critic_weights : str
        ``random`` or a file of weights.
    critic_base_filters : int
        Width of the critic (paper: 64 for films, 16 for volumes).
    """

    method: str
    seed: int
    lambda_: float
    learning_rate: float
    batch_size: int
    accumulated_batches: int
    epochs: int
    updates_per_epoch: int
    epoch_counts: str
    precision: str
    critic_updates: int
    initial_critic_updates: int
    initial_generator_updates: int
    gradient_penalty: float
    flow_scale: float
    variant: str
    base_filters: int
    poolings: int
    critic_weights: str
    critic_base_filters: int

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> "TrainSettings":
        """Settings from the options of a configuration.

        Raises
        ------
        InputError
            If an option is unknown or missing, or none of its choices.
        """
        known = {field.name.rstrip("_") for field in fields(cls)}
        unknown, missing = sorted(set(options) - known), sorted(known - set(options))
        if unknown:
            raise InputError(f"unknown training option: {', '.join(unknown)}")
        if missing:
            raise InputError(f"missing training option: {', '.join(missing)}")
        for name, choices in CHOICES.items():
            if options[name] not in choices:
                raise InputError(f"{name}: {options[name]!r} is none of {', '.join(choices)}")
        named = {"lambda_" if name == "lambda" else name: v for name, v in options.items()}
        return cls(**named)

    def to_dict(self) -> dict[str, Any]:
        """The options that `from_dict` reads."""
        return {name.rstrip("_"): value for name, value in asdict(self).items()}

    def architecture(self, dimensions: int) -> dict[str, Any]:
        """Options of the generator (see `pipeline.method.generator.Generator`)."""
        return {
            "dimensions": dimensions,
            "method": self.method,
            "base_filters": self.base_filters,
            "poolings": self.poolings,
            "flow_scale": self.flow_scale,
            "variant": self.variant,
        }

    def total_updates(self) -> int:
        """Updates of critic and generator together until the last epoch ends."""
        counted = self.epochs * self.updates_per_epoch
        if self.epoch_counts == "updates":
            return counted
        return total_updates(
            counted,
            self.critic_updates,
            self.initial_critic_updates,
            self.initial_generator_updates,
        )
