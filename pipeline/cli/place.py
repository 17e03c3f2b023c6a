"""Subcommands about a study as a whole: its place, its cost, and how far it is."""

import argparse
import sys
from pathlib import Path

from pipeline.cli.commands import Commands, add_configuration, load_yaml
from pipeline.stage.description import load
from pipeline.stage.errors import InputError


def _tell_which(args: argparse.Namespace) -> None:
    """Without --configfile it is the demonstration's, which not everybody means."""
    print(f"configuration: {args.config}\n")


def _doctor(args: argparse.Namespace) -> None:
    from pipeline.study.doctor import examine, wrong

    findings = examine(load_yaml(args.config))
    _tell_which(args)
    print("\n".join(map(str, findings)))
    if wrong(findings):
        sys.exit(1)


def _plan(args: argparse.Namespace) -> None:
    from pipeline.study.config import read_config
    from pipeline.study.plan import plan_study, plan_text

    text = plan_text(plan_study(read_config(load_yaml(args.config))))
    _tell_which(args)
    print(text)


def _config(args: argparse.Namespace) -> None:
    from pipeline.study.config import parse_config
    from pipeline.study.config.origins import annotated

    given = load_yaml(args.config)
    print(annotated(parse_config(given), given), end="")


def _init(args: argparse.Namespace) -> None:
    from pipeline.study.init.begin import begin_study
    from pipeline.study.init.look import look_at_adni, look_at_bids, look_at_films, look_at_table

    for option, owner in (("images", "table"), ("tables", "adni"), ("spirometry", "films")):
        if vars(args)[option] and not vars(args)[owner]:
            raise InputError(f"--{option} belongs to --{owner}; leave it out")
    if args.films and not args.spirometry:
        raise InputError("--films needs --spirometry, the table of the lung function tests")
    for option in ("bids", "adni", "films", "images", "tables"):
        folder = vars(args)[option]
        if folder and not folder.is_dir():
            raise InputError(f"--{option}: there is no folder {folder}; correct the path")
    if args.output.parent.exists() and not args.output.parent.is_dir():
        raise InputError(f"--output: {args.output.parent} is no folder; give another path")
    if args.bids:
        look = look_at_bids(args.bids)
    elif args.table:
        look = look_at_table(args.table, args.images)
    elif args.adni:
        look = look_at_adni(args.adni, args.tables)
    else:
        look = look_at_films(args.films, args.spirometry)
    print(begin_study(look, args.output))


def _status(args: argparse.Namespace) -> None:
    from pipeline.study.config import read_config
    from pipeline.study.status import training_status

    table = training_status(read_config(load_yaml(args.config)), args.results)
    _tell_which(args)
    print(table.to_string(index=False, na_rep="", float_format="{:.3f}".format))


def _wait_for_jobs(args: argparse.Namespace) -> None:
    load("pipeline.study.slurm_jobs:wait_for_jobs")(args.folder)


def add_commands(commands: Commands) -> None:
    """Add the subcommands of this part."""
    sub = commands.add("doctor", _doctor, "tell what is wrong with this place, and how to mend it")
    add_configuration(sub)
    sub = commands.add(
        "config", _config, "print every value of a configuration, and where it comes from"
    )
    add_configuration(sub)
    sub = commands.add(
        "init", _init, "look at your data, and write the smallest configuration of their study"
    )
    kind = sub.add_mutually_exclusive_group(required=True)
    kind.add_argument("--bids", type=Path, metavar="DIR", help="a BIDS dataset")
    kind.add_argument("--table", type=Path, metavar="CSV", help="a table, a row an image")
    kind.add_argument("--adni", type=Path, metavar="DIR", help="folders as LONI lays them out")
    kind.add_argument("--films", type=Path, metavar="DIR", help="chest films")
    sub.add_argument("--images", type=Path, metavar="DIR", help="where the paths of --table begin")
    sub.add_argument("--tables", type=Path, metavar="DIR", help="ADNI's, where not below --adni")
    sub.add_argument("--spirometry", type=Path, metavar="CSV", help="tests of the patients' lungs")
    sub.add_argument("--output", type=Path, default=Path("study.yaml"), help="written, if new")
    sub = commands.add("plan", _plan, "estimate jobs, hours and disk of a configuration")
    add_configuration(sub)
    sub = commands.add("status", _status, "tell how far every training is")
    add_configuration(sub)
    sub.add_argument("--results", type=Path, default=Path("results"))
    sub = commands.add(
        "wait-for-jobs", _wait_for_jobs, "wait for the Slurm jobs of a killed Snakemake"
    )
    sub.add_argument("folder", type=Path, nargs="?", default=Path(), help="of the workflow")
