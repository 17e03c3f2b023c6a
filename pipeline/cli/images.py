"""Subcommands that prepare images, check them, and pair and pack them."""

import argparse
from pathlib import Path

from pipeline.brain.engines import AUTO, EMBEDDED, ENGINES
from pipeline.cli.commands import Commands, add_shard, add_source, load
from pipeline.stage.sidecar import run_image_stage

# Stages of one volume: function(source, destination, **settings). Options after the two files
# become settings of the same name.
IMAGE_STAGES = {
    "orient": "pipeline.brain.orient:orient_volume",
    "crop": "pipeline.brain.crop:crop_field_of_view",
    "bias": "pipeline.brain.bias:correct_bias",
    "template": "pipeline.brain.template:register_to_template",
    "skull": "pipeline.brain.skull:strip_skull",
    "skull_refine": "pipeline.brain.skull:refine_skull",
    "grid": "pipeline.brain.grid:resample_to_grid",
}
NOT_SETTINGS = ("command", "stage", "source", "destination", "threads", "log", "minutes")


def _image_stage(args: argparse.Namespace) -> None:
    settings = {key: value for key, value in vars(args).items() if key not in NOT_SETTINGS}
    function = load(IMAGE_STAGES[args.stage])
    first = args.stage == "orient"
    run_image_stage(
        *(args.stage, function, args.source, args.destination, settings),
        first=first,
        minutes=args.minutes,
    )


def _check(args: argparse.Namespace) -> None:
    from pipeline.brain.template import packaged_template

    stages = (args.orient, args.template_space, args.skull, args.skull_refine, args.grid)
    template = args.template or packaged_template()
    check_volume = load("pipeline.qc.check:check_volume")
    check_volume(*stages, template, args.figures, args.picture, args.asymmetry)


def _review(args: argparse.Namespace) -> None:
    review_volumes = load("pipeline.qc.review:review_volumes")
    review_volumes(
        args.results,
        args.dataset,
        args.table,
        args.page,
        source=args.source,
        about=args.about,
        exclude=args.exclude,
        keep=args.keep,
        drop=args.drop,
    )


def _measure_engines(args: argparse.Namespace) -> None:
    from pipeline.brain.engines import resolve_engines
    from pipeline.measure.engine_agreement import measure_engines

    engines = resolve_engines(dict.fromkeys(ENGINES, args.engine))
    measure_engines(args.page, engines, workers=args.threads)


def _films(args: argparse.Namespace) -> None:
    from pipeline.chest.prepare import prepare_film_shard
    from pipeline.chest.shards import rows_of_shard
    from pipeline.cohort.manifest import read_manifest

    manifest = rows_of_shard(read_manifest(args.manifest), args.shard, args.shards)
    prepare_film_shard(manifest, args.destination, args.status, resize=args.resize)


def _benchmark_films(args: argparse.Namespace) -> None:
    benchmark_films = load("pipeline.measure.film_throughput:benchmark_films")
    table = benchmark_films(args.folder, resize=args.resize, processes=args.processes)
    print(table.to_string(index=False, float_format="{:.4g}".format))


def _register_volumes(args: argparse.Namespace) -> None:
    register = load("pipeline.dataset.longitudinal:register_brain_pair")
    register(args.baseline, args.followup, args.difference, args.mask)


def _register_films(args: argparse.Namespace) -> None:
    import pandas as pd

    from pipeline.chest.shards import rows_of_shard
    from pipeline.dataset.longitudinal import register_film_pairs

    pairs = rows_of_shard(pd.read_parquet(args.pairs), args.shard, args.shards)
    register_film_pairs(args.films, pairs, args.destination, args.status, crop=args.crop)


def _pack_volumes(args: argparse.Namespace) -> None:
    pack_volumes = load("pipeline.dataset.pack:pack_volumes")
    files = (args.destination, args.exclusions, args.volumes)
    mixed = args.mixed_engines
    pack_volumes(args.results, args.dataset, *files, qc=args.qc, mixed_engines=mixed)


def _pack_films(args: argparse.Namespace) -> None:
    pack_films = load("pipeline.dataset.pack:pack_films")
    pack_films(args.results, args.dataset, args.destination, args.exclusions, shards=args.shards)


