"""Subcommands that make or read archives."""

import argparse
import logging
from pathlib import Path

from pipeline.cli.commands import Commands, add_settings, add_source
from pipeline.stages import stage_function

log = logging.getLogger(__name__)


def _make_demo_adni(args: argparse.Namespace) -> None:
    from pipeline.cohort.manifest import SPLITS

    make_demo_adni = stage_function(args.stage)
    splits = dict(zip(SPLITS, args.splits, strict=True)) if args.splits else {}
    make_demo_adni(args.images, args.tables, args.truth, splits=splits, **args.settings)


def _make_demo_copd(args: argparse.Namespace) -> None:
    make_demo_copd = stage_function(args.stage)
    paths = (args.films, args.spirometry, args.truth, args.pseudonym_key)
    make_demo_copd(*paths, **args.settings)


def _fetch_films(args: argparse.Namespace) -> None:
    fetch_films = stage_function(args.stage)
    paths = {"patients": args.patients, "pseudonym_key": args.pseudonym_key}
    fetch_films(args.folder, args.fetched, **paths, **args.settings)


def _ingest(args: argparse.Namespace) -> None:
    from pipeline.cohort.ingest import ingest_dataset, write_cohort
    from pipeline.stage.exclusions import count_rules

    cohort = ingest_dataset(args.settings, args.fetched)
    write_cohort(cohort, args.folder)
    images = cohort.manifest.groupby(["split", "label"]).size().rename("images")
    pairs = cohort.pairs.groupby("split").size().rename("pairs")
    left_out = count_rules(cohort.exclusions)
    tables = [images.reset_index(), pairs.reset_index(), left_out]
    text = "\n\n".join(table.to_string(index=False) for table in tables)
    log.info("used, paired and left out:\n%s", text)
    print(text)


def _make_toy(args: argparse.Namespace) -> None:
    pack_toy = stage_function(args.stage)
    pack_toy(args.destination, args.exclusions, **args.settings)


def _describe_cohort(args: argparse.Namespace) -> None:
    from pipeline.cohort.facts import cohort_facts, list_study
    from pipeline.cohort.flow_page import write_cohort_page
    from pipeline.stage.files import write_json

    volumes = args.about["modality"] == "brain"
    write_json(cohort_facts(args.ingest, args.tables, volumes=volumes), args.facts)
    paths = (args.ingest, args.exclusions)
    differences = list_study(*paths, args.packed, args.cohort_list, replayed=args.replays)
    about = {"source": args.source, "about": args.about}
    write_cohort_page(*paths, args.page, differences=differences, **about)


def add_commands(commands: Commands) -> None:
    """Add the subcommands of this part."""
    sub = commands.stage("make-demo-adni", _make_demo_adni, "images", "tables", "truth")
    sub.add_argument(
        "--splits", type=Path, nargs=3, metavar="FILE", help="lists of subjects, written"
    )
    add_settings(sub)
    sub = commands.stage(
        "make-demo-copd",
        _make_demo_copd,
        *("films", "spirometry", "truth", "pseudonym_key"),
    )
    add_settings(sub)
    sub = commands.stage("fetch-films", _fetch_films, "folder", "fetched")
    sub.add_argument("--patients", type=Path, required=True, help="table of ids, for the site only")
    sub.add_argument("--pseudonym-key", type=Path, required=True, help="secret of the names")
    add_settings(sub)
    sub = commands.stage("ingest", _ingest, "folder")
    sub.add_argument("--fetched", type=Path, help="table of the films fetched from a server")
    add_settings(sub)
    sub = commands.stage("make-toy", _make_toy, "destination")
    sub.add_argument("--exclusions", type=Path, required=True, help="table of all left out")
    add_settings(sub)
    sub = commands.stage(
        "describe-cohort",
        _describe_cohort,
        *("ingest", "exclusions", "page", "facts"),
    )
    sub.add_argument("--tables", type=Path, nargs="*", default=[], help="of the archive")
    sub.add_argument("--packed", type=Path, required=True, help="packed data set")
    sub.add_argument("--cohort-list", type=Path, required=True, help="list to share, written")
    sub.add_argument("--replays", type=Path, help="list that the study replays")
    add_source(sub)
