"""The settings of adversarial training: what a configuration says, and what defines one run."""

from typing import Annotated, Literal, TypedDict

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from pipeline.method.options import AtLeastZero, Count, NumberOf, Options, Positive
from pipeline.method.training.schedule import Schedule

EpochCounts = Literal["updates", "generator_updates"]
Variant = Literal["plain", "original", "half"]


def _is_none(value: object) -> bool:
    return value is None


Unset = SkipJsonSchema[None]  # the data set's ``training`` says it
OwnCount = Annotated[Count | Unset, Field(exclude_if=_is_none)]


class Architecture(TypedDict):
    """Arguments of `pipeline.method.generator.Generator`."""

    dimensions: int
    method: str
    base_filters: int
    poolings: int
    flow_scale: float
    variant: Variant


class _Adversarial(Options):
    """What every section of an adversarial method says.

    Attributes
    ----------
    lambda_ : float
        Weight of the generator's penalty, Eq. 6; ``lambda`` in JSON and YAML.
    learning_rate : float
        Of both Adam optimisers.
    critic_updates, initial_critic_updates, initial_generator_updates, critic_boost_every : int
        See `pipeline.method.training.schedule.Schedule`.
    flow_scale : float
        Factor on the generator's output that gives voxels, of a method that deforms.
    variant : {"plain", "original", "half"}
        See `pipeline.method.generator.Generator`.
    """

    lambda_: AtLeastZero
    learning_rate: Positive
    critic_updates: Count
    initial_critic_updates: Count
    initial_generator_updates: NumberOf
    critic_boost_every: NumberOf
    flow_scale: Positive
    variant: Variant


class AdversarialOptions(_Adversarial):
    """A method's section of a configuration; what it does not say of batches and epochs,
    ``training`` says.

    Defaults are what both methods of the paper have in common.
    """

    learning_rate: Positive = 0.0001
    initial_critic_updates: Count = 100
    critic_boost_every: NumberOf = 0
    flow_scale: Positive = 1
    variant: Variant = "plain"
    batch_size: OwnCount = None
    accumulated_batches: OwnCount = None
    epochs: OwnCount = None
    updates_per_epoch: OwnCount = None
    epoch_counts: Annotated[EpochCounts | Unset, Field(exclude_if=_is_none)] = None


class TrainSettings(_Adversarial):
    """Everything that the trained weights depend on, besides data, device and threads.

    Attributes
    ----------
    method : str
        Of `pipeline.method.registry`.
    seed : int
        Of the initial weights, the batches, the crops and the gradient penalty's mixtures.
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
    gradient_penalty : float
        Weight of the critic's penalty, Eq. 6.
    base_filters, poolings : int
        Width and depth of the generator.
    critic_weights : str
        ``random`` or a file of weights.
    critic_base_filters : int
        Width of the critic (paper: 64 for films, 16 for volumes).
    """

    method: str
    seed: NumberOf
    batch_size: Count
    accumulated_batches: Count
    epochs: Count
    updates_per_epoch: Count
    epoch_counts: EpochCounts
    precision: Literal["float32", "tf32", "bf16"]
    gradient_penalty: Positive
    base_filters: Count
    poolings: Count
    critic_weights: str
    critic_base_filters: Count

    def architecture(self, dimensions: int) -> Architecture:
        """Arguments of the generator."""
        return {
            "dimensions": dimensions,
            "method": self.method,
            "base_filters": self.base_filters,
            "poolings": self.poolings,
            "flow_scale": self.flow_scale,
            "variant": self.variant,
        }

    def schedule(self) -> Schedule:
        """The order of the updates."""
        return Schedule(
            self.critic_updates,
            self.initial_critic_updates,
            self.initial_generator_updates,
            self.critic_boost_every,
        )

    def total_updates(self) -> int:
        """Updates of critic and generator together until the last epoch ends."""
        counted = self.epochs * self.updates_per_epoch
        if self.epoch_counts == "updates":
            return counted
        return self.schedule().total(counted)
