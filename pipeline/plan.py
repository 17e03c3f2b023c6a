"""What a configured study will cost: jobs, hours of processors and GPUs, disk. An estimate.

A job of a rule costs what it did in an earlier run below ``benchmarks/``, else what
``plan_costs.csv`` says of the demonstration; where its time grows with the size of the study, it is
scaled in proportion. That is rough: a training's hours grow with updates, voxels, images a batch
and filters of the generator, whatever the processor does with them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from math import prod
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.chest.shards import shard_of
from pipeline.cohort.flow import UNITS
from pipeline.cohort.ingest import fingerprint, ingest_settings, planned_cohort, read_cohort
from pipeline.cohort.manifest import Cohort
from pipeline.config import gpus_per_training, image_shape, modality, training_settings
from pipeline.errors import InputError
from pipeline.files import read_json
from pipeline.method.schedule import total_updates

COSTS = files("pipeline") / "plan_costs.csv"
COLUMNS = ["dataset", "rule", "jobs", "cpu_hours", "gpu_hours", "gigabytes", "measured"]
ON_GPU = ("train_model", "score_attributions")
INTERMEDIATE = (
    "orient_volume",
    "crop_volume",
    "correct_bias",
    "register_template",
    "strip_skull_robex",
    "strip_skull_bet",
)


@dataclass(frozen=True)
class Counts:
    """Images and pairs of a data set, shards that hold any, and where the numbers come from."""

    images: int = 0
    pairs: int = 0
    shards: int = 0
    pair_shards: int = 0
    source: str = "the configuration"


def count_cohort(dataset: Mapping[str, Any], folder: Path, cache: Path) -> Counts:
    """Images and pairs of a data set.

    Parameters
    ----------
    dataset
        Its part of a checked configuration.
    folder
        Its results; what an ingest left there counts where the archive is made by a job.
    cache
        Folder of the cohorts that were read before, as of the workflow.

    Raises
    ------
    InputError
        If the archive cannot be read, or is a server whose films have not been fetched.
    """
    if modality(dataset) == "toy":
        return Counts()
    made = dataset.get("demo") is not None
    fetched = bool(dataset["archive"].get("orthanc"))
    if not made and not fetched:
        settings = ingest_settings(dataset)
        cohort = planned_cohort(settings, cache / fingerprint(settings))
        return _count(cohort, dataset, "the archive")
    if (folder / "ingest/manifest.parquet").is_file():
        return _count(read_cohort(folder / "ingest"), dataset, "the manifest")
    if fetched:
        raise InputError(
            "how many films the server has is known when they are fetched: run "
            "`snakemake --cores 1 ingest_all`, then plan"
        )
    return _count_demo(dataset)


def _count(cohort: Cohort, dataset: Mapping[str, Any], source: str) -> Counts:
    shards = dataset.get("chest", {}).get("shards", 0)
    used = [
        len({shard_of(subject, shards) for subject in table["subject"]}) if shards else 0
        for table in (cohort.manifest, cohort.pairs)
    ]
    return Counts(len(cohort.manifest), len(cohort.pairs), *used, source)


def _count_demo(dataset: Mapping[str, Any]) -> Counts:
    """Subjects of a demonstration times their visits on the average; every shard is used."""
    demo, source = dataset["demo"], "the demonstration's settings"
    if modality(dataset) == "brain":
        # Every third converter has a visit more before the disease, every fourth one after it.
        converters = demo["converters"] + demo["field_mismatch"]
        images = (2 + 1 / 3 + 1 / 4) * converters + 1.5 * demo["stable_mci"]
        images += demo["ad_at_baseline"] + demo["faulty"]
        train = dataset["splits"].get("fractions", {}).get("train", 0)
        return Counts(round(images), round((1 + 1 / 4) * converters * (1 - train)), source=source)
    # Of the subjects with both films, a fifth has another normal one, a fifth one more of COPD.
    images = demo["normal"] + demo["copd"] + 2.4 * demo["paired"]
    shards = dataset["chest"]["shards"]
    return Counts(round(images), round(1.2 * demo["paired"]), shards, shards, source)


def training_work(config: dict[str, Any], dataset: str, method: str) -> float:
    """Work of a training: updates times voxels times images a batch times filters."""
    s = training_settings(config, dataset, method, seed=0)
    updates = s["epochs"] * s["updates_per_epoch"]
    if s["epoch_counts"] == "generator_updates":
        schedule = ("critic_updates", "initial_critic_updates", "initial_generator_updates")
        updates = total_updates(updates, *(s[key] for key in schedule))
    images = s["batch_size"] * s["accumulated_batches"]
    return updates * prod(image_shape(config, dataset)) * images * s["base_filters"]


@dataclass(frozen=True)
class _Study:
    """A data set of a configuration."""

    config: dict[str, Any]
    name: str
    counts: Counts

    def jobs(self, per: str) -> int:
        """How many there are of what a rule has one job for."""
        dataset, counts = self.config["datasets"][self.name], self.counts
        methods, seeds = dataset["training"]["methods"], len(self.config["seeds"])
        fields, demo = "defi-gan" in methods, dataset.get("demo") is not None
        cases = dataset.get("figures", {}).get("subjects") or ("best", "median", "worst")
        return {
            "dataset": 1,
            "described": int(dataset["source"] in UNITS),
            "server": int(bool(dataset.get("archive", {}).get("orthanc"))),
            "start": int(dataset["training"]["networks"]["critic_weights"] != "random"),
            "demo": int(demo),
            "images": counts.images,
            "pairs": counts.pairs,
            "shards": counts.shards,
            "pair_shards": counts.pair_shards,
            "models": len(methods) * seeds,
            "seeds": seeds,
            "fields": int(fields),
            "known_fields": int(fields and demo),
            "figures": int(fields) * len(cases),
        }[per]

    def work(self, kind: str) -> float:
        """How much of a kind of work one job has."""
        dataset, counts = self.config["datasets"][self.name], self.counts
        voxels = prod(image_shape(self.config, self.name))
        if kind == "training":
            methods = dataset["training"]["methods"]
            works = (training_work(self.config, self.name, method) for method in methods)
            return sum(works) / len(methods)
        return {
            "images": counts.images,
            "voxels": voxels,
            "arrays": counts.images * voxels,
            "films_of_shard": counts.images / max(counts.shards, 1),
            "pixels_of_shard": counts.pairs * voxels / max(counts.pair_shards, 1),
        }[kind]


def _measured(benchmarks: Path, pattern: str) -> float | None:
    """Mean time of the jobs of an earlier run, in seconds of the processor."""
    tables = [pd.read_csv(path, sep="\t", na_values="NA") for path in benchmarks.glob(pattern)]
    if not tables:
        return None
    table = pd.concat(tables)
    # A job that was over before Snakemake looked has no time of the processor.
    seconds = table["cpu_time"].where(table["cpu_time"] > 0, table["s"])
    return float(seconds.mean())


def _recorded_config(results: Path) -> dict[str, Any] | None:
    """The configuration of the run that left `results`, where it was recorded."""
    path = results / "provenance.json"
    return read_json(path)["config"] if path.is_file() else None


def plan_study(config: dict[str, Any], folder: Path = Path()) -> tuple[pd.DataFrame, list[str]]:
    """Estimate what a run of a configuration costs, from nothing to its end.

    Parameters
    ----------
    config
        A checked configuration.
    folder
        Of the workflow: ``benchmarks`` and ``results`` of earlier runs are looked for there. Their
        sizes are those of the configuration that ``results/provenance.json`` records, else of
        `config`.

    Returns
    -------
    table : DataFrame
        A row a data set and rule, columns `COLUMNS`; ``measured`` is ``earlier run``,
        ``demonstration``, or ``no``: its jobs count, but no hours.
    notes : list of str
        What the numbers rest on.

    Raises
    ------
    InputError
        As `count_cohort`.
    """
    costs = pd.read_csv(COSTS, comment="#")
    results, benchmarks = folder / "results", folder / "benchmarks"
    earlier = _recorded_config(results) or config
    gpu = gpus_per_training(config["device"]) > 0
    rows, notes = [], []
    for name, dataset in config["datasets"].items():
        try:
            counts = count_cohort(dataset, results / name, folder / ".snakemake/cohorts")
        except InputError as error:
            raise InputError(f"datasets.{name}: {error}") from None
        study = _Study(config, name, counts)
        before = _Study(earlier, name, counts) if name in earlier["datasets"] else study
        if counts.images:
            notes.append(f"{name}: {counts.images} images, {counts.pairs} pairs by {counts.source}")
        for cost in costs[costs["modality"] == modality(dataset)].itertuples(index=False):
            if jobs := study.jobs(cost.per):
                told = _measured(benchmarks, cost.benchmark.format(dataset=name))
                rows.append(_row(cost, jobs, told, gpu, study, before))
    planned = {row["rule"] for row in rows}
    for cost in costs[costs["modality"] == "run"].itertuples(index=False):
        if cost.per == "run" or cost.per in planned:
            rows.append(_row(cost, 1, _measured(benchmarks, cost.benchmark), gpu))
    notes.append("hours are an estimate: proportional to the work, on the processor measured")
    if gpu:
        notes.append(
            "GPU hours are those of one processor thread unless an earlier run trained on a GPU: "
            "no more than an upper bound"
        )
    return pd.DataFrame(rows, columns=COLUMNS), notes


def _row(
    cost: Any,
    jobs: int,
    told: float | None,
    gpu: bool,
    study: _Study | None = None,
    before: _Study | None = None,
) -> dict[str, Any]:
    """A row of the plan: a row of the costs, with `told`, what an earlier run says, before it."""
    seconds, growth, size = cost.seconds if told is None else told, 1.0, cost.megabytes
    if isinstance(cost.work, str):
        work = study.work(cost.work)
        growth = work / (cost.measured if told is None else before.work(cost.work))
        if cost.work != "training":
            size *= work / cost.measured
    if cost.rule in INTERMEDIATE and not study.config["keep_intermediates"]:
        size = 0
    seconds = min(cost.fixed, seconds) + max(seconds - cost.fixed, 0) * growth
    hours = jobs * seconds / 3600
    on_gpu = gpu and cost.rule in ON_GPU
    known = "demonstration" if told is None else "earlier run"
    return {
        "dataset": study.name if study else "",
        "rule": cost.rule,
        "jobs": jobs,
        "cpu_hours": 0 if on_gpu else hours,
        "gpu_hours": hours if on_gpu else 0,
        "gigabytes": jobs * size / 1000,
        "measured": "no" if pd.isna(seconds) else known,
    }


def plan_text(table: pd.DataFrame, notes: list[str]) -> str:
    """The table with its sums and notes, for a terminal."""
    total = table[["jobs", "cpu_hours", "gpu_hours", "gigabytes"]].sum()
    whole = pd.DataFrame([{"dataset": "all", "rule": "", **total, "measured": ""}])
    shown = pd.concat([table, whole], ignore_index=True).astype({"jobs": int})
    text = shown.to_string(index=False, na_rep="?", float_format="{:.3f}".format)
    unknown = table.loc[table["measured"] == "no", "rule"].unique()
    if len(unknown):
        notes = [*notes, f"not measured, so without hours: {', '.join(unknown)}"]
    return "\n".join([text, *notes])
