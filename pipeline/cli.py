"""The command line: ``python -m pipeline STAGE ...``, one subcommand a stage.

The workflow calls nothing else. The modules of a stage are imported when it runs, so that a light
stage starts at once.
"""

import argparse
import errno
import faulthandler
import importlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline.brain.engines import EMBEDDED, TOOLS
from pipeline.errors import InputError
from pipeline.sidecar import run_image_stage

log = logging.getLogger("pipeline")

# Neither the input nor the code is wrong: the place where results go cannot take them.
PLACE_ERRORS = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EROFS: "make it writable",
    errno.EACCES: "make it readable and writable",
}
# Libraries read these when they start.
THREAD_VARIABLES = (
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
)
# Stages of one volume: function(source, destination, **settings). Options after the two files
# become settings of the same name.
IMAGE_STAGES = {
    "orient": "pipeline.brain.orient:orient_volume",
    "crop": "pipeline.brain.crop:crop_field_of_view",
    "bias": "pipeline.brain.bias:correct_bias",
    "template": "pipeline.brain.template:register_to_template",
    "robex": "pipeline.brain.skull:strip_skull_robex",
    "bet": "pipeline.brain.skull:strip_skull_bet",
    "grid": "pipeline.brain.grid:resample_to_grid",
}
NOT_SETTINGS = ("command", "stage", "source", "destination", "threads", "log", "minutes")


def _load(name: str) -> Callable[..., Any]:
    module, function = name.split(":")
    return getattr(importlib.import_module(module), function)


def _image_stage(args: argparse.Namespace) -> None:
    settings = {key: value for key, value in vars(args).items() if key not in NOT_SETTINGS}
    function = _load(IMAGE_STAGES[args.stage])
    first = args.stage == "orient"
    run_image_stage(
        *(args.stage, function, args.source, args.destination, settings),
        first=first,
        minutes=args.minutes,
    )


def _make_demo_adni(args: argparse.Namespace) -> None:
    make_demo_adni = _load("pipeline.cohort.demo_adni:make_demo_adni")
    make_demo_adni(args.images, args.tables, args.truth, **args.settings)


def _make_demo_copd(args: argparse.Namespace) -> None:
    make_demo_copd = _load("pipeline.cohort.demo_copd:make_demo_copd")
    paths = (args.films, args.spirometry, args.truth, args.pseudonym_key)
    make_demo_copd(*paths, **args.settings)


def _fetch_films(args: argparse.Namespace) -> None:
    fetch_films = _load("pipeline.cohort.orthanc:fetch_films")
    paths = {"patients": args.patients, "pseudonym_key": args.pseudonym_key}
    fetch_films(args.folder, args.fetched, **paths, **args.settings)


def _ingest(args: argparse.Namespace) -> None:
    from pipeline.cohort.exclusions import count_reasons
    from pipeline.cohort.ingest import ingest_dataset, write_cohort

    cohort = ingest_dataset(args.settings, args.fetched)
    write_cohort(cohort, args.folder)
    images = cohort.manifest.groupby(["split", "label"]).size().rename("images")
    pairs = cohort.pairs.groupby("split").size().rename("pairs")
    left_out = count_reasons(cohort.exclusions)
    tables = [images.reset_index(), pairs.reset_index(), left_out]
    text = "\n\n".join(table.to_string(index=False) for table in tables)
    log.info("used, paired and left out:\n%s", text)
    print(text)


def _make_toy(args: argparse.Namespace) -> None:
    pack_toy = _load("pipeline.cohort.toy:pack_toy")
    pack_toy(args.destination, args.exclusions, **args.settings)


def _films(args: argparse.Namespace) -> None:
    from pipeline.chest.prepare import prepare_film_shard
    from pipeline.chest.shards import rows_of_shard
    from pipeline.cohort.manifest import read_manifest

    manifest = rows_of_shard(read_manifest(args.manifest), args.shard, args.shards)
    prepare_film_shard(manifest, args.destination, args.status, resize=args.resize)


