"""The order of updates."""

from itertools import islice

from pipeline.method.schedule import update_sequence


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
