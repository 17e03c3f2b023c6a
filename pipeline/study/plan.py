"""What a configured study will cost: jobs, hours of processors and GPUs, disk. An estimate.

A job of a rule costs what it did in an earlier run below ``benchmarks/``, else, or where that was
too small to tell, what ``plan_costs.csv`` says of the demonstration; where its time grows with the
size of the study, it is scaled in proportion. What networks have to do each method tells
(`pipeline.method.interface.Method.cost`). No GPU has been measured for the shipped costs: where no
earlier run trained on one, it is as fast as `pipeline.study.costs.gpu_speed` says.
"""

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import pandas as pd

from pipeline.brain.chain import CONVERSION, ENTRY
from pipeline.method.interface import Cost
from pipeline.method.registry import find_method, first_that_deforms
from pipeline.score.classifier import attribution_operations
from pipeline.score.scored import EXPLANATIONS, JUDGES
from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json
from pipeline.stages import BRAIN_STAGES, STAGES
from pipeline.study.cohorts import CACHE
from pipeline.study.config import Config, parse_config
from pipeline.study.config.datasets import AnyDataset, CohortDataset, VolumeDataset
from pipeline.study.costs import (
    PROCESSOR,
    Speed,
    StageCost,
    costs_of,
    doubt,
    gpu_speed,
    measured_seconds,
    read_costs,
    seconds_of,
)
from pipeline.study.counts import Counts, count_cohort, count_earlier

ON_GPU = ("training", "attributions", "credibility")  # kinds of work
NETWORK_WORK = ("training", "explanations", "attributions", "credibility")
LARGEST_DOUBT = 0.25  # share of an estimate that may be the start of an earlier run's jobs
LEAST_TOLD = 0.05  # GPU hours; fewer are not worth a note
INTERMEDIATE = (CONVERSION, ENTRY, *BRAIN_STAGES[:-1])


class Row(NamedTuple):
    """What the jobs of a rule cost.

    ``measured`` is ``earlier run``, ``demonstration``, of a GPU's speed ``measured`` (by the
    benchmark) or ``assumed``, or ``no``: its jobs count, but no hours.
    """

    dataset: str
    rule: str
    jobs: int
    cpu_hours: float
    gpu_hours: float
    gigabytes: float
    measured: str


@dataclass(frozen=True)
class Plan:
    """What a run costs.

    Attributes
    ----------
    counts : dict
        What each data set has.
    table : DataFrame
        A row a data set and rule, the fields of `Row`.
    notes : list of str
        What the numbers rest on.
    """

    counts: dict[str, Counts]
    table: pd.DataFrame
    notes: list[str]


@dataclass(frozen=True)
class _Study:
    """A data set of a configuration."""

    config: Config
    name: str
    counts: Counts

    @property
    def dataset(self) -> AnyDataset:
        """Its part of the configuration."""
        return self.config.datasets[self.name]

    @property
    def left_out(self) -> set[str]:
        """Stages of volumes that these do not go through."""
        chain = self.dataset.chain if isinstance(self.dataset, VolumeDataset) else ()
        return {ENTRY, *BRAIN_STAGES}.difference(chain)

    @property
    def models(self) -> list[str]:
        """The method of each model."""
        return [method for method, _ in self.config.models_of(self.name)]

    def jobs(self, per: str) -> int:
        """How many there are of what a rule has one job for."""
        dataset, counts = self.dataset, self.counts
        cohort = dataset if isinstance(dataset, CohortDataset) else None
        fields = first_that_deforms(dataset.training.methods) is not None
        demo = cohort is not None and cohort.is_demo
        cases = (cohort and cohort.figures.subjects) or ("best", "median", "worst")
        return {
            "dataset": 1,
            "server": int(cohort is not None and cohort.is_fetched),
            "start": int(dataset.training.starts_from_weights),
            "demo": int(demo),
            "images": counts.images,
            "series": counts.series,
            "pairs": counts.pairs,
            "shards": counts.shards,
            "pair_shards": counts.pair_shards,
            "models": len(self.models),
            "seeds": len(self.config.seeds),
            "fields": int(fields),
            "known_fields": int(fields and demo),
            "figures": int(fields) * len(cases),
        }[per]

    def work(self, kind: str) -> float:
        """How much of a kind of work one job has; of networks', the seconds of a processor."""
        if kind in NETWORK_WORK:
            return self.network_seconds(kind, PROCESSOR)
        counts = self.counts
        voxels = prod(self.dataset.image_shape())
        return {
            "images": counts.images,
            "voxels": voxels,
            "arrays": counts.images * voxels,
            "pair_voxels": counts.pairs * voxels,
            "films_of_shard": counts.images / max(counts.shards, 1),
            "pixels_of_shard": counts.pairs * voxels / max(counts.pair_shards, 1),
        }[kind]

    def network_seconds(self, kind: str, speed: Speed) -> float:
        """Seconds of one job's work on networks."""
        operations = speed.operations
        training, shape = self.dataset.training, self.dataset.image_shape()
        pairs = self.counts.pairs
        if kind == "attributions":
            return attribution_operations(shape, pairs, **training.of_classifier()) / operations
        costs = [self.cost(method) for method in self.models]
        if kind == "credibility":
            trained = attribution_operations(shape, 0, **training.of_classifier())
            explained = EXPLANATIONS * pairs * sum(cost.explanation for cost in costs)
            return (JUDGES * trained + explained) / operations
        if kind == "explanations":
            return pairs * mean(cost.explanation for cost in costs) / operations
        return mean(c.fit / operations + c.steps * speed.update_seconds for c in costs)

    def cost(self, method: str) -> Cost:
        """What one of the methods costs."""
        settings = self.config.training_settings(self.name, method, seed=0)
        return find_method(method).cost(settings, self.dataset.image_shape())


