"""The order of updates."""

from itertools import islice

from pipeline.method.training.schedule import Schedule


def lengths(schedule, generator_updates):
    """Critic updates before each of the first generator updates."""
    counts = [0]
    for update in schedule.updates():
        if update == "critic":
            counts[-1] += 1
        elif len(counts) == generator_updates:
            return counts
        else:
            counts.append(0)


def test_defi_gan_keeps_one_ratio():
    first = list(islice(Schedule(2, 2, 0).updates(), 7))
    assert first == ["critic", "critic", "generator"] * 2 + ["critic"]
    assert lengths(Schedule(100, 100, 0), 30) == [100] * 30


def test_va_gan_starts_with_a_better_trained_critic():
    assert lengths(Schedule(5, 100, 25), 30) == [100] * 25 + [5] * 5


def test_vagans_own_code_returns_to_the_critic_at_every_100th_update():
    before = lengths(Schedule(5, 100, 25, critic_boost_every=100), 1500)
    boosted = [index for index, updates in enumerate(before) if updates == 100]
    assert boosted == [*range(25), *range(100, 1500, 100)]
    assert {*before} == {5, 100}
    assert lengths(Schedule(1, 3, 0, critic_boost_every=2), 5) == [3, 1, 3, 1, 3]


def test_total_updates_counts_the_sequence():
    for schedule in (Schedule(3, 7, 2), Schedule(100, 100, 0), Schedule(1, 20, 1, 2)):
        for generator_updates in (1, 2, 3, 5):
            made, updates = 0, 0
            for update in schedule.updates():
                updates += 1
                made += update == "generator"
                if made == generator_updates:
                    break
            assert schedule.total(generator_updates) == updates