def _register_volumes(args: argparse.Namespace) -> None:
    register = _load("pipeline.longitudinal:register_brain_pair")
    register(args.baseline, args.followup, args.difference, args.mask)


def _register_films(args: argparse.Namespace) -> None:
    import pandas as pd

    from pipeline.chest.shards import rows_of_shard
    from pipeline.longitudinal import register_film_pairs

    pairs = rows_of_shard(pd.read_parquet(args.pairs), args.shard, args.shards)
    register_film_pairs(args.films, pairs, args.destination, args.status, crop=args.crop)


def _check(args: argparse.Namespace) -> None:
    from pipeline.brain.template import packaged_template

    stages = (args.orient, args.template_space, args.robex, args.bet, args.grid)
    template = args.template or packaged_template()
    check_volume = _load("pipeline.qc.volume:check_volume")
    check_volume(*stages, template, args.figures, args.picture, args.asymmetry)


def _review(args: argparse.Namespace) -> None:
    review_volumes = _load("pipeline.qc.review:review_volumes")
    review_volumes(
        args.results,
        args.dataset,
        args.table,
        args.page,
        source=args.source,
        exclude=args.exclude,
        keep=args.keep,
        drop=args.drop,
        demo=args.demo,
    )


def _pack_volumes(args: argparse.Namespace) -> None:
    pack_volumes = _load("pipeline.pack:pack_volumes")
    files = (args.destination, args.exclusions, args.volumes)
    mixed = args.mixed_engines
    pack_volumes(args.results, args.dataset, *files, qc=args.qc, mixed_engines=mixed)


def _pack_films(args: argparse.Namespace) -> None:
    pack_films = _load("pipeline.pack:pack_films")
    pack_films(args.results, args.dataset, args.destination, args.exclusions, shards=args.shards)


def _describe_cohort(args: argparse.Namespace) -> None:
    write_cohort_page = _load("pipeline.cohort.page:write_cohort_page")
    paths = (args.ingest, args.exclusions, args.page)
    write_cohort_page(*paths, dataset=args.dataset, source=args.source, demo=args.demo)


def _train(args: argparse.Namespace) -> None:
    from pipeline.method.settings import TrainSettings
    from pipeline.method.train import train_model

    train_model(
        args.packed,
        args.generator.parent,
        TrainSettings.from_dict(args.settings),
        device=args.device,
        jobs_per_gpu=args.jobs_per_gpu,
        threads=args.threads,
        state_minutes=args.state_minutes,
    )


def _fetch_critic_weights(args: argparse.Namespace) -> None:
    fetch_critic_weights = _load("pipeline.method.weights:fetch_critic_weights")
    fetch_critic_weights(args.source, args.destination, args.sha256)


def _import_weights(args: argparse.Namespace) -> None:
    import_generator = _load("pipeline.method.weights:import_generator")
    print(import_generator(args.source, args.destination, flow_scale=args.flow_scale))


def _benchmark(args: argparse.Namespace) -> None:
    import yaml

    from pipeline.config import image_shape, training_settings
    from pipeline.method.benchmark import benchmark_training
    from pipeline.method.settings import TrainSettings

    config = yaml.safe_load(args.config.read_text(encoding="utf-8"))
    settings = training_settings(config, args.dataset, args.method, seed=0)
    settings |= {"critic_weights": "random"}  # the start makes no difference to the speed
    if args.batch_size:
        settings |= {"batch_size": args.batch_size}
    table = benchmark_training(
        TrainSettings.from_dict(settings),
        image_shape(config, args.dataset),
        repeats=args.repeats,
        device=args.device,
        threads=args.threads,
    )
    print(table.to_string(index=False, float_format="{:.4g}".format))


