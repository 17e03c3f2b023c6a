"""Subcommands that score models, and make tables, pictures, the report and the record."""

import argparse
from pathlib import Path

from pipeline.cli.commands import Commands, add_device, add_settings, load_yaml
from pipeline.stages import stage_function


def _score(args: argparse.Namespace) -> None:
    score_model = stage_function(args.stage)
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
    score = stage_function(args.stage)
    names = {"dataset": args.dataset, "seed": args.seed, "device": args.device}
    score(args.packed, args.destination, **names, **args.settings)


def _score_true_deformation(args: argparse.Namespace) -> None:
    score_truth = stage_function(args.stage)
    score_truth(args.packed, args.truth, args.destination, dataset=args.dataset)


def _compare_with_truth(args: argparse.Namespace) -> None:
    compare = stage_function(args.stage)
    names = {"dataset": args.dataset, "modality": args.modality}
    compare(args.packed, args.truth, _models(args), args.destination, **names)


def _truth_table(args: argparse.Namespace) -> None:
    make_truth_table = stage_function(args.stage)
    make_truth_table(args.comparisons, args.destination)


def _demo_table(args: argparse.Namespace) -> None:
    make_demo_table = stage_function(args.stage)
    make_demo_table(args.datasets, args.packed, args.truths, args.destination)


def _biomarkers(args: argparse.Namespace) -> None:
    measure = stage_function(args.stage)
    names = {"dataset": args.dataset, "modality": args.modality}
    measure(args.packed, _models(args), args.destination, truth=args.truth, **names)


def _biomarker_table(args: argparse.Namespace) -> None:
    make_table = stage_function(args.stage)
    make_table(args.tables, args.datasets, args.destination)


def _table(args: argparse.Namespace) -> None:
    make_table = stage_function(args.stage)
    make_table(args.scores, args.csv, args.md, args.datasets)


def _claims_table(args: argparse.Namespace) -> None:
    make_table = stage_function(args.stage)
    models = list(zip(args.scores, args.histories, strict=True))
    make_table(models, args.datasets, args.destination)


def _credibility(args: argparse.Namespace) -> None:
    measure = stage_function(args.stage)
    names = {"dataset": args.dataset, "modality": args.modality, "device": args.device}
    paths = (args.packed, _models(args), args.destination)
    measure(*paths, classifier=args.classifier, truth=args.truth, **names)


def _credibility_table(args: argparse.Namespace) -> None:
    make_table = stage_function(args.stage)
    make_table(args.tables, args.table1, args.csv, args.md, args.datasets)


def _figures(args: argparse.Namespace) -> None:
    draw_pair = stage_function(args.stage)
    generators = dict(zip(args.methods, args.generators, strict=True))
    paths = (args.packed, args.case, generators, args.scores, args.settings, args.prefix)
    draw_pair(*paths, dataset=args.dataset)


def _overview(args: argparse.Namespace) -> None:
    draw_overview = stage_function(args.stage)
    files = iter(args.files)
    models = {name: (next(files), next(files), next(files)) for name in args.names}
    draw_overview(models, args.datasets, args.destination)


def _report(args: argparse.Namespace) -> None:
    make_report = stage_function(args.stage)
    make_report(args.destination, args.datasets, args.sections, args.seed)


def _record_model(args: argparse.Namespace) -> None:
    record_model = stage_function(args.stage)
    paths = (args.packed, args.training, args.generator, args.destination)
    record_model(*paths, args.config, args.volumes)


def _record_config(args: argparse.Namespace) -> None:
    stage_function(args.stage)(args.config, args.destination)


def _record_run(args: argparse.Namespace) -> None:
    config = load_yaml(args.config)
    stage_function(args.stage)(config, args.results, args.models, args.files)


def _add_models(sub: argparse.ArgumentParser) -> None:
    """Add the options of a stage that looks at all models of a data set."""
    sub.add_argument("--dataset", required=True)
    sub.add_argument("--generators", type=Path, nargs="+", required=True)
    sub.add_argument("--methods", nargs="+", required=True, help="of the generators")
    sub.add_argument("--seeds", type=int, nargs="+", required=True, help="of the generators")
    sub.add_argument("--modality", required=True, help="brain, chest or image")


def _models(args: argparse.Namespace) -> list[tuple[str, int, Path]]:
    """Method, seed and file of each."""
    return list(zip(args.methods, args.seeds, args.generators, strict=True))


