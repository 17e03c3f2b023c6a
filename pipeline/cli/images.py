"""Subcommands that prepare images, check them, and pair and pack them."""

import argparse
import sys
from pathlib import Path

from pipeline.brain.chain import CHAINS, CONVERSION, ENTRY
from pipeline.brain.engines import AUTO, EMBEDDED, ENGINES
from pipeline.cli.commands import Commands, add_shard, add_source
from pipeline.stage.description import load
from pipeline.stage.sidecar import has_sidecar, run_image_stage
from pipeline.stages import BRAIN_STAGES, STAGES, stage_function

# Options of a stage of one volume after the two files become settings of the same name, but these.
NOT_SETTINGS = ("command", "stage", "source", "destination", "threads", "log", "minutes")


def _import_nibabel() -> None:
    """Import nibabel without pydicom, unless that is imported already.

    nibabel has it read an extension of headers that no stage looks at; importing it is a third of
    what a stage takes to start.
    """
    hidden = "pydicom" not in sys.modules
    if hidden:
        sys.modules["pydicom"] = None  # type: ignore[assignment] # as if it were not installed
    try:
        load("nibabel:load")
    finally:
        if hidden:
            sys.modules.pop("pydicom", None)


def _image_stage(args: argparse.Namespace) -> None:
    _import_nibabel()
    settings = {key: value for key, value in vars(args).items() if key not in NOT_SETTINGS}
    function = stage_function(args.stage)
    begins = args.stage in (ENTRY, BRAIN_STAGES[0]) and not has_sidecar(args.source)
    first = begins or args.stage == CONVERSION
    run_image_stage(
        *(args.stage, function, args.source, args.destination, settings),
        first=first,
        minutes=args.minutes,
    )


def _check(args: argparse.Namespace) -> None:
    _import_nibabel()
    from pipeline.brain.template import packaged_template

    stages = (args.orient, args.template_space, args.skull, args.skull_refine, args.grid)
    template = args.template or packaged_template()
    check_volume = stage_function(args.stage)
    check_volume(*stages, template, args.figures, args.picture, args.asymmetry)


def _review(args: argparse.Namespace) -> None:
    review_volumes = stage_function(args.stage)
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
    from pipeline.chest.prepare_shard import prepare_film_shard
    from pipeline.chest.shards import rows_of_shard
    from pipeline.cohort.manifest import read_manifest

    manifest = rows_of_shard(read_manifest(args.manifest), args.shard, args.shards)
    prepare_film_shard(manifest, args.destination, args.status, resize=args.resize)


def _benchmark_films(args: argparse.Namespace) -> None:
    benchmark_films = load("pipeline.measure.film_throughput:benchmark_films")
    table = benchmark_films(args.folder, resize=args.resize, processes=args.processes)
    print(table.to_string(index=False, float_format="{:.4g}".format))


def _register_volumes(args: argparse.Namespace) -> None:
    register = stage_function(args.stage)
    register(args.baseline, args.followup, args.difference, args.mask)


def _register_films(args: argparse.Namespace) -> None:
    import pandas as pd

    from pipeline.chest.shards import rows_of_shard
    from pipeline.dataset.longitudinal import register_film_pairs

    pairs = rows_of_shard(pd.read_parquet(args.pairs), args.shard, args.shards)
    register_film_pairs(args.films, pairs, args.destination, args.status, crop=args.crop)


def _pack_volumes(args: argparse.Namespace) -> None:
    pack_volumes = stage_function(args.stage)
    files = (args.destination, args.exclusions, args.volumes)
    mixed = args.mixed_engines
    pack_volumes(args.results, args.dataset, *files, qc=args.qc, mixed_engines=mixed)


def _pack_films(args: argparse.Namespace) -> None:
    pack_films = stage_function(args.stage)
    pack_films(args.results, args.dataset, args.destination, args.exclusions, shards=args.shards)


def _add_pack(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("dataset")
    sub.add_argument("destination", type=Path)
    sub.add_argument("--exclusions", type=Path, required=True, help="table of all left out")


def add_commands(commands: Commands) -> None:
    """Add the subcommands of this part."""

    def volume_stage(name: str) -> argparse.ArgumentParser:
        sub = commands.stage(name, _image_stage, "source", "destination")
        sub.add_argument("--minutes", type=float, help="time limit of the job")
        if STAGES[name].engines:
            known = ", ".join([EMBEDDED, *ENGINES[name]])
            sub.add_argument("--engine", default=EMBEDDED, help=f"what does it: {known}")
        return sub

    for name in (CONVERSION, "orient", "crop", "bias", "skull"):
        volume_stage(name)
    sub = volume_stage(ENTRY)
    sub.add_argument("--prepared", choices=[*CHAINS][1:], required=True)
    sub.add_argument("--mask", help="brain mask, applied where the volume is not stripped")
    sub.add_argument("--template", help="NIfTI file in place of the packaged template")
    sub = volume_stage("template")
    sub.add_argument("--template", help="NIfTI file in place of the packaged template")
    sub.add_argument("--stripped", action="store_true", help="register a brain without its skull")
    sub = volume_stage("skull_refine")
    sub.add_argument("--fraction", type=float, required=True, help="as of `bet -f`")
    sub = volume_stage("grid")
    sub.add_argument("--voxel-mm", type=float, required=True)
    sub.add_argument("--shape", type=int, nargs=3, required=True, metavar=("X", "Y", "Z"))
    sub = commands.stage(
        "check",
        _check,
        *("orient", "template_space", "skull", "skull_refine", "grid"),
        *("figures", "picture", "asymmetry"),
    )
    sub.add_argument("--template", type=Path, help="NIfTI file in place of the packaged template")
    sub = commands.stage("review", _review, "results")
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
    sub = commands.stage("films", _films, "manifest", "destination")
    sub.add_argument("--resize", type=int, required=True, help="side of the square, pixels")
    add_shard(sub)
    sub = commands.add(
        "benchmark-films", _benchmark_films, "measure how fast films are prepared", "folder"
    )
    sub.add_argument("--resize", type=int, default=256, help="side of the square, pixels")
    sub.add_argument("--processes", type=int, default=2, help="that work at the same time")
    commands.stage(
        "register-volumes",
        _register_volumes,
        *("baseline", "followup", "difference", "mask"),
    )
    sub = commands.stage(
        "register-films",
        _register_films,
        *("films", "pairs", "destination"),
    )
    sub.add_argument("--crop", type=int, required=True, help="side of the centred crop, pixels")
    add_shard(sub)
    sub = commands.stage("pack-volumes", _pack_volumes, "results")
    _add_pack(sub)
    sub.add_argument("--qc", type=Path, required=True, help="table of the quality control")
    sub.add_argument("--volumes", type=Path, required=True, help="table of all volumes")
    sub.add_argument("--mixed-engines", action="store_true", help="allow different engines")
    sub = commands.stage("pack-films", _pack_films, "results")
    _add_pack(sub)
    sub.add_argument("--shards", type=int, required=True, help="number of shards")
