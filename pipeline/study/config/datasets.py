"""A data set of a study, by the source that it comes from and by what its images show."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pipeline.brain.chain import Prepared, chain_of
from pipeline.method.registry import METHODS
from pipeline.stage.about import About
from pipeline.study.config.derived import with_derived
from pipeline.study.config.pictures import Figures, FilmFigures, VolumeFigures
from pipeline.study.config.preparation import Brain, Chest, QualityControl, Squares
from pipeline.study.config.simulations import AdniDemo, CopdDemo, Demo
from pipeline.study.config.sources import (
    AdniArchive,
    Archive,
    BidsArchive,
    Classes,
    Columns,
    CopdArchive,
    DateFormat,
    FilmSplits,
    PlainArchive,
    SharedCohort,
    SpirometryLabels,
    SplitLists,
    Splits,
    VolumeSplits,
)
from pipeline.study.config.trainings import (
    FilmTraining,
    ImageTraining,
    Training,
    VolumeTraining,
    WeightsFile,
)
from pipeline.study.config.values import Keys, Number, Section, Text, is_none, mistake, unsaid

MeanSd = Annotated[
    list[Number | None],
    Field(
        min_length=2,
        max_length=2,
        description="mean and standard deviation over seeds, which is null for a single model",
    ),
]
Published = Annotated[dict[str, MeanSd], Keys(dict.fromkeys(METHODS, MeanSd))]
Paths = Iterator[tuple[str, str]]
# What decides who is studied.
INGESTED = {"source", "archive", "series", "columns", "date_format", "splits", "labels", "cohort"}


class Disease(Section):
    """The disease that a data set is about, and its two groups.

    Attributes
    ----------
    name : str
        What tables, pictures and pages call the disease.
    healthy, diseased : str
        What they call the two groups.
    """

    name: Text
    healthy: Text
    diseased: Text


class Dataset(Section):
    """What every data set has."""

    SHAPE: ClassVar[str]  # the key that says how large its images are

    source: str
    title: Text = Field(
        description="in tables, pictures and pages; else the name of the dataset or table"
    )
    modality: str
    disease: Disease = Field(
        description="name: NAME, healthy: GROUP, diseased: GROUP; else in the words of labels"
    )
    training: Training
    published: Published | None = Field(
        None, description="figures to show beside, by method: [mean, standard deviation]"
    )

    def image_shape(self) -> tuple[int, ...]:
        """Shape of the images that the networks see."""
        raise NotImplementedError

    @property
    def data(self) -> str:
        """``toy``, ``demo`` (simulated) or ``real``."""
        raise NotImplementedError

    def describe(self) -> About:
        """What tables, pictures and pages tell of it."""
        return {
            "title": self.title,
            "modality": self.modality,
            "disease": {
                "name": self.disease.name,
                "healthy": self.disease.healthy,
                "diseased": self.disease.diseased,
            },
            "data": self.data,
        }

    def paths(self) -> Paths:
        """Key and path of all that must be there before the first job."""
        weights = self.training.networks.critic_weights
        if isinstance(weights, WeightsFile):
            yield "training.networks.critic_weights.file", weights.file

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        shape, poolings = self.image_shape(), self.training.networks.poolings
        if any(size % 2**poolings for size in shape):
            raise mistake(
                f"{' x '.join(map(str, shape))} cannot be halved {poolings} times "
                f"(training.networks.poolings); expected multiples of {2**poolings}",
                self.SHAPE,
            )
        return self


class ImageDataset(Dataset):
    """Images that the pipeline makes, of nobody."""

    SHAPE = "squares.size"

    source: Literal["toy"]
    title: Text = "Toy squares"
    modality: Literal["image"] = "image"
    disease: Disease = Disease(name="small size", healthy="large", diseased="small")
    squares: Squares = Squares()
    training: ImageTraining = unsaid()

    @property
    def data(self) -> str:
        """Nobody's."""
        return "toy"

    def image_shape(self) -> tuple[int, ...]:
        """Square images."""
        return (self.squares.size,) * 2


class CohortDataset(Dataset):
    """Images of people, from an archive.

    Attributes
    ----------
    demo : Demo
        Simulates the study in place of the archive; ``null`` where real data are.
    cohort : SharedCohort
        Studies the images that another study listed, in its splits and pairs, and no others.
    """

    archive: Archive
    date_format: DateFormat = None
    demo: Demo | None = None
    splits: Splits
    cohort: SharedCohort | None = Field(None, exclude_if=is_none, description="list: FILE")
    figures: Figures

    @model_validator(mode="before")
    @classmethod
    def _derive(cls, given: Any) -> Any:
        return with_derived(given)

    @property
    def is_demo(self) -> bool:
        """Whether the archive is simulated."""
        return self.demo is not None

    @property
    def data(self) -> str:
        """Real people's, or simulated."""
        return "demo" if self.is_demo else "real"

    @property
    def is_fetched(self) -> bool:
        """Whether the images come from a server."""
        return False

    @property
    def is_made(self) -> bool:
        """Whether a job makes the archive."""
        return self.is_demo or self.is_fetched

    def paths(self) -> Paths:
        """The archive and the lists of the splits, unless a job makes them."""
        for key, path in self.archive.paths().items():
            if not (self.is_demo or (self.is_fetched and key == "films")):
                yield f"archive.{key}", path
        for split, path in self.split_lists().items():
            if path not in self.lists_made():
                yield "cohort.list" if self.cohort else f"splits.lists.{split}", path
        yield from super().paths()

    def ingest_settings(self) -> dict[str, Any]:
        """What decides who is studied."""
        settings = self.model_dump(include=INGESTED)
        return settings | ({"splits": {"lists": self.split_lists()}} if self.cohort else {})

    def split_lists(self) -> dict[str, str]:
        """Files with the subjects of each split, where there are such."""
        if self.cohort:
            return dict.fromkeys(SplitLists.model_fields, self.cohort.list)
        return self.splits.lists.model_dump() if self.splits.lists else {}

    def lists_made(self) -> list[str]:
        """Lists of the splits that a simulation writes, in the order of the splits."""
        return []

    @model_validator(mode="after")
    def _check_published(self) -> Self:
        if self.is_demo and self.published is not None:
            raise mistake("a demonstration has no published figures", "published")
        return self


