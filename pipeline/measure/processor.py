"""The processor that is measured on, as Linux tells it."""

import platform
from pathlib import Path

TOLD = Path("/proc/cpuinfo")
BF16_INSTRUCTIONS = {"avx512_bf16", "amx_bf16"}


def processor_name() -> str:
    """Kind of the processor, without a name of the machine."""
    return f"{_told('model name') or 'unknown processor'} ({platform.machine()})"


def has_bf16_instructions() -> bool:
    """Whether it computes in 16 bits."""
    return not BF16_INSTRUCTIONS.isdisjoint(_told("flags").split())


def _told(what: str) -> str:
    """A line of the first core; `""` where there is none."""
    lines = TOLD.read_text(encoding="utf-8").splitlines() if TOLD.is_file() else []
    told = (line.partition(":")[2].strip() for line in lines if line.startswith(what))
    return next(told, "")
