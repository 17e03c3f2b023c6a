"""Batches of training images, freshly drawn at every update."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, TypedDict

import numpy as np
import torch
from torch import Tensor

from pipeline.dataset.packed import PackedDataset
from pipeline.stage.errors import InputError

Window = tuple[int | slice, ...]  # an image's row and the part of it that is used


class BatchesState(TypedDict):
    """Rows of the pass that are still to come, and the state of NumPy's generator."""

    queue: list[int]
    rng: Mapping[str, Any]


class Streams(NamedTuple):
    """The random draws of a run: each of its own, all from one seed.

    Attributes
    ----------
    weights : int
        Seed of the first weights.
    diseased, healthy : numpy.random.Generator
        Of the batches of each class.
    rest : numpy.random.Generator
        Of what else a training draws.
    """

    weights: int
    diseased: np.random.Generator
    healthy: np.random.Generator
    rest: np.random.Generator


def open_streams(seed: int) -> Streams:
    """The streams of a run of this seed, at their start."""
    weights, *others = np.random.SeedSequence(seed).spawn(4)
    generators = (np.random.default_rng(sequence) for sequence in others)
    return Streams(int(weights.generate_state(1)[0]), *generators)


class ClassBatches:
    """Endless batches of the images of one class, in shuffled passes over all of them.

    A batch that reaches the end of a pass goes on with the next one, so every batch is full, also
    where a class has fewer images than a batch. Images in host memory that go to a GPU are read
    one batch ahead, by a thread, into pinned memory.

    Parameters
    ----------
    images : array or tensor, shape (N, *spatial)
        Training images of all classes: a memory map, or a tensor on `device`.
    rows : array of int
        The images of this class.
    batch_size : int
    shape : tuple of int
        Shape of the batch's images. Larger images are cropped at a random place.
    rng : numpy.random.Generator
        Decides order and crops.
    device : torch.device
        Where the batches are wanted.
    """

    def __init__(
        self,
        images: np.ndarray | Tensor,
        rows: np.ndarray,
        batch_size: int,
        shape: tuple[int, ...],
        rng: np.random.Generator,
        device: torch.device,
    ) -> None:
        self._images, self._rows, self._batch_size = images, rows, batch_size
        self._shape, self._rng, self._device = shape, rng, device
        self._queue: list[int] = []
        ahead = device.type == "cuda" and not isinstance(images, Tensor)
        self._reader = ThreadPoolExecutor(max_workers=1) if ahead else None
        self._next: Future[Tensor] | None = None
        self._state = self._position()

    def draw(self) -> Tensor:
        """The next batch, (batch_size, 1, *shape)."""
        if self._reader is None:
            batch = self._read(self._plan()).to(self._device)
        else:
            planned = self._next or self._reader.submit(self._read, self._plan())
            batch = planned.result().to(self._device, non_blocking=True)
        self._state = self._position()
        if self._reader is not None:
            self._next = self._reader.submit(self._read, self._plan())
        return batch

    def state(self) -> BatchesState:
        """Where the batches are; a batch that was read ahead is still to come."""
        return self._state

    def restore(self, state: BatchesState) -> None:
        """Go on from a `state`."""
        self._next = None
        self._queue = list(state["queue"])
        self._rng.bit_generator.state = state["rng"]
        self._state = self._position()

    def _position(self) -> BatchesState:
        return {"queue": list(self._queue), "rng": self._rng.bit_generator.state}

    def _plan(self) -> list[Window]:
        while len(self._queue) < self._batch_size:
            self._queue.extend(self._rng.permutation(self._rows).tolist())
        rows, self._queue = self._queue[: self._batch_size], self._queue[self._batch_size :]
        return [self._window(row) for row in rows]

    def _window(self, row: int) -> Window:
        sizes = zip(self._images.shape[1:], self._shape, strict=True)
        starts = [int(self._rng.integers(size - wanted + 1)) for size, wanted in sizes]
        return (row, *(slice(a, a + size) for a, size in zip(starts, self._shape, strict=True)))

    def _read(self, windows: list[Window]) -> Tensor:
        images = self._images
        if isinstance(images, Tensor):
            parts = [images[window] for window in windows]
        else:
            parts = [torch.from_numpy(np.array(images[window])) for window in windows]
        batch = torch.stack(parts).unsqueeze(1)
        return batch if self._reader is None else batch.pin_memory()


def training_images(images: np.ndarray, device: torch.device) -> np.ndarray | Tensor:
    """`images` on the GPU where they fill at most half of its free memory, else as they are."""
    if device.type == "cuda" and images.nbytes < torch.cuda.mem_get_info(device)[0] / 2:
        return torch.from_numpy(np.array(images)).to(device)
    return images


def both_classes(
    data: PackedDataset,
    shape: tuple[int, ...],
    batch_size: int,
    streams: Streams,
    device: torch.device,
) -> tuple[ClassBatches, ClassBatches]:
    """Batches of the diseased (x1) and of the healthy (x0) training images.

    Raises
    ------
    InputError
        If a class has no image.
    """
    images = training_images(data.train, device)
    index = data.train_index

    def of_class(label: int, rng: np.random.Generator) -> ClassBatches:
        rows = index.loc[index["label"] == label, "row"].to_numpy()
        if not len(rows):
            raise InputError(f"the packed data have no training image of label {label}")
        return ClassBatches(images, rows, batch_size, shape, rng, device)

    return of_class(1, streams.diseased), of_class(0, streams.healthy)
