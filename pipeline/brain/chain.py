"""Which stages a volume goes through, by how far other programs have prepared it."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pipeline.brain.engines import NONE
from pipeline.stages import BRAIN_STAGES

Prepared = Literal["raw", "registered", "skull_stripped", "grid"]
CONVERSION = "convert"  # before the first of any chain, of volumes that are a DICOM series
ENTRY = "accept"  # takes the place of the stages that were done elsewhere
CHAINS: dict[Prepared, tuple[str, ...]] = {
    "raw": BRAIN_STAGES,
    "registered": (ENTRY, "skull", "skull_refine", "grid"),
    # A brain lies anywhere, and is registered to the template's brain.
    "skull_stripped": (ENTRY, "template", "grid"),
    "grid": (ENTRY, "grid"),
}


def chain_of(prepared: Prepared, engines: Mapping[str, str]) -> tuple[str, ...]:
    """Stages of a volume; `engines` tells of each what does it, or `NONE`."""
    return tuple(stage for stage in CHAINS[prepared] if engines.get(stage) != NONE)


def done_by(chain: Sequence[str], stage: str) -> str:
    """The stage of a chain that leaves a volume as `stage` of the whole chain would."""
    until = BRAIN_STAGES[: BRAIN_STAGES.index(stage) + 1]
    return [done for done in chain if done == ENTRY or done in until][-1]
