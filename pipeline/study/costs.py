"""What a job of each stage was measured to cost: ``plan_costs.csv``, or an earlier run.

Of a job a start does not grow, the rest does in proportion to its work. Where a job hardly did more
than start, its time says little of a larger one.
"""

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Protocol

import pandas as pd

from pipeline.stages import STAGES
from pipeline.study.config.datasets import AnyDataset, VolumeDataset

COSTS = files("pipeline.study") / "plan_costs.csv"


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
