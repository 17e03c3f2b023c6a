"""Pictures of explanations."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pipeline.study.config.values import ALL_DIFFERENT, Name, NumberOf, Section, Share, mistake


def _check_box(box: list[float]) -> list[float]:
    left, top, right, bottom = box
    if not (left < right and top < bottom):
        raise mistake(
            "expected left, top, right, bottom with left before right and top above bottom, "
            f"found {box}"
        )
    return box


Box = Annotated[
    list[Share],
    Field(
        min_length=4,
        max_length=4,
        description="left, top, right and bottom in shares of the picture",
    ),
    AfterValidator(_check_box),
]


class FilmDetail(Section):
    """A part of a film, and how many times their length its arrows are drawn.

    Attributes
    ----------
    arrows : int
        How many times their length arrows are drawn.
    """

    box: Box
    arrows: NumberOf = 2


class VolumeDetail(FilmDetail):
    """A part of one plane of a volume.

    Attributes
    ----------
    plane : str
        The plane that is shown.
    """

    plane: Literal["sagittal", "coronal", "axial"]


class Figures(Section):
    """Which pairs are drawn, how, and what of them is shown large.

    Attributes
    ----------
    colours : str
        ``paper``: pink brighter, green darker; ``safe`` for the colour-blind: orange and
        purple.
    details : dict
        Parts that are shown large.
    """

    subjects: Annotated[list[Name], Field(min_length=1), *ALL_DIFFERENT] | None = Field(
        None, description="of the test split; null shows the best, median and worst pair"
    )
    colours: Literal["paper", "safe"] = "paper"


class VolumeFigures(Figures):
    """Figures of volumes."""

    details: dict[str, VolumeDetail] = Field(
        {
            "ventricles": VolumeDetail(plane="axial", box=[0.25, 0.25, 0.75, 0.75]),
            "temporal lobes": VolumeDetail(plane="coronal", box=[0.1, 0.4, 0.9, 1.0]),
        },
        min_length=1,
    )


class FilmFigures(Figures):
    """Figures of films."""

    details: dict[str, FilmDetail] = Field(
        {
            # Those of Figure 4 of the paper, which gives no places.
            "trachea": FilmDetail(box=[0.38, 0.0, 0.62, 0.3], arrows=1),
            "soft tissue": FilmDetail(box=[0.0, 0.3, 0.25, 0.6], arrows=1),
            "gastric bubble": FilmDetail(box=[0.6, 0.7, 0.95, 1.0], arrows=1),
            "shoulder": FilmDetail(box=[0.0, 0.0, 0.3, 0.25]),
            "lung apex": FilmDetail(box=[0.22, 0.0, 0.5, 0.25]),
        },
        min_length=1,
    )
