"""How a stage is described: what it is called, what does it, and what it costs."""

import gc
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Stage:
    """One stage. Its name is that of its subcommand, and of the folder of its volumes."""

    title: str  # help of the command line
    rule: str  # of the workflow
    function: str  # module:function
    version: int = 1
    volume: bool = False  # takes one brain volume from the stage before to the one after
    engines: bool = False  # `pipeline.brain.engines.ENGINES` has ways to do it
    told: str = ""  # in the methods; in braces, settings of the data set
    # What it costs (pipeline/study/plan.py, which counts, and plan_costs.csv, which measured).
    per: str = ""  # a job for each of these; of a run, one where that stage has any, or always
    work: str = ""  # what the time of a job grows with
    benchmark: str = ""  # files of earlier runs below benchmarks/


def load(name: str) -> Callable[..., Any]:
    """The function ``module:function``, imported now.

    The garbage collector does not look at what a first import makes, nor later at all that was made
    until then, since that lives as long as the process: its looks, while PyTorch is imported and at
    the end, took a quarter of the time.
    """
    module, function = name.split(":")
    spared = gc.isenabled() and module not in sys.modules
    if spared:
        gc.disable()
    try:
        return getattr(importlib.import_module(module), function)
    finally:
        if spared:
            gc.freeze()
            gc.enable()
