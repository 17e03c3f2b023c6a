"""Where networks run."""

import torch

from pipeline.errors import InputError


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


def set_precision(precision: str) -> None:
    """Let a GPU round the factors of products (TF32) only where `precision` allows it.

    PyTorch's own default differs between convolutions and matrix products.
    """
    allowed = precision != "float32"
    torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cuda.matmul.allow_tf32 = allowed
