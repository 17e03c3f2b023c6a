# What the rules share: the checked configuration, paths, and who is in the graph.

import json
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

from pipeline import layout
from pipeline.chest.shards import shard_of
from pipeline.cohort.ingest import (
    fingerprint,
    ingest_settings,
    planned_cohort,
    read_cohort,
)
from pipeline.config import MODALITY, check_config, gpus_per_training, training_settings
from pipeline.errors import InputError
from pipeline.sidecar import sidecar_path

try:
    check_config(config)
except InputError as error:
    raise WorkflowError(str(error)) from None

DATASETS = config["datasets"]
SEEDS = config["seeds"]
DEMOS = [name for name, dataset in DATASETS.items() if dataset["demo"] is not None]


def of_modality(modality):
    return [name for name, d in DATASETS.items() if MODALITY[d["source"]] == modality]


def one_of(names):
    """Pattern of a wildcard that is one of `names`; one that never matches when there are none."""
    return "|".join(names) or "(?!)"


BRAIN = one_of(of_modality("brain"))
CHEST = one_of(of_modality("chest"))


wildcard_constraints:
    dataset=one_of(DATASETS),
    subject="[A-Za-z0-9]+",
    session="[A-Za-z0-9]+",
    baseline="[A-Za-z0-9]+",
    followup="[A-Za-z0-9]+",
    shard=r"\d+",
    method="va-gan|defi-gan",
    seed=r"\d+",


# ---- paths, with the wildcards of the rules ----


def volume(stage):
    return "results/" + layout.volume("{dataset}", stage, "{subject}", "{session}")


def sidecar(stage):
    return str(sidecar_path(Path(volume(stage))))


def volume_log(stage, folder="logs", suffix="log"):
    return f"{folder}/{{dataset}}/{stage}/sub-{{subject}}_ses-{{session}}.{suffix}"


def volume_benchmark(stage):
    return volume_log(stage, "benchmarks", "tsv")


def pair(suffix):
    path = layout.pair("{dataset}", "{subject}", "{followup}", "{baseline}", suffix)
    return "results/" + path


def model(name):
    return "results/{dataset}/models/{method}/seed-{seed}/" + name


# ---- settings on a command line ----


def as_json(settings):
    return json.dumps(settings, sort_keys=True)


def demo_settings(name):
    return as_json({k: v for k, v in DATASETS[name]["demo"].items() if k != "truth"})


def brain_settings(key):
    return lambda wildcards: DATASETS[wildcards.dataset]["brain"][key]


def chest_settings(key):
    return lambda wildcards: DATASETS[wildcards.dataset]["chest"][key]


# ---- who is in the graph ----


@cache
def archive_state(dataset):
    """Changes whenever a ready archive does, so that it is read again."""
    demo = DATASETS[dataset]["demo"] is not None
    return None if demo else fingerprint(ingest_settings(DATASETS[dataset]))


@cache
def ready_cohort(dataset):
    try:
        settings = ingest_settings(DATASETS[dataset])
        return planned_cohort(
            settings, Path(".snakemake/cohorts") / archive_state(dataset)
        )
    except InputError as error:
        raise WorkflowError(f"datasets.{dataset}: {error}") from None


@cache
def ingested_cohort(folder, changed):
    return read_cohort(folder)


def cohort(dataset):
    """Manifest, pairs and exclusions of a data set, for planning.

    A ready archive is read when the graph is planned, so that a dry run shows every job. The
    demonstration's archive is itself made by a job: its cohort is known when the checkpoint is.
    """
    if DATASETS[dataset]["demo"] is None:
        return ready_cohort(dataset)
    manifest = Path(checkpoints.ingest.get(dataset=dataset).output.manifest)
    return ingested_cohort(manifest.parent, manifest.stat().st_mtime_ns)


def on_methods(pattern, datasets=DATASETS):
    """`pattern` for each data set, each of its methods and each seed."""
    return [
        pattern.format(dataset=name, method=method, seed=seed)
        for name in datasets
        for method in DATASETS[name]["training"]["methods"]
        for seed in SEEDS
    ]
