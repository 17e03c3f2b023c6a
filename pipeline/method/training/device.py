"""Where networks run."""

import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from pipeline.stage.errors import InputError

log = logging.getLogger(__name__)

WAIT_SECONDS = 5  # between two looks for a free GPU


def choose_device(device: str) -> torch.device:
    """The device that ``auto``, ``cpu`` or ``cuda`` stands for here.

    Raises
    ------
    InputError
        If ``cuda`` is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise InputError("device: cuda is asked for but PyTorch finds no GPU; use auto or cpu")
    return torch.device("cuda" if available and device != "cpu" else "cpu")


@contextmanager
def claimed_device(device: str, jobs_per_gpu: int) -> Iterator[torch.device]:
    """The device for a training, which no more than `jobs_per_gpu` trainings have at a time.

    A scheduler shows a job its own GPUs alone (CUDA_VISIBLE_DEVICES). Where several jobs see the
    same ones, each takes the emptiest, and waits while all are full. The operating system frees
    what a job has taken however it ends.

    Raises
    ------
    InputError
        See `choose_device`.
    """
    place = choose_device(device)
    if place.type == "cpu":
        yield place
        return
    waiting = False
    while True:
        for slot in range(jobs_per_gpu):
            for index in range(torch.cuda.device_count()):
                with _slot(index, slot).open("w") as file:
                    try:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        continue
                    log.info("training on GPU %d", index)
                    yield torch.device("cuda", index)
                    return
        if not waiting:
            log.warning("every GPU has its trainings (%d); waiting for one to end", jobs_per_gpu)
            waiting = True
        time.sleep(WAIT_SECONDS)


def _slot(index: int, slot: int) -> Path:
    """Lock file of one place on a GPU, by the name that the GPU has for every job.

    Each user has files of their own: nobody may write those of others.
    """
    uuid = torch.cuda.get_device_properties(index).uuid
    return Path(tempfile.gettempdir()) / f"defigan-{os.getuid()}-gpu-{uuid}-{slot}.lock"


def check_precision(
    precision: str, shape: tuple[int, ...], halvings: int, place: torch.device
) -> None:
    """Whether networks that halve images of a shape so often learn something in 16 bits.

    On a processor the gradient of a convolution's weights is made of memory that nobody wrote
    where a grid has two voxels along its first and its last axis (oneDNN 3.12, kernels of 3x3x3).

    Raises
    ------
    InputError
        If such a grid is among those of volumes of this shape.
    """
    if precision != "bf16" or place.type != "cpu" or len(shape) < 3:
        return
    for level in range(1, halvings + 1):
        if shape[0] >> level == 2 == shape[-1] >> level:
            raise InputError(
                f"precision: bf16 gives wrong gradients on a processor where volumes, here of "
                f"{'x'.join(map(str, shape))}, are halved down to 2 voxels; use float32 (little "
                "is gained at this size), a GPU or a larger grid"
            )


def set_precision(precision: str) -> None:
    """Let a GPU round the factors of products (TF32) only where `precision` allows it.

    PyTorch's own default differs between convolutions and matrix products.
    """
    allowed = precision != "float32"
    torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cuda.matmul.allow_tf32 = allowed
