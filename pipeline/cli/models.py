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
    from pipeline.measure.training_speed import Measurement
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


def _configured(path: Path, dataset: str | None) -> tuple["Config", "AnyDataset"]:
    """A configuration, and a data set of it; None is its only one."""
    from pipeline.study.config import parse_config

    config = parse_config(load_yaml(path))
    known = ", ".join(config.datasets)
    if dataset is None and len(config.datasets) > 1:
        raise InputError(
            f"{path} has several data sets, {known}; give one with --dataset, or another "
            "configuration with --configfile"
        )
    if dataset is None:
        (dataset,) = config.datasets
    if dataset not in config.datasets:
        raise InputError(
            f"{path} has no data set {dataset!r}; it has {known}. Give one of these, or the "
            "configuration of the training with --configfile"
        )
    return config, config.datasets[dataset]


def _benchmark(args: argparse.Namespace) -> None:
    from pipeline.measure.benchmarks import benchmark, configured_case
    from pipeline.method.registry import reference_method

    def case(path: Path, dataset: str, batch_size: int | None = None) -> "Measurement":
        config, _ = _configured(path, dataset)
        method = args.method or reference_method().name
        return configured_case(config, dataset, method, args.threads, batch_size)

    if args.dataset:
        small, large = [], [case(args.config, args.dataset, args.batch_size)]
    else:
        demonstration, paper = Path("config.yaml"), Path("config/paper.yaml")
        # A processor's memory may not hold the paper's four volumes.
        volumes = 2 if args.what == "train" else 4
        small = [case(demonstration, name) for name in ("adni", "copd")]
        large = [case(paper, "copd", 8), case(paper, "adni", volumes)]
    destination = args.output or Path(f"benchmarks/{args.what}.json")
    options = {"device": args.device, "repeats": args.repeats, "minutes": args.minutes}
    benchmark(args.what, small, large, destination, **options)
    print(f"{destination} is written")


def _explain(args: argparse.Namespace) -> None:
    from pipeline.method.explain import NOT_DIAGNOSTIC
    from pipeline.study.new_image import NewImages
    from pipeline.study.new_images import explain_folder, find_images

    print(NOT_DIAGNOSTIC)
    _, dataset = _configured(args.config, args.dataset)
    is_folder = args.source.is_dir()
    images = find_images(args.source, args.destination, dataset.modality) if is_folder else {}
    if is_folder and [*images] != ["."]:
        if args.apply or args.apply_labels:
            raise InputError("--apply and --apply-labels belong to one scan, not to a folder")
        table = explain_folder(args.source, images, args.generator, args.destination, dataset)
        used = (table["refused"] == "").sum()
        print(f"Images explained in {args.destination}: {used} of {len(table)}.")
        return
    if dataset.modality == "brain":
        print("A raw scan takes about half a minute.", flush=True)
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
    sub = commands.add(
        "benchmark",
        _benchmark,
        "measure the speed of trainings, of the demonstration's size and the paper's, or of a "
        "configuration, and write it to benchmarks/train.json or benchmarks/gpu.json",
    )
    sub.add_argument("what", choices=["train", "gpu"], help="updates, or all about a GPU")
    add_configuration(sub, "configuration with --dataset")
    sub.add_argument("--dataset", help="the only one measured, in place of the shipped sizes")
    sub.add_argument("--method", help="one whose generator a critic trains (default: the paper's)")
    sub.add_argument("--batch-size", type=int, help="with --dataset, in place of its own")
    sub.add_argument("--repeats", type=int, default=20, help="updates timed, at most")
    sub.add_argument("--minutes", type=float, default=60, help="after which nothing is measured")
    sub.add_argument("--output", type=Path, help="JSON file written")
    add_device(sub)
    sub = commands.add(
        "explain",
        _explain,
        "explain a new scan or film, or a folder of them, with a trained model (not a diagnostic "
        "device)",
    )
    sub.add_argument("source", type=Path, help="scan, film or DICOM series, or a folder of them")
    sub.add_argument("generator", type=Path, help="generator.safetensors of a trained model")
    sub.add_argument("destination", type=Path, help="folder written")
    sub.add_argument(
        "--dataset", help="that the model was trained on, where the configuration has several"
    )
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
