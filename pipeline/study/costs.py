"""What jobs were measured to cost: ``plan_costs.csv``, an earlier run, and the speed of a GPU.

Of a job a start does not grow, the rest does in proportion to its work. Where a job hardly did more
than start, its time says little of a larger one.
"""

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pandas as pd

from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json
from pipeline.stages import STAGES
from pipeline.study.config.datasets import AnyDataset, VolumeDataset

COSTS = files("pipeline.study") / "plan_costs.csv"


class Speed(NamedTuple):
    """How fast networks are somewhere.

    Attributes
    ----------
    operations : float
        Floating-point operations a second.
    update_seconds : float
        That an update takes besides: its thousand steps, however small the images.
    source : {"measured", "assumed"}
    place : str
        What computes, for notes.
    """

    operations: float
    update_seconds: float
    source: str
    place: str


# One thread: measured, from the size of the demonstration to that of the paper.
PROCESSOR = Speed(65e9, 0.02, "measured", "one processor thread")
ASSUMED_GPU = Speed(
    5e12,
    0.02,
    "assumed",
    "a GPU is assumed to do 5e+12 operations a second, a quarter of an NVIDIA A100's best in "
    "single precision; none has been measured (`python -m pipeline benchmark gpu` measures one)",
)


class StageCost(Protocol):
    """A row of `read_costs`."""

    stage: str
    rule: str
    work: str
    seconds: float
    fixed: float
    megabytes: float
    measured: float


def read_costs() -> pd.DataFrame:
    """What is known of the cost of each stage: its row of `STAGES` and what was measured."""
    measured = pd.read_csv(COSTS, comment="#")
    known = pd.DataFrame({"stage": name, **vars(stage)} for name, stage in STAGES.items())
    return measured.merge(known[["stage", "rule", "per", "work", "benchmark"]], on="stage")


def costs_of(costs: pd.DataFrame, dataset: AnyDataset) -> pd.DataFrame:
    """The rows of a data set's modality: of a stage that of its engine, if that was measured."""
    costs = costs[costs["modality"] == dataset.modality]
    engines = dataset.brain.engines if isinstance(dataset, VolumeDataset) else {}
    own = costs["engine"] == costs["stage"].map(engines)
    others = costs["engine"].isna() & ~costs["stage"].isin(costs.loc[own, "stage"])
    return costs[own | others]


def measured_seconds(benchmarks: Path, patterns: Iterable[str], column: str) -> float | None:
    """Mean time of the jobs of an earlier run: ``cpu_time`` or, by the clock, ``s``; seconds."""
    paths = [path for pattern in patterns for path in benchmarks.glob(pattern)]
    tables = [pd.read_csv(path, sep="\t", na_values="NA") for path in paths]
    if not tables:
        return None
    table = pd.concat(tables)
    # A job that was over before Snakemake looked has no time of the processor.
    seconds = table[column].where(table[column] > 0, table["s"])
    return float(seconds.mean())


def seconds_of(growth: float, measured: float, fixed: float) -> float:
    """Seconds of a job of `growth` times the work of one that took `measured`.

    Parameters
    ----------
    growth
        How many times the work.
    measured
        Seconds of the job that was measured.
    fixed
        Seconds of its start, which do not grow.
    """
    return min(fixed, measured) + max(measured - fixed, 0) * growth


def doubt(growth: float, measured: float, fixed: float) -> float:
    """Share of `seconds_of` by which it errs if the measured job took twice as long to start."""
    return max(growth - 1, 0) * fixed / seconds_of(growth, measured, fixed)


def gpu_speed(benchmarks: Path, dimensions: int, precision: str) -> Speed:
    """Speed of a GPU on images of some dimensions, where ``gpu.json`` tells it; else assumed.

    Parameters
    ----------
    benchmarks
        Folder where `pipeline.measure.benchmarks.benchmark` left it.
    dimensions
        Of the images.
    precision
        Of the training.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    path = benchmarks / "gpu.json"
    if not path.is_file():
        return ASSUMED_GPU
    try:
        record = read_json(path)
        name, points = record["machine"]["gpu"], _points(record, dimensions, precision)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} cannot be read ({type(error).__name__}: {error}); measure again, by "
            "`python -m pipeline benchmark gpu`, or remove it"
        ) from None
    if name is None or not points:
        return ASSUMED_GPU
    (least, quickest), (most, slowest) = min(points), max(points)
    operations, rest = most / slowest, 0.0
    if slowest > quickest:  # two sizes: what does not grow with them is of the update
        operations = (most - least) / (slowest - quickest)
        rest = max(quickest - least / operations, 0.0)
    return Speed(operations, rest, "measured", f"as measured on {name} ({path})")


def _points(record: dict[str, Any], dimensions: int, precision: str) -> list[tuple[float, float]]:
    """Operations and seconds of an update on the average, for each size that was measured."""
    alone = {"updates": "pipeline", "precision": precision, "trainings": 1, "images": "device"}
    return [
        (
            (row["critic_operations"] + row["generator_operations"]) / 2,
            (row["critic_s"] + row["generator_s"]) / 2,
        )
        for row in record["measurements"]
        if "failed" not in row and len(row["shape"]) == dimensions and alone.items() <= row.items()
    ]