class VolumeDataset(CohortDataset):
    """Brain MRI."""

    SHAPE = "brain.shape"

    modality: Literal["brain"] = "brain"
    prepared: Prepared = Field("raw", description="what other programs did to the volumes")
    splits: VolumeSplits = unsaid()
    brain: Brain = unsaid()
    qc: QualityControl = QualityControl()
    training: VolumeTraining = unsaid()
    figures: VolumeFigures = VolumeFigures()

    @property
    def chain(self) -> tuple[str, ...]:
        """Stages that its volumes go through."""
        return chain_of(self.prepared, self.brain.engines)

    def image_shape(self) -> tuple[int, ...]:
        """Voxels of the grid."""
        return tuple(self.brain.shape)

    def paths(self) -> Paths:
        """Its template and its lists of volumes, too."""
        yield from super().paths()
        if self.brain.template is not None:
            yield "brain.template", self.brain.template
        for key, path in self.qc.lists().items():
            yield f"qc.{key}", path

    @model_validator(mode="after")
    def _check_prepared(self) -> Self:
        if self.is_demo and self.prepared != "raw":
            raise mistake("a demonstration makes raw scans; expected raw", "prepared")
        return self


class FilmDataset(CohortDataset):
    """Chest films."""

    SHAPE = "chest.crop"

    modality: Literal["chest"] = "chest"
    splits: FilmSplits = unsaid()
    chest: Chest = Chest()
    training: FilmTraining = unsaid()
    figures: FilmFigures = FilmFigures()

    def image_shape(self) -> tuple[int, ...]:
        """Pixels of the square that is cut out."""
        return (self.chest.crop,) * 2


class AdniDataset(VolumeDataset):
    """Mild cognitive impairment and Alzheimer's disease, from ADNI."""

    source: Literal["adni"]
    title: Text = "ADNI"
    disease: Disease = Disease(name="Alzheimer's disease", healthy="MCI", diseased="AD")
    archive: AdniArchive
    series: Literal["preprocessed", "original"] = Field(
        "preprocessed", description="which T1 images of an exam are used"
    )
    columns: Columns = None
    demo: AdniDemo | None = None

    def lists_made(self) -> list[str]:
        """Where a head is held out for the test, the simulation tells whose it is."""
        lists = self.splits.lists
        return (
            list(lists.model_dump().values()) if lists and self.demo and self.demo.held_out else []
        )

    @model_validator(mode="after")
    def _check_held_out(self) -> Self:
        if self.demo and self.demo.held_out and self.splits.lists is None:
            raise mistake(
                "expected 0, or splits.lists, which the simulation then writes", "demo.held_out"
            )
        return self


class CopdDataset(FilmDataset):
    """Films of people with and without COPD, told apart by lung function tests."""

    source: Literal["copd"]
    title: Text = "COPD"
    disease: Disease = Disease(name="COPD", healthy="normal", diseased="COPD")
    archive: CopdArchive
    labels: SpirometryLabels
    demo: CopdDemo | None = None

    @property
    def is_fetched(self) -> bool:
        """Whether the films come from a server."""
        return self.archive.orthanc is not None

    @model_validator(mode="after")
    def _check_server(self) -> Self:
        if self.is_demo and self.is_fetched:
            raise mistake(
                "a demonstration makes its films; set one of the two to null", "archive.orthanc"
            )
        return self


class BidsDataset(VolumeDataset):
    """Volumes of a BIDS dataset."""

    source: Literal["bids"]
    archive: BidsArchive
    columns: Columns = None
    labels: Classes
    demo: None = None

    def ingest_settings(self) -> dict[str, Any]:
        """Which image of a visit is taken depends on how it was prepared, too."""
        return {**super().ingest_settings(), "prepared": self.prepared}


class PlainVolumes(VolumeDataset):
    """Volumes that a table names."""

    source: Literal["manifest"]
    modality: Literal["brain"]
    archive: PlainArchive
    columns: Columns = None
    labels: Classes
    demo: None = None

    def ingest_settings(self) -> dict[str, Any]:
        """Volumes may be series of slices, films are not."""
        return {**super().ingest_settings(), "modality": self.modality}


class PlainFilms(FilmDataset):
    """Films that a table names."""

    source: Literal["manifest"]
    modality: Literal["chest"]
    archive: PlainArchive
    columns: Columns = None
    labels: Classes
    demo: None = None


AnyDataset = Annotated[
    AdniDataset
    | CopdDataset
    | ImageDataset
    | BidsDataset
    | Annotated[PlainVolumes | PlainFilms, Field(discriminator="modality")],
    Field(discriminator="source"),
]
