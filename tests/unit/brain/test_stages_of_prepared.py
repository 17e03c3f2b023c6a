from typing import get_args

import pytest

from pipeline.brain.chain import CHAINS, Prepared, done_by
from pipeline.stages import BRAIN_STAGES, STAGES


def test_every_chain_has_stages_and_ends_on_the_grid():
    assert tuple(CHAINS) == get_args(Prepared)
    for chain in CHAINS.values():
        assert chain[-1] == "grid"
        assert list(chain) == [name for name in STAGES if name in chain]


@pytest.mark.parametrize("stage", BRAIN_STAGES)
def test_raw_volume_is_left_by_the_stage_itself(stage):
    assert done_by("raw", stage) == stage


@pytest.mark.parametrize(
    ("prepared", "left"),
    [
        ("registered", ["accept", "accept", "skull", "skull_refine", "grid"]),
        ("skull_stripped", ["accept", "template", "template", "template", "grid"]),
        ("grid", ["accept", "accept", "accept", "accept", "grid"]),
    ],
)
def test_stage_that_is_left_out_is_stood_for_by_the_one_before(prepared, left):
    stages = ("bias", "template", "skull", "skull_refine", "grid")
    assert [done_by(prepared, stage) for stage in stages] == left
