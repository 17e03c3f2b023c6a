"""Which stages a volume goes through, by how far other programs have prepared it."""

from typing import Literal

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


def done_by(prepared: Prepared, stage: str) -> str:
    """The stage of a chain that leaves a volume as `stage` of the whole chain would."""
    until = BRAIN_STAGES[: BRAIN_STAGES.index(stage) + 1]
    return [done for done in CHAINS[prepared] if done == ENTRY or done in until][-1]
