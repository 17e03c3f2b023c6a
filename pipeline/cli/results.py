"""Subcommands that score models, and make tables, pictures, the report and the record."""

import argparse
from pathlib import Path

from pipeline.cli.commands import Commands, add_device, add_settings, load, load_yaml


def _score(args: argparse.Namespace) -> None:
    score_model = load("pipeline.score.model:score_model")
    score_model(
        args.packed,
        args.generator,
        args.destination,
        dataset=args.dataset,
        method=args.method,
        seed=args.seed,
        device=args.device,
    )


def _score_attributions(args: argparse.Namespace) -> None:
    score = load("pipeline.score.classifier:score_attributions")
    names = {"dataset": args.dataset, "seed": args.seed, "device": args.device}
    score(args.packed, args.destination, **names, **args.settings)


def _score_true_deformation(args: argparse.Namespace) -> None:
    score_truth = load("pipeline.score.truth:score_truth")
    score_truth(args.packed, args.truth, args.destination, dataset=args.dataset)


def _compare_with_truth(args: argparse.Namespace) -> None:
    compare = load("pipeline.score.field_error:compare_with_truth")
    generators = list(zip(args.methods, args.seeds, args.generators, strict=True))
    names = {"dataset": args.dataset, "modality": args.modality}
    compare(args.packed, args.truth, generators, args.destination, **names)


def _truth_table(args: argparse.Namespace) -> None:
    make_truth_table = load("pipeline.score.field_error:make_truth_table")
    make_truth_table(args.comparisons, args.destination)


def _biomarkers(args: argparse.Namespace) -> None:
    measure = load("pipeline.biomarkers.measure:measure_biomarkers")
    generators = list(zip(args.methods, args.seeds, args.generators, strict=True))
    names = {"dataset": args.dataset, "modality": args.modality}
    measure(args.packed, generators, args.destination, truth=args.truth, **names)


def _biomarker_table(args: argparse.Namespace) -> None:
    make_table = load("pipeline.biomarkers.measure:make_biomarker_table")
    make_table(args.tables, args.datasets, args.destination)


def _table(args: argparse.Namespace) -> None:
    make_table = load("pipeline.score.table:make_table")
    make_table(args.scores, args.csv, args.md, args.datasets)


def _figures(args: argparse.Namespace) -> None:
    draw_pair = load("pipeline.figures.pair_figures:draw_pair")
    generators = dict(zip(args.methods, args.generators, strict=True))
    paths = (args.packed, args.case, generators, args.scores, args.settings, args.prefix)
    draw_pair(*paths, dataset=args.dataset)


def _overview(args: argparse.Namespace) -> None:
    draw_overview = load("pipeline.figures.overview:draw_overview")
    files = iter(args.files)
    models = {name: (next(files), next(files), next(files)) for name in args.names}
    draw_overview(models, args.datasets, args.destination)


def _report(args: argparse.Namespace) -> None:
    make_report = load("pipeline.report.page:make_report")
    make_report(args.destination, args.datasets, args.sections, args.seed)


def _record_model(args: argparse.Namespace) -> None:
    record_model = load("pipeline.record.provenance:record_model")
    paths = (args.packed, args.training, args.generator, args.destination)
    record_model(*paths, args.config, args.volumes)


def _record_config(args: argparse.Namespace) -> None:
    load("pipeline.record.config_file:record_config")(args.config, args.destination)


def _record_run(args: argparse.Namespace) -> None:
    config = load_yaml(args.config)
    load("pipeline.record.run:record_run")(config, args.results, args.models, args.files)


