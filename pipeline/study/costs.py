"""What a job of each stage was measured to cost: ``plan_costs.csv``."""

from importlib.resources import files
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
