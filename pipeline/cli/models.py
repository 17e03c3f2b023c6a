"""Subcommands that train models and use them."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.commands import (
    Commands,
    add_configuration,
    add_device,
    add_settings,
    load_yaml,
)
from pipeline.stage.description import load
from pipeline.stage.errors import InputError
from pipeline.stages import stage_function

if TYPE_CHECKING:
    from pipeline.study.config import Config
    from pipeline.study.config.datasets import AnyDataset


def _fetch_critic_weights(args: argparse.Namespace) -> None:
    fetch_critic_weights = stage_function(args.stage)
    fetch_critic_weights(args.source, args.destination, args.sha256)


def _import_weights(args: argparse.Namespace) -> None:
    import_generator = load("pipeline.method.weights:import_generator")
    print(import_generator(args.source, args.destination, flow_scale=args.flow_scale))


def _train(args: argparse.Namespace) -> None:
    fit_model = stage_function(args.stage)
    fit_model(
        args.packed,
        args.generator.parent,
        args.settings,
        device=args.device,
        jobs_per_gpu=args.jobs_per_gpu,
        threads=args.threads,
        state_minutes=args.state_minutes,
    )


def _choose_lambda(args: argparse.Namespace) -> None:
    summarise_sweep = stage_function(args.stage)
    summarise_sweep(args.names, args.trainings, args.titles, args.csv, args.png)


def _configured(args: argparse.Namespace) -> tuple["Config", "AnyDataset"]:
    """The configuration that is named, and the data set of it."""
    from pipeline.study.config import parse_config

    config = parse_config(load_yaml(args.config))
    if args.dataset not in config.datasets:
        known = ", ".join(config.datasets)
        raise InputError(
            f"{args.config} has no data set {args.dataset!r}; it knows {known}. "
            "Give the configuration of the training with --configfile"
        )
    return config, config.datasets[args.dataset]


def _benchmark(args: argparse.Namespace) -> None:
    from pipeline.measure.training_speed import benchmark_training
    from pipeline.method.adversarial import Adversarial
    from pipeline.method.registry import find_method
    from pipeline.method.training.settings import TrainSettings

    if not isinstance(find_method(args.method), Adversarial):
        raise InputError(f"{args.method} has no generator whose updates could be measured")
    config, dataset = _configured(args)
    settings = config.training_settings(args.dataset, args.method, seed=0)
    settings |= {"critic_weights": "random"}  # the start makes no difference to the speed
    if args.batch_size:
        settings |= {"batch_size": args.batch_size}
    table = benchmark_training(
        TrainSettings.read(settings),
        dataset.image_shape(),
        repeats=args.repeats,
        device=args.device,
        threads=args.threads,
    )
    print(table.to_string(index=False, float_format="{:.4g}".format))


def _explain(args: argparse.Namespace) -> None:
    from pipeline.method.explain import NOT_DIAGNOSTIC
    from pipeline.study.new_image import NewImages
    from pipeline.study.new_images import explain_folder

    print(NOT_DIAGNOSTIC)
    _, dataset = _configured(args)
    if args.source.is_dir():
        if args.apply or args.apply_labels:
            raise InputError("--apply and --apply-labels belong to one scan, not to a folder")
        table = explain_folder(args.source, args.generator, args.destination, dataset)
        used = (table["refused"] == "").sum()
        print(f"Images explained in {args.destination}: {used} of {len(table)}.")
        return
    others = {"apply": args.apply, "apply_labels": args.apply_labels}
    NewImages(args.generator, dataset).explain(args.source, args.destination, **others)
    print(f"The explanation lies in {args.destination}; open {args.destination / 'page.html'}.")


def add_commands(commands: Commands) -> None:
    """Add the subcommands of this part."""
    sub = commands.stage(
        "fetch-critic-weights",
        _fetch_critic_weights,
        "destination",
    )
    sub.add_argument("source", help="imagenet, or a file")
    sub.add_argument("--sha256", help="checksum of the file")
    sub = commands.add(
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
    sub = commands.stage("train", _train, "packed", "generator")
    add_settings(sub)
    add_device(sub)
    sub.add_argument("--jobs-per-gpu", type=int, default=1, help="trainings that may share a GPU")
    sub.add_argument(
        "--state-minutes", type=float, default=10, help="time between two states to resume from"
    )
    sub = commands.stage("choose-lambda", _choose_lambda, "csv", "png")
    sub.add_argument("trainings", type=Path, nargs="+", help="training.json of each")
    sub.add_argument("--names", nargs="+", required=True, help="data sets, in the same order")
    add_settings(sub, "--titles")
    sub = commands.add("benchmark", _benchmark, "measure the speed of a configuration")
    sub.add_argument("what", choices=["train"])
    add_configuration(sub)
    sub.add_argument("--dataset", required=True)
    sub.add_argument("--method", required=True, help="one whose generator a critic trains")
    sub.add_argument("--batch-size", type=int, help="in place of the configuration's")
    sub.add_argument("--repeats", type=int, default=5, help="updates timed")
    add_device(sub)
    sub = commands.add(
        "explain",
        _explain,
        "explain a new scan or film, or a folder of them, with a trained model (not a diagnostic "
        "device)",
    )
    sub.add_argument("source", type=Path, help="scan or film, or a folder of them")
    sub.add_argument("generator", type=Path, help="generator.safetensors of a trained model")
    sub.add_argument("destination", type=Path, help="folder written")
    sub.add_argument("--dataset", required=True, help="data set that the model was trained on")
    add_configuration(sub, "configuration of its training")
    for option, how in (("--apply", "linearly"), ("--apply-labels", "by the nearest voxel")):
        sub.add_argument(
            option,
            type=Path,
            nargs="+",
            default=[],
            metavar="IMAGE",
            help=f"deform these images in the scan's space as well, interpolated {how}",
        )
