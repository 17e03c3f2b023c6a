"""Weights that come from elsewhere: a critic's start, and generators of the authors' code.

Nothing is unpickled blindly: only tensors are read. Inside the pipeline weights are safetensors.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torchvision.models import ResNet18_Weights

from pipeline.method.adversarial import Adversarial
from pipeline.method.explain import save_model, write_weights
from pipeline.method.generator import Generator
from pipeline.method.registry import METHODS
from pipeline.method.training.settings import Architecture
from pipeline.method.unet import load_reference_weights
from pipeline.stage.errors import InputError

IMAGENET = "imagenet"


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name from a safetensors file, a PyTorch file, or an NPZ file (``w/NAME``).

    Raises
    ------
    InputError
        If the file is none of them, or holds anything but a state dict of tensors.
    """
    path = Path(path)
    try:
        if path.suffix == ".safetensors":
            weights = load_file(path)
        elif path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                names = [name for name in file.files if name.startswith("w/")]
                weights = {name.removeprefix("w/"): torch.from_numpy(file[name]) for name in names}
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, UnpicklingError, EOFError, SafetensorError) as error:
        raise InputError(f"{path} is not a readable file of weights: {error}") from error
    if not isinstance(weights, Mapping) or not weights:
        raise InputError(f"{path} holds no weights by name")
    if not all(isinstance(weight, Tensor) for weight in weights.values()):
        raise InputError(f"{path} holds more than weights: save the network's state_dict() alone")
    # Networks that were trained on several GPUs have a prefix of their own.
    return {name.removeprefix("module."): weight for name, weight in weights.items()}


def fetch_critic_weights(source: str, destination: Path, sha256: str | None = None) -> None:
    """Put the weights that a critic starts from where training reads them (safetensors).

    Parameters
    ----------
    source : str
        ``imagenet`` (ResNet-18, downloaded by torchvision, which checks its hash) or a file.
    destination : Path
    sha256 : str or None
        What the file's checksum must be.

    Raises
    ------
    InputError
        If the weights cannot be had, or are not those of the checksum.
    """
    if source == IMAGENET:
        try:
            weights = ResNet18_Weights.IMAGENET1K_V1.get_state_dict(progress=False, check_hash=True)
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"critic_weights: the ImageNet weights could not be downloaded ({error}); give a "
                "file of ResNet-18 weights and its sha256 instead, or random"
            ) from error
    else:
        try:
            with Path(source).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InputError(f"critic_weights: {source} cannot be read: {error}") from error
        if found != sha256:
            raise InputError(f"critic_weights: {source} has the sha256 {found}, not {sha256}")
        weights = read_weights(Path(source))
    write_weights(weights, destination)


def import_generator(source: Path, destination: Path, *, flow_scale: float = 1) -> Architecture:
    """Turn a generator's weights under the authors' names into a model of this pipeline.

    What the network is like is seen from the weights, but for the unit of its field.

    Parameters
    ----------
    source : Path
        See `read_weights`.
    destination : Path
        File written, as a training writes ``generator.safetensors``.
    flow_scale : float
        Voxels per unit of the output, where it is a field: 1 for the paper's models, 10 for the
        toy data's.

    Returns
    -------
    dict
        The arguments of `Generator`.

    Raises
    ------
    InputError
        If they are not the weights of a generator.
    """
    weights = read_weights(source)
    try:
        names = ("down0.0.0.weight", "up1.0.1.weight", "conv7.1.0.weight")
        first, _, last = (weights[name] for name in names)
    except KeyError as error:
        raise InputError(f"{source} is not a generator: there is no {error} in it") from None
    dimensions = first.dim() - 2
    architecture: Architecture = {
        "dimensions": dimensions,
        "method": _method_of(last.shape[0], dimensions, source),
        "base_filters": first.shape[0],
        "poolings": sum(bool(re.fullmatch(r"up\d\.0\.1\.weight", name)) for name in weights),
        "flow_scale": flow_scale,
        "variant": "plain",
    }
    generator = Generator(**architecture)
    load_reference_weights(generator, weights)
    save_model(architecture, generator.state_dict(), destination)
    return architecture


def _method_of(outputs: int, dimensions: int, source: Path) -> str:
    """The first method whose generator has that many channels of output."""
    for name, method in METHODS.items():
        if isinstance(method, Adversarial) and method.outputs(dimensions) == outputs:
            return name
    raise InputError(f"{source} is not a generator: no method has {outputs} channels of output")
