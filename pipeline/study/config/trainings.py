"""How models are trained: schedule, networks, and the options of each method."""

from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.study.config.values import (
    AtLeastZero,
    Count,
    Keys,
    NumberOf,
    Positive,
    Section,
    Text,
    is_none,
)

EpochCounts = Literal["updates", "generator_updates"]
OwnCount = Annotated[Count | None, Field(exclude_if=is_none)]  # else that of the whole training


class MethodOptions(Section):
    """What a method has for itself."""

    lambda_: AtLeastZero = Field(alias="lambda")
    learning_rate: Positive = 0.0001
    critic_updates: Count
    initial_critic_updates: Count = 100
    initial_generator_updates: NumberOf
    flow_scale: Positive = 1
    variant: Literal["plain", "original"] = "plain"
    batch_size: OwnCount = None
    accumulated_batches: OwnCount = None
    epochs: OwnCount = None
    updates_per_epoch: OwnCount = None
    epoch_counts: Annotated[EpochCounts | None, Field(exclude_if=is_none)] = None


class VaganOptions(MethodOptions):
    """VA-GAN; its variant ``original`` is as its authors ran it on ADNI."""

    critic_updates: Count = 5
    initial_generator_updates: NumberOf = 25


class DefiganOptions(MethodOptions):
    """DeFI-GAN."""

    critic_updates: Count = 100
    initial_generator_updates: NumberOf = 0
    variant: Literal["plain"] = "plain"


METHOD_OPTIONS: dict[str, type[MethodOptions]] = {
    "va-gan": VaganOptions,
    "defi-gan": DefiganOptions,
}
# What the paper's methods have on its data sets. The authors name no lambda for the toy data;
# theirs are those of COPD.
_EVERY_UPDATE = {"critic_updates": 1, "initial_critic_updates": 1, "initial_generator_updates": 0}
_BRAIN = Keys(METHOD_OPTIONS, {"va-gan": {"lambda": 100}, "defi-gan": {"lambda": 10}})
_CHEST = Keys(METHOD_OPTIONS, {"va-gan": {"lambda": 50}, "defi-gan": {"lambda": 25}})
_IMAGE = Keys(
    METHOD_OPTIONS,
    {
        "va-gan": {"lambda": 50, **_EVERY_UPDATE},
        "defi-gan": {"lambda": 25, "flow_scale": 10, **_EVERY_UPDATE},
    },
)


def _both() -> dict[str, dict[str, object]]:
    """The paper's methods, as they are."""
    return {"va-gan": {}, "defi-gan": {}}


class WeightsFile(Section):
    """A file of weights, and its checksum."""

    file: Text
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


CriticWeights = Annotated[
    Literal["random", "imagenet"] | WeightsFile,
    Field(description="random, imagenet (films) or {file: FILE, sha256: CHECKSUM}"),
]


class Networks(Section):
    """Widths and depths, and what the critic starts from."""

    base_filters: Count = 64
    poolings: Count = 4
    critic_base_filters: Count = 64
    critic_weights: CriticWeights = "imagenet"


class VolumeNetworks(Networks):
    """Networks of volumes; no start of their critic has been published."""

    base_filters: Count = 16
    poolings: Count = 3
    critic_base_filters: Count = 16
    critic_weights: CriticWeights = "random"


class Training(Section):
    """Everything that a training depends on, besides its data and its seed."""

    batch_size: Count = 8
    accumulated_batches: Count = 1
    epochs: Count = 120  # of the toy data; the paper names none for COPD
    updates_per_epoch: Count = 200
    epoch_counts: EpochCounts = "updates"
    precision: Literal["float32", "tf32", "bf16"] = "float32"
    gradient_penalty: Positive = 10
    networks: Networks = Networks()
    methods: dict[str, MethodOptions]

    def of_method(self, method: str) -> dict[str, Any]:
        """All that a training of one method depends on, by the names of `TrainSettings`."""
        shared = self.model_dump(exclude={"networks", "methods"})
        return shared | self.networks.model_dump() | self.methods[method].model_dump()

    def of_classifier(self) -> dict[str, int]:
        """Settings of the classifier to compare with.

        It sees a sixth of the networks' updates: it learns sooner.
        """
        return {
            "base_filters": self.networks.base_filters,
            "batch_size": self.batch_size,
            "updates": max(1, self.epochs * self.updates_per_epoch // 6),
        }


class VolumeTraining(Training):
    """As the paper trained on ADNI."""

    batch_size: Count = 4
    epochs: Count = 60
    networks: VolumeNetworks = VolumeNetworks()
    methods: Annotated[dict[str, MethodOptions], _BRAIN, Field(min_length=1)] = Field(
        default_factory=_both
    )


class FilmTraining(Training):
    """As the paper trained on COPD."""

    methods: Annotated[dict[str, MethodOptions], _CHEST, Field(min_length=1)] = Field(
        default_factory=_both
    )


class ImageTraining(Training):
    """As the authors trained on their toy data."""

    methods: Annotated[dict[str, MethodOptions], _IMAGE, Field(min_length=1)] = Field(
        default_factory=_both
    )
