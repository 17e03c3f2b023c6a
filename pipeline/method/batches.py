"""Batches of training images, freshly drawn at every update."""

import numpy as np
import torch
from torch import Tensor


class ClassBatches:
    """Endless batches of the images of one class, in shuffled passes over all of them.

    A batch that reaches the end of a pass goes on with the next one, so every batch is full, also
    where a class has fewer images than a batch.

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

    def draw(self) -> Tensor:
        """The next batch, (batch_size, 1, *shape)."""
        while len(self._queue) < self._batch_size:
            self._queue.extend(self._rng.permutation(self._rows).tolist())
        rows, self._queue = self._queue[: self._batch_size], self._queue[self._batch_size :]
        return torch.stack([self._image(row) for row in rows]).unsqueeze(1).to(self._device)

    def _image(self, row: int) -> Tensor:
        sizes = zip(self._images.shape[1:], self._shape, strict=True)
        starts = [int(self._rng.integers(size - wanted + 1)) for size, wanted in sizes]
        window = [slice(at, at + size) for at, size in zip(starts, self._shape, strict=True)]
        image = self._images[(row, *window)]
        return image if isinstance(image, Tensor) else torch.from_numpy(np.array(image))


def training_images(images: np.ndarray, device: torch.device) -> np.ndarray | Tensor:
    """`images` on the GPU where they fill at most half of its free memory, else as they are."""
    if device.type == "cuda" and images.nbytes < torch.cuda.mem_get_info(device)[0] / 2:
        return torch.from_numpy(np.array(images)).to(device)
    return images