def _trained_elsewhere(results: Path, gpu: bool) -> bool:
    """Whether the models below `results` were trained on a GPU where none is planned, or not."""
    devices = {read_json(path)["device"] for path in results.glob("models/*/seed-*/training.json")}
    return bool(devices) and gpu == ("cpu" in devices)


def _recorded_config(results: Path) -> Config | None:
    """The configuration of the run that left `results`, where it was recorded."""
    path = results / "provenance.json"
    try:
        return parse_config(read_json(path)["config"]) if path.is_file() else None
    except InputError:  # of a release whose configurations had other keys
        return None


def plan_study(config: Config, folder: Path = Path()) -> Plan:
    """Estimate what a run of a configuration costs, from nothing to its end.

    Parameters
    ----------
    config
        Of the study.
    folder
        Of the workflow: ``benchmarks`` and ``results`` of earlier runs are looked for there. Their
        sizes are those of the configuration that ``results/provenance.json`` records, else of
        `config`.

    Raises
    ------
    InputError
        As `count_cohort`, and if a network does not fit its images.
    """
    costs = read_costs()
    results, benchmarks = folder / "results", folder / "benchmarks"
    earlier = _recorded_config(results) or config
    gpu = config.gpus_per_training() > 0
    counted, rows, with_gpu, too_small, places = {}, [], 0.0, [], {}
    for name, dataset in config.datasets.items():
        try:
            counts = counted[name] = count_cohort(dataset, results / name, folder / CACHE)
        except InputError as error:
            raise InputError(f"datasets.{name}: {error}") from None
        study = _Study(config, name, counts)
        before = study
        if name in earlier.datasets:
            left = count_earlier(earlier.datasets[name], results / name)
            before = _Study(earlier, name, left or counts)
        elsewhere = _trained_elsewhere(results / name, gpu)
        speed = gpu_speed(benchmarks, len(dataset.image_shape()), dataset.training.precision)
        places[speed.place] = True
        for cost in costs_of(costs, dataset).itertuples(index=False):
            jobs = study.jobs(cost.per)
            if not jobs or cost.stage in study.left_out:
                continue
            network = cost.work in ON_GPU
            column = "s" if network and gpu else "cpu_time"
            methods = dataset.training.methods
            patterns = {cost.benchmark.format(dataset=name, method=m) for m in methods}
            told = measured_seconds(benchmarks, patterns, column)
            if network and elsewhere:
                told = None
            if told is not None and _tells_too_little(cost, told, gpu, study, before):
                too_small.append(f"{cost.rule} of {name}")
                told = None
            if network:
                with_gpu += jobs * study.network_seconds(cost.work, speed) / 3600
            rows.append(_row(cost, jobs, told, speed if gpu else None, study, before))
    planned = {row.rule for row in rows}
    for cost in costs[costs["modality"] == "run"].itertuples(index=False):
        if cost.per == "run" or STAGES[cost.per].rule in planned:
            told = measured_seconds(benchmarks, [cost.benchmark], "cpu_time")
            rows.append(_row(cost, 1, told))
    table = pd.DataFrame(rows, columns=Row._fields)
    notes = _notes(config.device, table, with_gpu, "; ".join(places))
    if too_small:
        notes.insert(
            0,
            "an earlier run was too small to tell what these take, so its times do not count: "
            f"{', '.join(too_small)}",
        )
    return Plan(counted, table, notes)


def _tells_too_little(
    cost: StageCost, told: float, gpu: bool, study: _Study, before: _Study
) -> bool:
    """Whether the jobs of an earlier run did little but start, and the shipped costs tell more."""
    if not cost.work or pd.isna(cost.seconds):
        return False
    work = study.work(cost.work)
    assumed = gpu and cost.work in ON_GPU
    shipped = 0.0 if assumed else doubt(work / cost.measured, cost.seconds, cost.fixed)
    earlier = doubt(work / before.work(cost.work), told, cost.fixed)
    return earlier > max(LARGEST_DOUBT, shipped)


