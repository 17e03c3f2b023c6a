"""What a method is: all that the rest of the pipeline knows of it.

The records of the methods are read whenever the workflow is, in each of its jobs. PyTorch takes
seconds to start; so nothing here and in the methods' own modules imports it before it computes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, Self

from pipeline.method.options import Options

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Explanation(NamedTuple):
    """What a model makes of diseased images.

    Attributes
    ----------
    modified : Tensor, shape (N, 1, *spatial)
        The images xhat0, in which the disease should be absent.
    displacement : Tensor, shape (N, d, *spatial), or None
        The field phi of Eq. 1 in voxels, channel 0 along the last array axis (see
        `pipeline.method.deformation.warp`). None of a method that does not deform.
    """

    modified: Tensor
    displacement: Tensor | None


class Explainer(Protocol):
    """A fitted model: a `torch.nn.Module` that explains diseased images (N, 1, *spatial)."""

    method: str
    dimensions: int

    def __call__(self, x1: Tensor) -> Explanation: ...
    def eval(self) -> Self: ...
    def to(self, device: str | torch.device) -> Self: ...
    def parameters(self) -> Iterator[Tensor]: ...
    def buffers(self) -> Iterator[Tensor]: ...
    def state_dict(self) -> dict[str, Tensor]: ...
    def load_state_dict(self, weights: Mapping[str, Tensor]) -> object: ...


class Place(NamedTuple):
    """Where a fit runs, and where it may leave what it needs to go on after it was killed.

    Attributes
    ----------
    folder : Path
        Of the model. The state of an unfinished fit lies below (`pipeline.method.training.state`);
        ``tensorboard`` in it is there to be written to.
    device : torch.device
    state_minutes : float
        Time between two states.
    """

    folder: Path
    device: torch.device
    state_minutes: float


class Fitted(NamedTuple):
    """What a fit leaves.

    Attributes
    ----------
    architecture : dict
        Arguments of the method's `Method.build`, as JSON can hold them.
    weights : dict
        Tensors of the model, by name.
    history : list of dict
        A row an epoch, with ``epoch`` and ``validation_ncc``; the best one's weights are kept, the
        later one's of a tie. None of a method that has no epochs.
    """

    architecture: Mapping[str, object]
    weights: dict[str, Tensor]
    history: list[dict[str, float]] | None = None


class Cost(NamedTuple):
    """Work of a method, in floating-point operations.

    Attributes
    ----------
    fit : int
        Of one fit...
    steps : int
        ...which are done in this many steps, each of which takes a moment of its own.
    explanation : int
        Of the explanation of one image.
    """

    fit: int
    steps: int
    explanation: int


class Words(NamedTuple):
    """A fit in words for the methods of a paper: ``on ADNI {how} ({title} {detail})``."""

    how: str
    detail: str


class Method(ABC):
    """A way to explain images of a disease; one object a method stands in the registry.

    Attributes
    ----------
    name : str
        In configurations, tables, and names of folders.
    title : str
        In pictures and texts.
    deforms : bool
        Whether its explanations have a displacement field.
    reference : bool
        Whether it is the one that the others are compared with: the paper's own.
    baseline : bool
        Whether it is there to be beaten alone: it stands in tables and in no picture.
    seeded : bool
        Whether chance has a part in a fit; one without is fitted once, under the first seed.
    summary : str
        What it does with an image, a sentence for the methods of a paper.
    citation : str or None
        Where it was published; None: nowhere but in the paper.
    options : type of Options
        What a configuration says of it in its section of ``training.methods``.
    published : dict
        Options with which the paper used it, by modality; they stand where a configuration names
        none. A data set that names no method has those that are published for its modality, and
        the baselines.
    shared : set of str
        Keys of a data set's ``training`` and ``training.networks`` on which a fit depends, too. Its
        own section comes before them.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    deforms: ClassVar[bool]
    reference: ClassVar[bool] = False
    baseline: ClassVar[bool] = False
    seeded: ClassVar[bool] = True
    summary: ClassVar[str]
    citation: ClassVar[str | None] = None
    options: ClassVar[type[Options]]
    published: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    shared: ClassVar[frozenset[str]] = frozenset()

    def settings(
        self, shared: Mapping[str, Any], own: Mapping[str, Any], seed: int
    ) -> dict[str, Any]:
        """Everything that a fit depends on besides data, device and threads.

        Parameters
        ----------
        shared
            Keys of the data set's ``training`` and ``training.networks``.
        own
            The method's section.
        seed
            Of the fit.
        """
        used = {key: value for key, value in shared.items() if key in self.shared}
        chosen = {key: value for key, value in own.items() if value is not None}
        return {"method": self.name, "seed": int(seed), **used, **chosen}

    @abstractmethod
    def fit(self, packed: Path, settings: Mapping[str, Any], place: Place) -> Fitted:
        """Fit a model.

        Parameters
        ----------
        packed
            Packed data set (see `pipeline.dataset.packed`).
        settings
            As of `settings`.
        place
            Where.

        Raises
        ------
        InputError
            If the settings are wrong, or the data cannot fit a model.
        """

    @abstractmethod
    def build(self, **architecture: Any) -> Explainer:
        """The model of an architecture (see `Fitted`), to load weights into."""

    @abstractmethod
    def cost(self, settings: Mapping[str, Any], shape: tuple[int, ...]) -> Cost:
        """What a fit with these `settings` costs on images of a `shape`."""

    @abstractmethod
    def words(self, settings: Mapping[str, Any]) -> Words:
        """A fit with these `settings` in words."""
