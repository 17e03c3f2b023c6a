"""Who is updated when: the order of critic and generator updates (paper, section 3)."""

from collections.abc import Iterator
from itertools import count
from typing import Literal

Update = Literal["critic", "generator"]


def update_sequence(
    critic_updates: int, initial_critic_updates: int, initial_generator_updates: int
) -> Iterator[Update]:
    """Yield, without end, which network the next update trains.

    Each generator update follows `critic_updates` updates of the critic; the first
    `initial_generator_updates` follow `initial_critic_updates`. The paper's DeFI-GAN takes 100
    throughout, its VA-GAN 100 for the first 25 generator updates and 5 from then on.
    """
    for index in count():
        initial = index < initial_generator_updates
        for _ in range(initial_critic_updates if initial else critic_updates):
            yield "critic"
        yield "generator"


def total_updates(
    generator_updates: int,
    critic_updates: int,
    initial_critic_updates: int,
    initial_generator_updates: int,
) -> int:
    """Updates of `update_sequence` up to and with this many of the generator's."""
    initial = min(generator_updates, initial_generator_updates)
    later = generator_updates - initial
    return initial * (initial_critic_updates + 1) + later * (critic_updates + 1)
