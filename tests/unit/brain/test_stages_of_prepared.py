from typing import get_args

import pytest

from pipeline.brain.chain import CHAINS, Prepared, chain_of, done_by
from pipeline.brain.engines import NONE
from pipeline.stages import BRAIN_STAGES, STAGES


def test_every_chain_has_stages_and_ends_on_the_grid():
    assert tuple(CHAINS) == get_args(Prepared)
    for chain in CHAINS.values():
        assert chain[-1] == "grid"
        assert list(chain) == [name for name in STAGES if name in chain]


@pytest.mark.parametrize("stage", BRAIN_STAGES)
def test_raw_volume_is_left_by_the_stage_itself(stage):
    assert done_by(CHAINS["raw"], stage) == stage


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
    assert [done_by(CHAINS[prepared], stage) for stage in stages] == left


def test_stage_without_an_engine_is_left_out():
    engines = {"skull": "deepbet", "skull_refine": NONE}
    chain = chain_of("registered", engines)
    assert chain == ("accept", "skull", "grid")
    assert done_by(chain, "skull_refine") == "skull"
    assert chain_of("grid", engines) == CHAINS["grid"]