def add_commands(commands: Commands) -> None:
    """Add the subcommands of this part."""
    sub = commands.stage("score", _score, *("packed", "generator", "destination"))
    sub.add_argument("--dataset", required=True)
    sub.add_argument("--method", required=True)
    sub.add_argument("--seed", type=int, required=True)
    add_device(sub)
    sub = commands.stage(
        "score-attributions",
        _score_attributions,
        *("packed", "destination"),
    )
    sub.add_argument("--dataset", required=True)
    sub.add_argument("--seed", type=int, required=True)
    add_device(sub)
    add_settings(sub)
    sub = commands.stage(
        "score-true-deformation",
        _score_true_deformation,
        *("packed", "truth", "destination"),
    )
    sub.add_argument("--dataset", required=True)
    sub = commands.stage(
        "compare-with-truth",
        _compare_with_truth,
        *("packed", "truth", "destination"),
    )
    _add_models(sub)
    sub = commands.stage("truth-table", _truth_table, "destination")
    sub.add_argument("comparisons", type=Path, nargs="+")
    sub = commands.stage("demo-table", _demo_table, "destination")
    sub.add_argument("--datasets", nargs="+", required=True)
    sub.add_argument("--packed", type=Path, nargs="+", required=True, help="of the data sets")
    sub.add_argument("--truths", type=Path, nargs="+", required=True, help="of the data sets")
    sub = commands.stage("biomarkers", _biomarkers, "packed", "destination")
    _add_models(sub)
    sub.add_argument("--truth", type=Path, help="true fields of a demonstration")
    sub = commands.stage("biomarker-table", _biomarker_table, "destination")
    sub.add_argument("tables", type=Path, nargs="+")
    add_settings(sub, "--datasets")
    sub = commands.stage("table", _table, "csv", "md")
    sub.add_argument("scores", type=Path, nargs="+")
    add_settings(sub, "--datasets")
    sub = commands.stage("claims-table", _claims_table, "destination")
    sub.add_argument("--scores", type=Path, nargs="+", required=True, help="of the models")
    sub.add_argument("--histories", type=Path, nargs="+", required=True, help="of the same models")
    add_settings(sub, "--datasets")
    sub = commands.stage("credibility", _credibility, "packed", "destination")
    _add_models(sub)
    add_settings(sub, "--classifier")
    sub.add_argument("--truth", type=Path, help="true fields of a demonstration")
    add_device(sub)
    sub = commands.stage("credibility-table", _credibility_table, "csv", "md")
    sub.add_argument("tables", type=Path, nargs="+")
    sub.add_argument("--table1", type=Path, required=True, help="CSV of Table 1")
    add_settings(sub, "--datasets")
    sub = commands.stage("figures", _figures, "packed")
    sub.add_argument("case", help="best, median, worst or sub-SUBJECT")
    sub.add_argument("prefix", type=Path, help="of the files written")
    sub.add_argument("--dataset", required=True)
    sub.add_argument("--generators", type=Path, nargs="+", required=True)
    sub.add_argument("--methods", nargs="+", required=True, help="of the generators")
    sub.add_argument("--scores", type=Path, required=True, help="by which pairs are ranked")
    add_settings(sub)
    sub = commands.stage("overview", _overview, "destination")
    sub.add_argument("files", type=Path, nargs="+", help="array folder, generator, scores of each")
    sub.add_argument("--names", nargs="+", required=True, help="data sets, in the same order")
    add_settings(sub, "--datasets")
    sub = commands.stage("report", _report, "destination")
    add_settings(sub, "--datasets")
    add_settings(sub, "--sections")
    sub.add_argument("--seed", type=int, required=True, help="whose models can be explored")
    sub = commands.stage(
        "record-model",
        _record_model,
        *("packed", "training", "generator", "destination"),
    )
    add_settings(sub, "--config")
    sub.add_argument("--volumes", type=Path, help="table of the data set's volumes")
    sub = commands.stage("record-config", _record_config, "destination")
    add_settings(sub, "--config")
    sub = commands.stage("record-run", _record_run, "results")
    sub.add_argument("--config", type=Path, required=True, help="the effective configuration")
    sub.add_argument("--models", type=Path, nargs="+", required=True, help="their provenance")
    sub.add_argument("--files", type=Path, nargs="+", required=True, help="what the run made")
