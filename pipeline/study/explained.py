"""What explaining a new image ends in, whatever kind of image it is."""

from collections.abc import Callable
from typing import Any, NamedTuple

from pipeline.biomarkers.population import Ruler
from pipeline.method.explain import ImageExplanation

SCAN_FIELD = "scan_displacement.nii.gz"
Steps = list[dict[str, Any]]  # of the preparation, as sidecars hold them


class Explained(NamedTuple):
    """An explanation, the steps of the preparation, and how to make what measures it."""

    explanation: ImageExplanation
    steps: Steps
    make_ruler: Callable[[], Ruler] | None = None


def in_words(shape: tuple[int, ...]) -> str:
    """Such as ``32 x 40 x 32``."""
    return " x ".join(map(str, shape))
