"""The order of updates."""

from itertools import islice

from pipeline.method.training.schedule import total_updates, update_sequence


def lengths(sequence, generator_updates):
    """Critic updates before each of the first generator updates."""
    counts = [0]
    for update in sequence:
        if update == "critic":
            counts[-1] += 1
        elif len(counts) == generator_updates:
            return counts
        else:
            counts.append(0)


def test_defi_gan_keeps_one_ratio():
    assert list(islice(update_sequence(2, 2, 0), 7)) == ["critic", "critic", "generator"] * 2 + [
        "critic"
    ]
    assert lengths(update_sequence(100, 100, 0), 30) == [100] * 30


def test_va_gan_starts_with_a_better_trained_critic():
    assert lengths(update_sequence(5, 100, 25), 30) == [100] * 25 + [5] * 5


def test_total_updates_counts_the_sequence():
    for schedule in ((3, 7, 2), (100, 100, 0), (1, 20, 1)):
        for generator_updates in (1, 2, 3, 5):
            made, updates = 0, 0
            for update in update_sequence(*schedule):
                updates += 1
                made += update == "generator"
                if made == generator_updates:
                    break
            assert total_updates(generator_updates, *schedule) == updates