def add_commands(commands: Commands) -> None:
    """Add the subcommands of this part."""
    sub = commands.add(
        "score", _score, "score a model on the test pairs", *("packed", "generator", "destination")
    )
    sub.add_argument("--dataset", required=True)
    sub.add_argument("--method", required=True)
    sub.add_argument("--seed", type=int, required=True)
    add_device(sub)
    sub = commands.add(
        "score-attributions",
        _score_attributions,
        "train a classifier and score its attributions on the test pairs",
        *("packed", "destination"),
    )
    sub.add_argument("--dataset", required=True)
    sub.add_argument("--seed", type=int, required=True)
    add_device(sub)
    add_settings(sub)
    sub = commands.add(
        "score-true-deformation",
        _score_true_deformation,
        "score the deformation that the demonstration applied",
        *("packed", "truth", "destination"),
    )
    sub.add_argument("--dataset", required=True)
    sub = commands.add(
        "compare-with-truth",
        _compare_with_truth,
        "compare displacement fields with those that the demonstration applied",
        *("packed", "truth", "destination"),
    )
    sub.add_argument("--dataset", required=True)
    sub.add_argument("--generators", type=Path, nargs="+", required=True)
    sub.add_argument("--methods", nargs="+", required=True, help="of the generators")
    sub.add_argument("--seeds", type=int, nargs="+", required=True, help="of the generators")
    sub.add_argument("--modality", required=True, help="brain or chest")
    sub = commands.add(
        "truth-table", _truth_table, "average the comparisons with truth", "destination"
    )
    sub.add_argument("comparisons", type=Path, nargs="+")
    sub = commands.add(
        "biomarkers", _biomarkers, "measure what the fields change", "packed", "destination"
    )
    sub.add_argument("--dataset", required=True)
    sub.add_argument("--generators", type=Path, nargs="+", required=True)
    sub.add_argument("--methods", nargs="+", required=True, help="of the generators")
    sub.add_argument("--seeds", type=int, nargs="+", required=True, help="of the generators")
    sub.add_argument("--modality", required=True, help="brain or chest")
    sub.add_argument("--truth", type=Path, help="true fields of a demonstration")
    sub = commands.add("biomarker-table", _biomarker_table, "average the biomarkers", "destination")
    sub.add_argument("tables", type=Path, nargs="+")
    add_settings(sub, "--datasets")
    sub = commands.add("table", _table, "make Table 1", "csv", "md")
    sub.add_argument("scores", type=Path, nargs="+")
    add_settings(sub, "--datasets")
    sub = commands.add("figures", _figures, "draw the explanations of a test pair", "packed")
    sub.add_argument("case", help="best, median, worst or sub-SUBJECT")
    sub.add_argument("prefix", type=Path, help="of the files written")
    sub.add_argument("--dataset", required=True)
    sub.add_argument("--generators", type=Path, nargs="+", required=True)
    sub.add_argument("--methods", nargs="+", required=True, help="of the generators")
    sub.add_argument("--scores", type=Path, required=True, help="by which pairs are ranked")
    add_settings(sub)
    sub = commands.add(
        "overview", _overview, "draw explanations of the median test pairs", "destination"
    )
    sub.add_argument("files", type=Path, nargs="+", help="array folder, generator, scores of each")
    sub.add_argument("--names", nargs="+", required=True, help="data sets, in the same order")
    add_settings(sub, "--datasets")
    sub = commands.add("report", _report, "write the report", "destination")
    add_settings(sub, "--datasets")
    add_settings(sub, "--sections")
    sub.add_argument("--seed", type=int, required=True, help="whose models can be explored")
    sub = commands.add(
        "record-model",
        _record_model,
        "write where a model comes from",
        *("packed", "training", "generator", "destination"),
    )
    add_settings(sub, "--config")
    sub.add_argument("--volumes", type=Path, help="table of the data set's volumes")
    sub = commands.add(
        "record-config", _record_config, "write the effective configuration", "destination"
    )
    add_settings(sub, "--config")
    sub = commands.add("record-run", _record_run, "write where the results come from", "results")
    sub.add_argument("--config", type=Path, required=True, help="the effective configuration")
    sub.add_argument("--models", type=Path, nargs="+", required=True, help="their provenance")
    sub.add_argument("--files", type=Path, nargs="+", required=True, help="what the run made")