def _benchmark_films(args: argparse.Namespace) -> None:
    benchmark_films = _load("pipeline.chest.benchmark:benchmark_films")
    table = benchmark_films(args.folder, resize=args.resize, processes=args.processes)
    print(table.to_string(index=False, float_format="{:.4g}".format))


def _choose_lambda(args: argparse.Namespace) -> None:
    summarise_sweep = _load("pipeline.method.sweep:summarise_sweep")
    summarise_sweep(args.names, args.trainings, args.csv, args.png)


def _load_yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: the configuration cannot be read: {error}") from None


def _read_config(path: Path) -> dict[str, Any]:
    """Read and check a configuration."""
    from pipeline.config import check_config

    config = _load_yaml(path)
    check_config(config)
    return config


def _status(args: argparse.Namespace) -> None:
    from pipeline.method.status import training_status

    table = training_status(_read_config(args.config), args.results)
    print(table.to_string(index=False, na_rep="", float_format="{:.3f}".format))


def _doctor(args: argparse.Namespace) -> None:
    from pipeline.doctor import examine, wrong

    findings = examine(_load_yaml(args.config))
    print("\n".join(map(str, findings)))
    if wrong(findings):
        sys.exit(1)


def _plan(args: argparse.Namespace) -> None:
    from pipeline.plan import plan_study, plan_text

    print(plan_text(*plan_study(_read_config(args.config))))


def _score(args: argparse.Namespace) -> None:
    score_model = _load("pipeline.score.model:score_model")
    score_model(
        args.packed,
        args.generator,
        args.destination,
        dataset=args.dataset,
        method=args.method,
        seed=args.seed,
        device=args.device,
    )


def _score_true_deformation(args: argparse.Namespace) -> None:
    score_truth = _load("pipeline.score.truth:score_truth")
    score_truth(args.results, args.dataset, args.truth, args.destination, resize=args.resize)


def _compare_with_truth(args: argparse.Namespace) -> None:
    compare = _load("pipeline.score.field_error:compare_with_truth")
    generators = dict(zip(args.seeds, args.generators, strict=True))
    paths = (args.results, args.dataset, args.truth, generators, args.destination)
    compare(*paths, resize=args.resize)


def _truth_table(args: argparse.Namespace) -> None:
    make_truth_table = _load("pipeline.score.field_error:make_truth_table")
    make_truth_table(args.comparisons, args.destination)


def _biomarkers(args: argparse.Namespace) -> None:
    measure = _load("pipeline.biomarkers.measure:measure_biomarkers")
    generators = list(zip(args.methods, args.seeds, args.generators, strict=True))
    paths = (args.results, args.dataset, generators, args.destination)
    measure(*paths, truth=args.truth, resize=args.resize)


def _biomarker_table(args: argparse.Namespace) -> None:
    make_table = _load("pipeline.biomarkers.measure:make_biomarker_table")
    make_table(args.tables, args.demos, args.destination)


def _score_attributions(args: argparse.Namespace) -> None:
    score = _load("pipeline.score.classifier:score_attributions")
    names = {"dataset": args.dataset, "seed": args.seed, "device": args.device}
    score(args.packed, args.destination, **names, **args.settings)


def _table(args: argparse.Namespace) -> None:
    make_table = _load("pipeline.score.table:make_table")
    make_table(args.scores, args.csv, args.md, args.datasets)


def _figures(args: argparse.Namespace) -> None:
    draw_pair = _load("pipeline.figures.pairs:draw_pair")
    generators = dict(zip(args.methods, args.generators, strict=True))
    paths = (args.results, args.dataset, args.case, generators, args.scores)
    draw_pair(*paths, args.settings, args.prefix)


def _overview(args: argparse.Namespace) -> None:
    draw_overview = _load("pipeline.figures.overview:draw_overview")
    files = iter(args.files)
    models = {name: (next(files), next(files), next(files)) for name in args.names}
    draw_overview(models, args.demos, args.destination)


