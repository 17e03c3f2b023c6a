"""How images are prepared: brain volumes and their quality control, films, the toy squares."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic_core import core_schema

from pipeline.brain.engines import AUTO, EMBEDDED, ENGINES, NONE, OPTIONAL, RENAMED
from pipeline.study.config.values import (
    ALL_DIFFERENT,
    Between0And1,
    Count,
    Keys,
    NumberOf,
    Positive,
    Section,
    Text,
)


def _engine(stage: str) -> core_schema.CoreSchema:
    left_out = [NONE] if stage in OPTIONAL else []
    choices = core_schema.literal_schema([AUTO, EMBEDDED, *ENGINES[stage], *left_out])
    return core_schema.with_default_schema(choices, default=AUTO)


Engines = Annotated[
    dict[str, str],
    Keys({stage: _engine(stage) for stage in ENGINES}),
    Field(description="what does each stage", json_schema_extra={"renamed": RENAMED}),
]


class Brain(Section):
    """Preparation of brain volumes.

    Attributes
    ----------
    mixed_engines : bool
        Whether volumes of one data set may come from different engines.
    template : str
        NIfTI file of a T1 head with skull; ``null`` is ICBM 2009c, which comes with a package.
    bet_fraction : float
        Threshold of the second removal of the skull, as of ``bet -f``.
    voxel_mm : float
        Side of the grid's voxels in mm.
    """

    engines: Engines = Field(default_factory=dict)
    mixed_engines: bool = False
    template: Text | None = None
    bet_fraction: Between0And1 = 0.25
    voxel_mm: Positive = 1.3
    shape: list[Count] = Field(
        [128, 160, 112], min_length=3, max_length=3, description="voxels along x, y and z"
    )


class QualityControl(Section):
    """Which volumes are left out.

    Attributes
    ----------
    keep : str
        CSV of volumes to keep though suspect: subject, session, reason.
    drop : str
        CSV of volumes to leave out: the same columns.
    """

    exclude: Annotated[
        list[Literal["empty_planes", "brain_volume", "correlation", "overlap", "orientation"]],
        *ALL_DIFFERENT,
    ] = Field(["empty_planes"], description="checks whose suspects are left out")
    keep: Text | None = None
    drop: Text | None = None

    def lists(self) -> dict[str, str]:
        """The user's lists, by their keys."""
        return {key: path for key, path in (("keep", self.keep), ("drop", self.drop)) if path}


class Chest(Section):
    """Preparation of films.

    Attributes
    ----------
    resize : int
        Side of the square film in pixels.
    crop : int
        Side in pixels of what the networks see: at random in training, else the centre.
    shards : int
        Jobs in which the films are prepared.
    """

    resize: Count = 256
    crop: Count = 224
    shards: Count = 64


class Squares(Section):
    """The toy data set: squares of smoothed noise.

    Attributes
    ----------
    seed : int
        Of all images; each split draws from a stream of its own.
    size : int
        Side of an image in pixels.
    texture_sigma : float
        Width in pixels by which the noise in a square is smoothed.
    train : int
        Training images.
    validation, test : int
        Pairs of the split.
    """

    seed: NumberOf = 2020
    size: Count = 224
    texture_sigma: Positive = 2.5
    train: Count = 10000
    validation: Count = 200
    test: Count = 1000
