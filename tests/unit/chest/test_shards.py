from collections import Counter

from pipeline.chest.shards import shard_of


def test_shards_are_stable_and_even():
    assert shard_of("00fb8b19ac04", 8) == shard_of("00fb8b19ac04", 8) == 4145371840 % 8
    counts = Counter(shard_of(f"{subject:012x}", 8) for subject in range(800))
    assert set(counts) == set(range(8))
    assert min(counts.values()) > 60
