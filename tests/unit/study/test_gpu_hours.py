"""docs/gpu-hours.md says what the plan says of each model."""

import pytest
import yaml
from helpers.documentation import tables
from helpers.workflow import ROOT

from pipeline.method.registry import METHODS
from pipeline.study.config import parse_config
from pipeline.study.costs import ASSUMED_GPU, PROCESSOR
from pipeline.study.counts import Counts
from pipeline.study.plan import _Study

PAGE = ROOT / "docs/gpu-hours.md"
FILES = {"ADNI": "config/paper.yaml", "COPD": "config/paper.yaml", "toy": "config/toy.yaml"}


def models():
    """Data set, method and hours of each row of the table of models."""
    (_, *rows) = next(table for table in tables(PAGE) if table[0][0] == "data")
    for data, method, *hours in rows:
        yield data.split()[0].strip(","), method.partition(",")[0], [float(h) for h in hours]


@pytest.mark.parametrize(("data", "method", "told"), list(models()))
def test_hours_of_a_model(data, method, told):
    config = parse_config(yaml.safe_load((ROOT / FILES[data]).read_text(encoding="utf-8")))
    study = _Study(config, data.lower(), Counts())
    (name,) = (name for name, known in METHODS.items() if known.title == method)
    cost = study.cost(name)
    for hours, speed in zip(told, (ASSUMED_GPU, PROCESSOR), strict=True):
        seconds = cost.fit / speed.operations + cost.steps * speed.update_seconds
        assert hours == pytest.approx(seconds / 3600, rel=0.05)
