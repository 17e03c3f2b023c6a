"""How much arithmetic an adversarial training takes, counted and not run."""

from functools import cache
from itertools import islice

import torch

from pipeline.method.critic import build_critic
from pipeline.method.generator import Generator
from pipeline.method.losses import critic_loss, generator_loss
from pipeline.method.training.operations import count_operations
from pipeline.method.training.piecewise import without_curvature
from pipeline.method.training.settings import TrainSettings


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
