"""How much arithmetic a training takes, counted and not run.

The networks are made on PyTorch's device ``meta``, whose tensors have shapes and no numbers: every
convolution and product of an update is seen, with both of its derivatives, and none is computed.
"""

from collections.abc import Callable
from functools import cache
from itertools import islice
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from pipeline.method.critic import build_critic
from pipeline.method.generator import Generator
from pipeline.method.losses import critic_loss, generator_loss
from pipeline.method.training.piecewise import without_curvature
from pipeline.method.training.settings import TrainSettings


class _Counter(TorchDispatchMode):
    """PyTorch's formulas; its own counter fails at derivatives of derivatives."""

    operations: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.operations += formula(*args, **(kwargs or {}), out_val=result)
        return result


def count_operations(work: Callable[[], Any]) -> int:
    """Floating-point operations (two a multiplication and addition) of what `work` computes."""
    with _Counter() as counter:  # type: ignore[no-untyped-call] # of PyTorch's class
        work()
    return counter.operations


@cache
def update_operations(settings: TrainSettings, shape: tuple[int, ...]) -> dict[str, int]:
    """Floating-point operations of one update of each network, ``critic`` and ``generator``.

    Parameters
    ----------
    settings
        Of the training.
    shape
        Of its images, in voxels.
    """
    with torch.device("meta"):
        generator = Generator(**settings.architecture(len(shape)))
        critic = build_critic(len(shape), "random", settings.critic_base_filters, settings.variant)
        critic = without_curvature(critic)
        images = torch.empty(settings.batch_size, 1, *shape)
        alpha = torch.empty(settings.batch_size)

    def update_critic() -> None:
        with torch.no_grad():
            fake = generator(images).modified
        critic_loss(critic, images, fake, alpha, settings.gradient_penalty).total.backward()

    def update_generator() -> None:
        critic.requires_grad_(False)
        explanation, penalty = generator.penalised(images)
        generator_loss(critic, explanation, penalty, settings.lambda_).total.backward()

    batches = settings.accumulated_batches
    return {
        "critic": batches * count_operations(update_critic),
        "generator": batches * count_operations(update_generator),
    }


def training_operations(settings: TrainSettings, shape: tuple[int, ...]) -> int:
    """Floating-point operations of all updates of a training; arguments as `update_operations`."""
    sequence = islice(settings.schedule().updates(), settings.total_updates())
    each = update_operations(settings, shape)
    return sum(each[network] for network in sequence)


@cache
def explanation_operations(settings: TrainSettings, shape: tuple[int, ...]) -> int:
    """Floating-point operations of the explanation of one image of `shape`."""
    with torch.device("meta"):
        generator = Generator(**settings.architecture(len(shape)))
        image = torch.empty(1, 1, *shape)
    return count_operations(lambda: generator(image))
