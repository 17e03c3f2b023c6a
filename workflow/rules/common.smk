# What the rules share: the study, and patterns of paths.

import atexit
import gc
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.settings.types import DeploymentMethod

from pipeline.brain.chain import ENTRY
from pipeline.brain.engines import engine_table
from pipeline.method.registry import METHODS
from pipeline.stage import layout
from pipeline.stage.errors import InputError
from pipeline.stages import STAGES
from pipeline.study.config import read_config
from pipeline.study.doctor import check_jobs, quick_checks, wrong
from pipeline.study.one_folder import check_folder, closing_words
from pipeline.study.patterns import (
    COHORT_FILES,
    figure,
    model,
    one_of,
    pair,
    quality,
    sweep_model,
    volume,
    volume_benchmark,
    volume_log,
)
from pipeline.study.scheduling import plan_one_look_at_a_time
from pipeline.study.study import Study

# The graph only grows while it is planned: looking for garbage in it again and again is in vain and
# takes long in one of thousands of volumes. Nor does anybody need it taken apart in the end.
gc.disable()
atexit.register(gc.freeze)
plan_one_look_at_a_time()

ENVIRONMENT = "../../envs/{}.yaml"
PYTHON_ENV = ENVIRONMENT.format("python")
CONDA = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method


def made_manifest(dataset):
    return checkpoints.ingest_made.get(dataset=dataset).output.manifest


def stop_if_wrong(findings):
    if mistakes := wrong(findings):
        raise WorkflowError("\n".join(map(str, mistakes)))


try:
    study = Study(read_config(config), made_manifest, conda=CONDA)
except InputError as error:
    raise WorkflowError(str(error)) from None
if workflow.is_main_process:
    # What would certainly stop the run later; the command doctor looks at more.
    stop_if_wrong(quick_checks(packages=not CONDA))
    if any(study.engines.values()):
        logger.info(engine_table(study.engines))


def intermediate(path):
    """A volume between two stages, which the configuration may want to be removed once used."""
    return path if study.config.keep_intermediates else temp(path)


wildcard_constraints:
    dataset=one_of(study.datasets),
    subject="[A-Za-z0-9]+",
    session="[A-Za-z0-9]+",
    baseline="[A-Za-z0-9]+",
    followup="[A-Za-z0-9]+",
    shard=r"\d+",
    method=one_of(METHODS),
    seed=r"\d+",
    factor=r"[\d.]+",
    case="best|median|worst|sub-[A-Za-z0-9]+",