def _add_pack(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("dataset")
    sub.add_argument("destination", type=Path)
    sub.add_argument("--exclusions", type=Path, required=True, help="table of all left out")


def add_commands(commands: Commands) -> None:
    """Add the subcommands of this part."""

    def volume_stage(name: str, text: str) -> argparse.ArgumentParser:
        sub = commands.add(name, _image_stage, text, "source", "destination")
        sub.add_argument("--minutes", type=float, help="time limit of the job")
        if name in ENGINES:
            known = ", ".join([EMBEDDED, *ENGINES[name]])
            sub.add_argument("--engine", default=EMBEDDED, help=f"what does it: {known}")
        return sub

    volume_stage("orient", "check a volume and turn it to the axes of the template")
    volume_stage("crop", "crop the field of view to the head")
    volume_stage("bias", "correct the bias field (N4)")
    sub = volume_stage("template", "register to the template, 7 degrees of freedom")
    sub.add_argument("--template", help="NIfTI file in place of the packaged template")
    volume_stage("skull", "strip the skull")
    sub = volume_stage("skull_refine", "strip what is left of the skull")
    sub.add_argument("--fraction", type=float, required=True, help="as of `bet -f`")
    sub = volume_stage("grid", "resample to the grid of the networks, scale to [-1, 1]")
    sub.add_argument("--voxel-mm", type=float, required=True)
    sub.add_argument("--shape", type=int, nargs=3, required=True, metavar=("X", "Y", "Z"))
    sub = commands.add(
        "check",
        _check,
        "quality control of a volume: figures and picture",
        *("orient", "template_space", "skull", "skull_refine", "grid"),
        *("figures", "picture", "asymmetry"),
    )
    sub.add_argument("--template", type=Path, help="NIfTI file in place of the packaged template")
    sub = commands.add(
        "review", _review, "find the suspects among the volumes of a data set", "results"
    )
    sub.add_argument("dataset")
    sub.add_argument("table", type=Path)
    sub.add_argument("page", type=Path)
    add_source(sub)
    sub.add_argument("--exclude", nargs="*", default=[], help="checks whose suspects are left out")
    sub.add_argument("--keep", type=Path, help="table of volumes that stay, CSV")
    sub.add_argument("--drop", type=Path, help="table of volumes that go, CSV")
    sub = commands.add(
        "measure-engines", _measure_engines, "measure the engines of the stages", "page"
    )
    sub.add_argument("--engine", choices=(EMBEDDED, AUTO), default=EMBEDDED)
    sub = commands.add("films", _films, "prepare the films of a shard", "manifest", "destination")
    sub.add_argument("--resize", type=int, required=True, help="side of the square, pixels")
    add_shard(sub)
    sub = commands.add(
        "benchmark-films", _benchmark_films, "measure how fast films are prepared", "folder"
    )
    sub.add_argument("--resize", type=int, default=256, help="side of the square, pixels")
    sub.add_argument("--processes", type=int, default=2, help="that work at the same time")
    commands.add(
        "register-volumes",
        _register_volumes,
        "register the baseline volume of a pair; observed difference and mask",
        *("baseline", "followup", "difference", "mask"),
    )
    sub = commands.add(
        "register-films",
        _register_films,
        "register the pairs of a shard; observed differences and masks",
        *("films", "pairs", "destination"),
    )
    sub.add_argument("--crop", type=int, required=True, help="side of the centred crop, pixels")
    add_shard(sub)
    sub = commands.add(
        "pack-volumes", _pack_volumes, "pack volumes and pairs into arrays", "results"
    )
    _add_pack(sub)
    sub.add_argument("--qc", type=Path, required=True, help="table of the quality control")
    sub.add_argument("--volumes", type=Path, required=True, help="table of all volumes")
    sub.add_argument("--mixed-engines", action="store_true", help="allow different engines")
    sub = commands.add("pack-films", _pack_films, "pack films and pairs into arrays", "results")
    _add_pack(sub)
    sub.add_argument("--shards", type=int, required=True, help="number of shards")
