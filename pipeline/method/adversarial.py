"""Methods whose generator, a U-Net, is trained against a critic (paper, section 2)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from pipeline.method.interface import Cost, Explanation, Fitted, Method, Place, Words
from pipeline.method.training.settings import AdversarialOptions, TrainSettings
from pipeline.stage.wording import number_of

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.method.generator import Generator

# How the authors ran both methods on their toy data, for which they name no lambda: those of COPD.
EVERY_UPDATE = {"critic_updates": 1, "initial_critic_updates": 1, "initial_generator_updates": 0}


class Adversarial(Method):
    """A method whose modified images a critic must take for healthy ones.

    It says what the U-Net's output means and what the generator pays for (Eq. 4).
    """

    options: ClassVar[type[AdversarialOptions]]
    shared = frozenset(TrainSettings.model_fields)

    @property
    def variants(self) -> tuple[str, ...]:
        """What the option ``variant`` may say."""
        return get_args(self.options.model_fields["variant"].annotation)

    @abstractmethod
    def outputs(self, dimensions: int) -> int:
        """Channels that the U-Net has to make of an image."""

    @abstractmethod
    def explain(
        self, x1: Tensor, output: Tensor, *, flow_scale: float, variant: str
    ) -> Explanation:
        """The explanation of images `x1` that the U-Net's `output` stands for.

        Parameters
        ----------
        x1 : Tensor, shape (N, 1, *spatial)
        output : Tensor, shape (N, outputs, *spatial)
        flow_scale : float
            Voxels per unit of the output.
        variant : str
            Of `variants`.
        """

    @abstractmethod
    def penalty(
        self, x1: Tensor, output: Tensor, explanation: Explanation, *, variant: str
    ) -> Tensor:
        """What the generator pays for an `explanation`: the term of lambda in Eq. 4, a scalar."""

    def fit(self, packed: Path, settings: Mapping[str, Any], place: Place) -> Fitted:
        """Train a generator; see `pipeline.method.training.train.train_generator`."""
        from pipeline.method.training.train import train_generator

        return train_generator(packed, TrainSettings.read(settings), place)

    def build(self, **architecture: Any) -> Generator:
        """An untrained `pipeline.method.generator.Generator` of these arguments."""
        from pipeline.method.generator import Generator

        return Generator(method=self.name, **architecture)

    def cost(self, settings: Mapping[str, Any], shape: tuple[int, ...]) -> Cost:
        """Work of a training: counted, see `pipeline.method.training.cost`."""
        from pipeline.method.training.cost import explanation_operations, training_operations

        read = TrainSettings.read(settings)
        work = training_operations(read, shape)
        return Cost(work, read.total_updates(), explanation_operations(read, shape))

    def words(self, settings: Mapping[str, Any]) -> Words:
        """Length and batches of a training, its lambda and running average."""
        read = TrainSettings.read(settings)
        updates = number_of(read.updates_per_epoch, "update")
        if read.epoch_counts == "generator_updates":
            updates += " of the generator"
        how = (
            f"for {number_of(read.epochs, 'epoch')} of {updates} with batches of "
            f"{number_of(read.batch_size, 'image')} of each class"
        )
        if read.accumulated_batches > 1:
            how += f" and gradients averaged over {read.accumulated_batches} of them"
        detail = f"λ = {read.lambda_:g}"
        if read.averaging:
            detail += f" and a running average of its weights ({read.averaging:g})"
        return Words(how, detail)
