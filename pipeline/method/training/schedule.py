"""Who is updated when: the order of critic and generator updates (paper, section 3)."""

from collections.abc import Iterator
from itertools import count
from typing import Literal, NamedTuple

Update = Literal["critic", "generator"]


class Schedule(NamedTuple):
    """How often the critic is updated before each update of the generator.

    The paper's DeFI-GAN takes 100 throughout, its VA-GAN 100 for the first 25 generator updates and
    5 from then on. VA-GAN's own code goes back to 100 at every 100th.

    Attributes
    ----------
    critic_updates : int
        Before each update of the generator...
    initial_critic_updates, initial_generator_updates : int
        ...except before its first `initial_generator_updates` ones...
    critic_boost_every : int
        ...and, unless it is 0, before those whose number is a multiple of it, counted from 0:
        `initial_critic_updates` precede them, too.
    """

    critic_updates: int
    initial_critic_updates: int
    initial_generator_updates: int
    critic_boost_every: int = 0

    def critic_updates_before(self, index: int) -> int:
        """Critic updates that precede the generator update of this number, counted from 0."""
        boosted = self.critic_boost_every and index % self.critic_boost_every == 0
        initial = index < self.initial_generator_updates
        return self.initial_critic_updates if initial or boosted else self.critic_updates

    def updates(self) -> Iterator[Update]:
        """Yield, without end, which network the next update trains."""
        for index in count():
            for _ in range(self.critic_updates_before(index)):
                yield "critic"
            yield "generator"

    def total(self, generator_updates: int) -> int:
        """Updates of both networks up to and with this many of the generator's."""
        return sum(self.critic_updates_before(index) + 1 for index in range(generator_updates))
