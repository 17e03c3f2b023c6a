"""How models are trained: schedule, networks, and the options of each method."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.method.options import Options
from pipeline.method.registry import METHODS, find_method
from pipeline.study.config.values import Count, Keys, Positive, Section, Text, unsaid

EpochCounts = Literal["updates", "generator_updates"]


def _published(modality: str) -> dict[str, Mapping[str, Any]]:
    """The methods of the paper, with the options that it gives for a modality."""
    return {
        name: method.published[modality]
        for name, method in METHODS.items()
        if modality in method.published
    }


def _unnamed(modality: str) -> dict[str, Mapping[str, Any]]:
    """Methods of a data set that names none: the paper's, and what they must beat."""
    baselines = [name for name, method in METHODS.items() if method.baseline]
    return {name: {} for name in (*_published(modality), *baselines)}


def _sections(modality: str) -> Keys:
    """A section for each method; what it does not say is published."""
    return Keys({name: method.options for name, method in METHODS.items()}, _published(modality))


class WeightsFile(Section):
    """A file of weights, and its checksum.

    Attributes
    ----------
    file : str
        Of ResNet-18 weights.
    sha256 : str
        Its checksum.
    """

    file: Text
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


CriticWeights = Annotated[
    Literal["random", "imagenet"] | WeightsFile,
    Field(description="random, imagenet (films) or {file: FILE, sha256: CHECKSUM}"),
]


class Networks(Section):
    """Widths and depths, and what the critic starts from.

    Attributes
    ----------
    base_filters : int
        Width of the first level of the generator.
    poolings : int
        Levels of the generator below the first.
    critic_base_filters : int
        Width of the first convolution of the critic; 64 of films is a ResNet-18.
    """

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
    """Everything that a training depends on, besides its data and its seed.

    Attributes
    ----------
    batch_size : int
        Images of each class in a batch.
    accumulated_batches : int
        Batches whose gradients are averaged for one update.
    epochs, updates_per_epoch : int
        An epoch is a number of updates and ends with the validation score.
    epoch_counts : str
        Whether an epoch's updates are those of critic and generator together, or the
        generator's.
    precision : str
        ``tf32`` (on a GPU) and ``bf16`` (there, or on a processor with instructions for it, but
        not for volumes smaller than 48 voxels) are faster and give other digits.
    gradient_penalty : float
        Weight of the critic's gradient penalty, Eq. 3.
    methods : dict
        Methods that are trained, each with its options; those of the paper and what they must
        beat.
    """

    batch_size: Count = 8
    accumulated_batches: Count = 1
    epochs: Count = 120  # of the toy data; the paper names none for COPD
    updates_per_epoch: Count = 200
    epoch_counts: EpochCounts = "updates"
    precision: Literal["float32", "tf32", "bf16"] = "float32"
    gradient_penalty: Positive = 10
    networks: Networks = Networks()
    methods: dict[str, Options]

    @property
    def starts_from_weights(self) -> bool:
        """Whether a critic starts from weights that must be fetched."""
        critics = any("critic_weights" in find_method(name).shared for name in self.methods)
        return critics and self.networks.critic_weights != "random"

    def of_method(self, method: str, seed: int, critic_weights: str) -> dict[str, Any]:
        """All that a fit depends on (`pipeline.method.interface.Method.settings`).

        `critic_weights` is the file that critics start from where they do not start at random.
        """
        shared = self.model_dump(exclude={"networks", "methods"}) | self.networks.model_dump()
        if shared["critic_weights"] != "random":
            shared["critic_weights"] = critic_weights
        return find_method(method).settings(shared, self.methods[method].to_dict(), seed)

    def of_classifier(self) -> dict[str, int]:
        """Settings of the classifier to compare with.

        It has half of the networks' updates: it learns sooner.
        """
        return {
            "base_filters": self.networks.base_filters,
            "batch_size": self.batch_size,
            "updates": max(1, self.epochs * self.updates_per_epoch // 2),
        }


class VolumeTraining(Training):
    """As the paper trained on ADNI."""

    batch_size: Count = 4
    epochs: Count = 60
    networks: VolumeNetworks = VolumeNetworks()
    methods: Annotated[dict[str, Options], _sections("brain"), Field(min_length=1)] = unsaid(
        **_unnamed("brain")
    )


class FilmTraining(Training):
    """As the paper trained on COPD."""

    methods: Annotated[dict[str, Options], _sections("chest"), Field(min_length=1)] = unsaid(
        **_unnamed("chest")
    )


class ImageTraining(Training):
    """As the authors trained on their toy data: 24,000 updates of each network."""

    epoch_counts: EpochCounts = "generator_updates"
    methods: Annotated[dict[str, Options], _sections("image"), Field(min_length=1)] = unsaid(
        **_unnamed("image")
    )
