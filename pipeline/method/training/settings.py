"""The settings of adversarial training: what a configuration says, and what defines one run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from pipeline.method.options import AsWritten, AtLeastZero, Count, NumberOf, Options, Positive
from pipeline.method.training.schedule import Schedule

EpochCounts = Literal["updates", "generator_updates"]
Precision = Literal["float32", "tf32", "bf16"]
Variant = Literal["plain", "original", "half"]


def _is_none(value: object) -> bool:
    return value is None


def _is_zero(value: object) -> bool:
    return value == 0


Unset = SkipJsonSchema[None]  # the data set's ``training`` says it
OwnCount = Annotated[Count | Unset, Field(exclude_if=_is_none)]
Averaging = Annotated[float, Field(ge=0, lt=1), AsWritten]


class Architecture(TypedDict):
    """Arguments of `pipeline.method.generator.Generator`."""

    dimensions: int
    method: str
    base_filters: int
    poolings: int
    flow_scale: float
    variant: Variant


class RunSettings(Options):
    """What the training of every method says.

    Attributes
    ----------
    method : str
        Of `pipeline.method.registry`.
    seed : int
        Of all that is drawn: first weights, batches, crops, and what a method draws besides.
    batch_size : int
        Images of each class in a batch.
    epochs, updates_per_epoch : int
        An epoch is a number of updates and ends with the validation score.
    precision : {"float32", "tf32", "bf16"}
        ``tf32`` lets a GPU round the factors of products to 10 bits. ``bf16`` computes networks
        in 16 bits.
    base_filters, poolings : int
        Width and depth of the network that explains.
    """

    method: str
    seed: NumberOf
    batch_size: Count
    epochs: Count
    updates_per_epoch: Count
    precision: Precision
    base_filters: Count
    poolings: Count

    def total_updates(self) -> int:
        """Updates until the last epoch ends."""
        return self.epochs * self.updates_per_epoch

    def architecture(self, dimensions: int) -> Mapping[str, object]:
        """Arguments of the method's ``build`` for images of so many dimensions."""
        raise NotImplementedError

    def weight_files(self) -> dict[str, Path]:
        """Files of weights that the training starts from, by the option that names each."""
        return {}


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
    averaging : float
        See `AdversarialOptions`.
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
    # Not told where it is 0: so what was trained before there was an average is not trained again.
    averaging: Annotated[Averaging, Field(exclude_if=_is_zero)] = 0
    flow_scale: Positive
    variant: Variant


class AdversarialOptions(_Adversarial):
    """A method's section of a configuration; what it does not say of batches and epochs,
    ``training`` says.

    Defaults are what both methods of the paper have in common.

    Attributes
    ----------
    lambda_ : float
        Weight of the generator's penalty, Eq. 6. Left out, it is the paper's; a smaller grid
        wants a smaller one.
    learning_rate : float
        Of both Adam optimisers.
    critic_updates : int
        Updates of the critic before one of the generator.
    initial_critic_updates, initial_generator_updates : int
        The first so many updates of the generator follow so many of the critic.
    critic_boost_every : int
        So does every update of the generator whose number from 0 is a multiple of this; 0:
        none.
    averaging : float
        The generator that explains is a running average of the one that is trained, with this
        factor on what was before at each of its updates (exponential moving average), which are to
        be several times 1 / (1 - averaging); 0: it is the one that is trained, as in the paper.
    flow_scale : float
        Voxels per unit of the generator's output, of a method that deforms.
    variant : str
        Of VA-GAN, ``original``: networks and schedule of its own code, as the paper ran it on
        ADNI; of the diffeomorphic DeFI-GAN, ``half``: velocities of half the resolution.
    batch_size, accumulated_batches, epochs, updates_per_epoch, epoch_counts : int
        In place of what ``training`` says.
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


class TrainSettings(RunSettings, _Adversarial):
    """Everything that the trained weights depend on, besides data, device and threads.

    Attributes
    ----------
    accumulated_batches : int
        Batches whose gradients are averaged for one update.
    epoch_counts : {"updates", "generator_updates"}
        Whether an epoch's updates are those of critic and generator together or the generator's.
    gradient_penalty : float
        Weight of the critic's penalty, Eq. 6; it is never computed in 16 bits.
    critic_weights : str
        ``random`` or a file of weights.
    critic_base_filters : int
        Width of the critic (paper: 64 for films, 16 for volumes).
    """

    accumulated_batches: Count
    epoch_counts: EpochCounts
    gradient_penalty: Positive
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
        counted = super().total_updates()
        if self.epoch_counts == "updates":
            return counted
        return self.schedule().total(counted)

    def weight_files(self) -> dict[str, Path]:
        """The critic's start, where it is not random."""
        return (
            {} if self.critic_weights == "random" else {"critic_weights": Path(self.critic_weights)}
        )


class SingleOptions(Options):
    """What every section of a method without a critic says; what it does not say of batches,
    epochs and networks, ``training`` and ``training.networks`` say.

    Attributes
    ----------
    learning_rate : float
        Of AdamW.
    averaging : float
        The weights that explain are a running average of those that are trained, with this factor
        on what was before (exponential moving average); 0: they are the last ones.
    batch_size, epochs, updates_per_epoch : int
        In place of what ``training`` says.
    base_filters, poolings : int
        In place of what ``training.networks`` says.
    """

    learning_rate: Positive = 0.0001
    averaging: Averaging = 0
    batch_size: OwnCount = None
    epochs: OwnCount = None
    updates_per_epoch: OwnCount = None
    base_filters: OwnCount = None
    poolings: OwnCount = None


class SingleSettings(RunSettings, SingleOptions):
    """Everything that the weights depend on that are trained without a critic, besides data,
    device and threads."""

    def architecture(self, dimensions: int) -> dict[str, Any]:
        """Arguments of the network, as JSON can hold them: all that is no matter of training."""
        training = RunSettings.model_fields.keys() | SingleOptions.model_fields.keys()
        own = {n: getattr(self, n) for n in type(self).model_fields if n not in training}
        sizes = {"base_filters": self.base_filters, "poolings": self.poolings}
        return {"dimensions": dimensions, **sizes, **own}