def _notes(device: str, table: pd.DataFrame, with_gpu: float, speed: str) -> list[str]:
    """What the hours rest on; `with_gpu` are those of a GPU, whose `speed` was told so."""
    hours = table["cpu_hours"] + table["gpu_hours"]
    longest = table.loc[(hours / table["jobs"]).idxmax()]
    each = (longest["cpu_hours"] + longest["gpu_hours"]) / longest["jobs"]
    notes = [
        "hours are an estimate: proportional to the work, on the processor measured",
        f"longest job: {longest['rule']} of {longest['dataset']}, {_time(each)}",
    ]
    if each >= 1:
        notes[-1] += "; a cluster's limit of time must allow it"
    if table["measured"].isin(["assumed", "measured"]).any():
        notes.append(f"GPU hours: {speed}. An earlier run on a GPU takes the place of that")
    elif device == "auto" and not table["gpu_hours"].any() and with_gpu >= LEAST_TOLD:
        notes.append(
            "no GPU is seen here, so trainings count on the processor; with `device: cuda`, as on "
            f"a cluster, they and the attributions would take about {with_gpu:,.1f} GPU hours: "
            f"{speed}"
        )
    return notes


def _time(hours: float) -> str:
    """In words, with minutes where there is less than an hour."""
    if hours >= 1:
        return f"about {hours:,.1f} hours"
    minutes = round(hours * 60)
    return f"about {minutes} minutes" if minutes > 1 else "about a minute or less"


def _row(
    cost: StageCost,
    jobs: int,
    told: float | None,
    gpu: Speed | None = None,
    study: _Study | None = None,
    before: _Study | None = None,
) -> Row:
    """A row of the plan: a row of the costs, with `told`, what an earlier run says, before it."""
    on_gpu = gpu is not None and cost.work in ON_GPU
    seconds, growth, size = cost.seconds if told is None else told, 1.0, cost.megabytes
    known = "demonstration" if told is None else "earlier run"
    if cost.work and study and before:
        work = study.work(cost.work)
        growth = work / (cost.measured if told is None else before.work(cost.work))
        if cost.work not in NETWORK_WORK:  # a model is as large however long it trains
            size *= work / cost.measured
    if cost.stage in INTERMEDIATE and study and not study.config.keep_intermediates:
        size = 0
    seconds = seconds_of(growth, seconds, cost.fixed)
    if gpu and on_gpu and study and told is None:
        seconds, known = cost.fixed + study.network_seconds(cost.work, gpu), gpu.source
    hours = jobs * seconds / 3600
    return Row(
        dataset=study.name if study else "",
        rule=cost.rule,
        jobs=jobs,
        cpu_hours=0.0 if on_gpu else hours,
        gpu_hours=hours if on_gpu else 0.0,
        gigabytes=jobs * size / 1000,
        measured="no" if pd.isna(seconds) else known,
    )


def plan_summary(plan: Plan) -> str:
    """The sums of a plan."""
    total = plan.table[["jobs", "cpu_hours", "gpu_hours", "gigabytes"]].sum()
    spent = (
        f"{total[column]:,.1f} {what} hours"
        if total[column] >= 1
        else f"{60 * total[column]:.0f} {what} minutes"
        for column, what in (("cpu_hours", "CPU"), ("gpu_hours", "GPU"))
        if what == "CPU" or total[column]
    )
    return f"{total['jobs']:,.0f} jobs, {', '.join(spent)}, {total['gigabytes']:,.1f} GB of disk"


def plan_text(plan: Plan) -> str:
    """The table with its sums and notes, for a terminal."""
    table = plan.table
    facts = [
        f"{name}: {fact}"
        for name, counts in plan.counts.items()
        for fact in (*counts.facts, *counts.doubts)
    ]
    notes = [
        "a whole run, as `snakemake` without a target: its tables, pictures and report",
        *facts,
        *plan.notes,
    ]
    hours = ["cpu_hours", "gpu_hours"]
    unit, size = ("hours", 1) if table[hours].sum().sum() >= 1 else ("minutes", 60)
    titles = {"cpu_hours": f"CPU {unit}", "gpu_hours": f"GPU {unit}", "gigabytes": "GB"}
    shown = table.assign(**size * table[hours])
    shown = shown.rename(columns=titles | {"measured": f"{unit} from"})
    text = shown.to_string(index=False, na_rep="?", float_format="{:,.2f}".format)
    if (table["measured"] == "demonstration").any():
        notes.append(f"{unit} from the demonstration: as shipped, scaled to this study")
    unknown = table.loc[table["measured"] == "no", "rule"].unique()
    if len(unknown):
        notes.append(f"not measured, so without hours: {', '.join(unknown)}")
    return "\n".join([text, "", f"in all: {plan_summary(plan)}", *listed(notes)])


def listed(notes: Iterable[str]) -> list[str]:
    """Notes as the items of a list, for a terminal."""
    wrapper = textwrap.TextWrapper(100, subsequent_indent="  ")
    wrapper.break_on_hyphens = wrapper.break_long_words = False  # paths stay whole
    return [wrapper.fill(f"- {note}") for note in notes]
