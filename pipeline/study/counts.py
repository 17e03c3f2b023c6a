"""How many images and pairs a data set has, before a run or after one."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.chest.shards import shard_of
from pipeline.cohort.ingest import planned_cohort, read_cohort
from pipeline.cohort.manifest import Cohort
from pipeline.cohort.scans import is_series
from pipeline.score.uncertainty import FEWEST_SUBJECTS
from pipeline.stage.errors import InputError
from pipeline.stage.wording import number_of
from pipeline.study.config.datasets import (
    AnyDataset,
    CohortDataset,
    CopdDataset,
    FilmDataset,
    ImageDataset,
    VolumeDataset,
)
from pipeline.study.config.simulations import AdniDemo


@dataclass(frozen=True)
class Counts:
    """Images and pairs of a data set, shards that hold any, and where the numbers come from.

    ``series`` is how many of the images are a DICOM series, of which a volume is made; ``shares``
    are sentences on how the splits share them, and ``doubts`` on what a table will lack for it.
    """

    images: int = 0
    pairs: int = 0
    shards: int = 0
    pair_shards: int = 0
    source: str = "the configuration"
    series: int = 0
    shares: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def facts(self) -> list[str]:
        """What there is, in sentences."""
        images, pairs = number_of(self.images, "image"), number_of(self.pairs, "pair")
        pairs = "" if self.shares else f", {pairs} for validation and test"
        return [f"{images}{pairs}, by {self.source}", *self.shares]


def count_cohort(dataset: AnyDataset, folder: Path, cache: Path) -> Counts:
    """Images and pairs of a data set.

    Parameters
    ----------
    dataset
        Its part of the configuration.
    folder
        Its results; what an ingest left there counts where the archive is made by a job.
    cache
        Folder of the cohorts that were read before, as of the workflow.

    Raises
    ------
    InputError
        If the archive cannot be read, or is a server whose films have not been fetched.
    """
    if isinstance(dataset, ImageDataset):
        squares = dataset.squares
        pairs = squares.validation + squares.test
        return Counts(squares.train + 2 * pairs, pairs)
    if not dataset.is_made:
        return _count(planned_cohort(dataset.ingest_settings(), cache), dataset, "the archive")
    if earlier := count_earlier(dataset, folder):
        return earlier
    if dataset.is_fetched:
        raise InputError(
            "how many films the server has is known when they are fetched: run "
            "`snakemake --cores 1 ingest_all`, then plan"
        )
    return _count_demo(dataset)


def _count(cohort: Cohort, dataset: CohortDataset, source: str) -> Counts:
    shards = dataset.chest.shards if isinstance(dataset, FilmDataset) else 0
    films, pairs = (
        len({shard_of(subject, shards) for subject in table["subject"]}) if shards else 0
        for table in (cohort.manifest, cohort.pairs)
    )
    volumes = isinstance(dataset, VolumeDataset)
    series = sum(map(is_series, cohort.manifest["path"])) if volumes else 0
    return Counts(
        len(cohort.manifest),
        len(cohort.pairs),
        films,
        pairs,
        source,
        series,
        shares=tuple(split_facts(cohort)),
        doubts=tuple(too_few(cohort)),
    )


def split_facts(cohort: Cohort) -> Iterator[str]:
    """How the splits share pairs and images, in sentences."""
    split = cohort.pairs.groupby("split").size()
    told = ", ".join(f"{split.get(part, 0)} for {part}" for part in ("validation", "test"))
    yield f"pairs of a healthy and a diseased image: {told}"
    trained = cohort.manifest.loc[cohort.manifest["split"] == "train", "label"]
    healthy = int((trained == 0).sum())
    yield (
        f"trained on: {number_of(len(trained), 'image')}, {healthy} healthy and "
        f"{len(trained) - healthy} diseased, of the other subjects"
    )


def too_few(cohort: Cohort) -> Iterator[str]:
    """What a table will lack, for there are too few subjects with a test pair; a sentence."""
    tested = cohort.pairs.loc[cohort.pairs["split"] == "test", "subject"].nunique()
    if tested < FEWEST_SUBJECTS:
        few = f"with fewer than {FEWEST_SUBJECTS} there are no intervals"
        yield f"subjects with a test pair: {tested}; {few}"


def _count_demo(dataset: CohortDataset) -> Counts:
    """Subjects of a demonstration times their visits on the average; every shard is used."""
    demo, source = dataset.demo, "the demonstration's settings"
    if isinstance(demo, AdniDemo):
        # Every third converter has a visit more before the disease, every fourth one after it.
        converters = demo.converters + demo.field_mismatch
        images = (2 + 1 / 3 + 1 / 4) * converters + 1.5 * demo.stable_mci
        images += demo.ad_at_baseline + demo.faulty
        train = dataset.splits.fractions.train if dataset.splits.fractions else 0
        return Counts(round(images), round((1 + 1 / 4) * converters * (1 - train)), source=source)
    if not isinstance(dataset, CopdDataset) or dataset.demo is None:
        raise TypeError(f"{dataset.source}: a demonstration of unknown kind")
    # Of the subjects with both films, a fifth has another normal one, a fifth one more of COPD.
    demo = dataset.demo
    images = demo.normal + demo.copd + 2.4 * demo.paired
    shards = dataset.chest.shards
    return Counts(round(images), round(1.2 * demo.paired), shards, shards, source)


def count_earlier(dataset: AnyDataset, folder: Path) -> Counts | None:
    """Images and pairs of the run that left the results of a data set; None if it told none."""
    if isinstance(dataset, CohortDataset) and (folder / "ingest/manifest.parquet").is_file():
        return _count(read_cohort(folder / "ingest"), dataset, "the manifest")
    return None
