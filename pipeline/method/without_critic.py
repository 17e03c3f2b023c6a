"""Methods whose network is trained by a loss of its own, without a critic."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.method.interface import Cost, Fitted, Method, Place, Words
from pipeline.method.training.settings import RunSettings, SingleSettings
from pipeline.stage.wording import number_of

if TYPE_CHECKING:
    from pipeline.method.training.single import Learner


class WithoutCritic(Method):
    """A method whose network tells its own loss (`pipeline.method.training.single.Learner`).

    Attributes
    ----------
    reads : type of SingleSettings
        What a fit depends on.
    """

    reads: ClassVar[type[SingleSettings]]
    shared = frozenset(RunSettings.model_fields)

    @abstractmethod
    def build(self, **architecture: Any) -> Learner:
        """The network of `SingleSettings.architecture`."""

    @abstractmethod
    def explanation_operations(self, settings: SingleSettings, shape: tuple[int, ...]) -> int:
        """Floating-point operations of the explanation of one image of `shape`."""

    @abstractmethod
    def detail(self, settings: SingleSettings) -> str:
        """What a fit is told by, beside its title."""

    def fit(self, packed: Path, settings: Mapping[str, Any], place: Place) -> Fitted:
        """Train a network; see `pipeline.method.training.single.train_single`."""
        from pipeline.method.training.single import train_single

        return train_single(packed, self.reads.read(settings), place, self.build)

    def cost(self, settings: Mapping[str, Any], shape: tuple[int, ...]) -> Cost:
        """Work of a training: counted, see `pipeline.method.training.operations`."""
        read = self.reads.read(settings)
        work = self.training_operations(read, shape)
        return Cost(work, read.total_updates(), self.explanation_operations(read, shape))

    def training_operations(self, settings: SingleSettings, shape: tuple[int, ...]) -> int:
        """Floating-point operations of all updates, which are alike."""
        from pipeline.method.training.single import update_operations

        return settings.total_updates() * update_operations(settings, shape, self.build)

    def words(self, settings: Mapping[str, Any]) -> Words:
        """Length and batches of a training."""
        read = self.reads.read(settings)
        how = (
            f"for {number_of(read.epochs, 'epoch')} of "
            f"{number_of(read.updates_per_epoch, 'update')} with batches of "
            f"{number_of(read.batch_size, 'image')} of each class"
        )
        return Words(how, self.detail(read))