def _report(args: argparse.Namespace) -> None:
    make_report = _load("pipeline.report.page:make_report")
    make_report(args.results, args.destination, args.datasets, args.sections, args.seeds)


def _explain(args: argparse.Namespace) -> None:
    from pipeline.explain import NOT_DIAGNOSTIC, explain_file, read_settings

    print(NOT_DIAGNOSTIC)
    settings = read_settings(args.config, args.dataset)
    explain_file(args.source, args.generator, args.destination, settings)
    print(f"The explanation lies in {args.destination}.")


def _record_model(args: argparse.Namespace) -> None:
    record_model = _load("pipeline.provenance:record_model")
    record_model(args.packed, args.training, args.generator, args.destination, args.config)


def _record_run(args: argparse.Namespace) -> None:
    _load("pipeline.record:record_run")(args.config, args.results, args.models, args.files)


def _wait_for_jobs(args: argparse.Namespace) -> None:
    _load("pipeline.slurm:wait_for_jobs")(args.folder)


def _measure_engines(args: argparse.Namespace) -> None:
    from pipeline.brain.agreement import measure_engines
    from pipeline.brain.engines import resolve_engines

    engines = resolve_engines(dict.fromkeys(TOOLS, args.engine))
    measure_engines(args.page, engines, workers=args.threads)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--threads", type=int, default=1, help="processor threads to use")
    common.add_argument("--log", type=Path, help="file for the messages of this stage")
    parser = argparse.ArgumentParser(prog="python -m pipeline", description=__doc__.split("\n")[0])
    stages = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")

    def stage(name: str, command: Callable, text: str, *paths: str) -> argparse.ArgumentParser:
        sub = stages.add_parser(name, parents=[common], help=text, description=text)
        sub.set_defaults(command=command)
        for path in paths:
            sub.add_argument(path, type=Path)
        return sub

    def settings(sub: argparse.ArgumentParser, option: str = "--settings") -> None:
        sub.add_argument(option, type=json.loads, required=True, metavar="JSON")

    def configuration(sub: argparse.ArgumentParser, what: str = "configuration") -> None:
        """Snakemake's spelling of the option, too."""
        options = {"dest": "config", "type": Path, "default": Path("config.yaml"), "help": what}
        sub.add_argument("--config", "--configfile", **options)

    def shard(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--status", type=Path, required=True, help="table of what failed")
        sub.add_argument("--shard", type=int, required=True)
        sub.add_argument("--shards", type=int, required=True, help="number of shards")

    sub = stage(
        "make-demo-adni", _make_demo_adni, "simulate MRI studies", "images", "tables", "truth"
    )
    settings(sub)
    sub = stage(
        "make-demo-copd",
        _make_demo_copd,
        "simulate chest films",
        *("films", "spirometry", "truth", "pseudonym_key"),
    )
    settings(sub)
    sub = stage(
        "fetch-films", _fetch_films, "fetch films from Orthanc, anonymised", "folder", "fetched"
    )
    sub.add_argument("--patients", type=Path, required=True, help="table of ids, for the site only")
    sub.add_argument("--pseudonym-key", type=Path, required=True, help="secret of the names")
    settings(sub)

    sub = stage("ingest", _ingest, "read an archive: who is studied, and who is not", "folder")
    sub.add_argument("--fetched", type=Path, help="table of the films fetched from a server")
    settings(sub)

    sub = stage("make-toy", _make_toy, "make the toy data set, packed", "destination")
    sub.add_argument("--exclusions", type=Path, required=True, help="table of all left out")
    settings(sub)

    def volume_stage(name: str, text: str) -> argparse.ArgumentParser:
        sub = stage(name, _image_stage, text, "source", "destination")
        sub.add_argument("--minutes", type=float, help="time limit of the job")
        if name in TOOLS:
            engines = (EMBEDDED, TOOLS[name])
            sub.add_argument("--engine", choices=engines, default=EMBEDDED, help="what does it")
        return sub

    volume_stage("orient", "check a volume and turn it to the axes of the template")
    volume_stage("crop", "crop the field of view to the head")
    volume_stage("bias", "correct the bias field (N4)")
    sub = volume_stage("template", "register to the template, 7 degrees of freedom")
    sub.add_argument("--template", help="NIfTI file in place of the packaged template")
    volume_stage("robex", "strip the skull (ROBEX)")
    sub = volume_stage("bet", "strip the skull again (BET)")
    sub.add_argument("--fraction", type=float, required=True, help="as of `bet -f`")
    sub = stage("measure-engines", _measure_engines, "measure the engines of the stages", "page")
    sub.add_argument("--engine", choices=(EMBEDDED, "auto"), default=EMBEDDED)
    sub = volume_stage("grid", "resample to the grid of the networks, scale to [-1, 1]")
    sub.add_argument("--voxel-mm", type=float, required=True)
    sub.add_argument("--shape", type=int, nargs=3, required=True, metavar=("X", "Y", "Z"))

    sub = stage(
        "check",
        _check,
        "quality control of a volume: figures and picture",
        *("orient", "template_space", "robex", "bet", "grid"),
        *("figures", "picture", "asymmetry"),
    )
    sub.add_argument("--template", type=Path, help="NIfTI file in place of the packaged template")
    sub = stage("review", _review, "find the suspects among the volumes of a data set", "results")
    sub.add_argument("dataset")
    sub.add_argument("table", type=Path)
    sub.add_argument("page", type=Path)
    sub.add_argument("--source", required=True, help="kind of archive")
    sub.add_argument("--exclude", nargs="*", default=[], help="checks whose suspects are left out")
    sub.add_argument("--keep", type=Path, help="table of volumes that stay, CSV")
    sub.add_argument("--drop", type=Path, help="table of volumes that go, CSV")
    sub.add_argument("--demo", action="store_true", help="the data are simulated")

    sub = stage("films", _films, "prepare the films of a shard", "manifest", "destination")
    sub.add_argument("--resize", type=int, required=True, help="side of the square, pixels")
    shard(sub)
    stage(
        "register-volumes",
        _register_volumes,
        "register the baseline volume of a pair; observed difference and mask",
        *("baseline", "followup", "difference", "mask"),
    )
    sub = stage(
        "register-films",
        _register_films,
        "register the pairs of a shard; observed differences and masks",
        *("films", "pairs", "destination"),
    )
    sub.add_argument("--crop", type=int, required=True, help="side of the centred crop, pixels")
    shard(sub)

    def pack(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("dataset")
        sub.add_argument("destination", type=Path)
        sub.add_argument("--exclusions", type=Path, required=True, help="table of all left out")

    sub = stage("pack-volumes", _pack_volumes, "pack volumes and pairs into arrays", "results")
    pack(sub)
    sub.add_argument("--qc", type=Path, required=True, help="table of the quality control")
    sub.add_argument("--volumes", type=Path, required=True, help="table of all volumes")
    sub.add_argument("--mixed-engines", action="store_true", help="allow different engines")
    sub = stage("pack-films", _pack_films, "pack films and pairs into arrays", "results")
    pack(sub)
    sub.add_argument("--shards", type=int, required=True, help="number of shards")
    sub = stage("choose-lambda", _choose_lambda, "compare the lambdas of a sweep", "csv", "png")
    sub.add_argument("trainings", type=Path, nargs="+", help="training.json of each")
    sub.add_argument("--names", nargs="+", required=True, help="data sets, in the same order")
    sub = stage(
        "describe-cohort",
        _describe_cohort,
        "draw who was studied, who was not, and by which rule",
        *("ingest", "exclusions", "page"),
    )
    sub.add_argument("--dataset", required=True)
    sub.add_argument("--source", required=True, help="kind of archive")
    sub.add_argument("--demo", action="store_true", help="the data are simulated")
    sub = stage("benchmark", _benchmark, "measure the speed of a configuration")
    sub.add_argument("what", choices=["train"])
    configuration(sub)
    sub.add_argument("--dataset", required=True)
    sub.add_argument("--method", choices=("va-gan", "defi-gan"), required=True)
    sub.add_argument("--batch-size", type=int, help="in place of the configuration's")
    sub.add_argument("--repeats", type=int, default=5, help="updates timed")
    sub.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    sub = stage(
        "benchmark-films", _benchmark_films, "measure how fast films are prepared", "folder"
    )
    sub.add_argument("--resize", type=int, default=256, help="side of the square, pixels")
    sub.add_argument("--processes", type=int, default=2, help="that work at the same time")
    sub = stage("status", _status, "tell how far every training is")
    configuration(sub)
    sub.add_argument("--results", type=Path, default=Path("results"))
    sub = stage("doctor", _doctor, "tell what is wrong with this place, and how to mend it")
    configuration(sub)
    sub = stage("plan", _plan, "estimate jobs, hours and disk of a configuration")
    configuration(sub)
    sub = stage(
        "fetch-critic-weights",
        _fetch_critic_weights,
        "get the weights that the critics of films start from",
        "destination",
    )
    sub.add_argument("source", help="imagenet, or a file")
    sub.add_argument("--sha256", help="checksum of the file")
    sub = stage(
        "import-weights",
        _import_weights,
        "turn a generator of the authors' code into a model of this pipeline",
        *("source", "destination"),
    )
    sub.add_argument(
        "--flow-scale",
        type=float,
        default=1,
        help="voxels per unit of the field: 1 for the paper's models, 10 for the toy data's",
    )
    sub = stage("train", _train, "train a model", "packed", "generator")
    settings(sub)
    sub.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    sub.add_argument("--jobs-per-gpu", type=int, default=1, help="trainings that may share a GPU")
    sub.add_argument(
        "--state-minutes", type=float, default=10, help="time between two states to resume from"
    )
    sub = stage(
        "score", _score, "score a model on the test pairs", *("packed", "generator", "destination")
    )
    sub.add_argument("--dataset", required=True)
    sub.add_argument("--method", required=True)
    sub.add_argument("--seed", type=int, required=True)
    sub.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    sub = stage(
        "score-true-deformation",
        _score_true_deformation,
        "score the deformation that the demonstration applied",
        "results",
    )
    sub.add_argument("dataset")
    sub.add_argument("truth", type=Path)
    sub.add_argument("destination", type=Path)
    sub.add_argument("--resize", type=int, help="side of the square films were resized to")
    sub = stage(
        "compare-with-truth",
        _compare_with_truth,
        "compare displacement fields with those that the demonstration applied",
        "results",
    )
    sub.add_argument("dataset")
    sub.add_argument("truth", type=Path)
    sub.add_argument("destination", type=Path)
    sub.add_argument("--generators", type=Path, nargs="+", required=True)
    sub.add_argument("--seeds", type=int, nargs="+", required=True, help="of the generators")
    sub.add_argument("--resize", type=int, help="side of the square films were resized to")
    sub = stage("truth-table", _truth_table, "average the comparisons with truth", "destination")
    sub.add_argument("comparisons", type=Path, nargs="+")
    sub = stage("biomarkers", _biomarkers, "measure what the fields change", "results")
    sub.add_argument("dataset")
    sub.add_argument("destination", type=Path)
    sub.add_argument("--generators", type=Path, nargs="+", required=True)
    sub.add_argument("--methods", nargs="+", required=True, help="of the generators")
    sub.add_argument("--seeds", type=int, nargs="+", required=True, help="of the generators")
    sub.add_argument("--truth", type=Path, help="true fields of a demonstration")
    sub.add_argument("--resize", type=int, help="side of the square films were resized to")
    sub = stage("biomarker-table", _biomarker_table, "average the biomarkers", "destination")
    sub.add_argument("tables", type=Path, nargs="+")
    sub.add_argument("--demos", nargs="*", default=[], help="data sets that are simulated")
    sub = stage(
        "score-attributions",
        _score_attributions,
        "train a classifier and score its attributions on the test pairs",
        *("packed", "destination"),
    )
    sub.add_argument("--dataset", required=True)
    sub.add_argument("--seed", type=int, required=True)
    sub.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    settings(sub)
    sub = stage("table", _table, "make Table 1", "csv", "md")
    sub.add_argument("scores", type=Path, nargs="+")
    settings(sub, "--datasets")
    sub = stage("figures", _figures, "draw the explanations of a test pair", "results")
    sub.add_argument("dataset")
    sub.add_argument("case", help="best, median, worst or sub-SUBJECT")
    sub.add_argument("prefix", type=Path, help="of the files written")
    sub.add_argument("--generators", type=Path, nargs="+", required=True)
    sub.add_argument("--methods", nargs="+", required=True, help="of the generators")
    sub.add_argument("--scores", type=Path, required=True, help="by which pairs are ranked")
    settings(sub)
    sub = stage("overview", _overview, "draw explanations of the median test pairs", "destination")
    sub.add_argument("files", type=Path, nargs="+", help="array folder, generator, scores of each")
    sub.add_argument("--names", nargs="+", required=True, help="data sets, in the same order")
    sub.add_argument("--demos", nargs="*", default=[], help="those of them that are simulated")
    sub = stage("report", _report, "write the report", "results", "destination")
    settings(sub, "--datasets")
    settings(sub, "--sections")
    sub.add_argument("--seeds", type=int, nargs="+", required=True)
    sub = stage(
        "explain",
        _explain,
        "explain a new scan or film with a trained model (not a diagnostic device)",
        *("source", "generator", "destination"),
    )
    sub.add_argument("--dataset", required=True, help="data set that the model was trained on")
    configuration(sub, "configuration of its training")
    sub = stage(
        "record-model",
        _record_model,
        "write where a model comes from",
        *("packed", "training", "generator", "destination"),
    )
    settings(sub, "--config")
    sub = stage("record-run", _record_run, "write where the results come from", "results")
    settings(sub, "--config")
    sub.add_argument("--models", type=Path, nargs="+", required=True, help="their provenance")
    sub.add_argument("--files", type=Path, nargs="+", required=True, help="what the run made")
    sub = stage("wait-for-jobs", _wait_for_jobs, "wait for the Slurm jobs of a killed Snakemake")
    sub.add_argument("folder", type=Path, nargs="?", default=Path(), help="of the workflow")
    return parser


def _start_logging(path: Path | None) -> None:
    """Messages go to the log, warnings also to the terminal; a crash leaves its stack there."""
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    terminal = logging.StreamHandler()
    terminal.setLevel(logging.WARNING if path else logging.INFO)
    terminal.setFormatter(logging.Formatter("%(message)s"))
    root.addHandler(terminal)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, mode="w", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        root.addHandler(handler)
        faulthandler.enable(handler.stream)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one stage; ends the process with 2 for wrong input and 1 for any other error."""
    args = _parser().parse_args(arguments)
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(args.threads)
    # As at the end of a cluster's time limit: leave by the way that clears up what is half-written.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        _start_logging(args.log)
        args.command(args)
    except InputError as error:
        log.error("%s", error)
        sys.exit(2)
    except OSError as error:
        if error.errno not in PLACE_ERRORS:
            log.exception("%s failed", args.stage)
        else:
            remedy = PLACE_ERRORS[error.errno]
            log.error("%s: %s; %s and run again", args.stage, error, remedy)
        sys.exit(1)
    except Exception:
        log.exception("%s failed", args.stage)
        sys.exit(1)
