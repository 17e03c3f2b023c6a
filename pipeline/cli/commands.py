"""What the parts of the command line share: how a subcommand is added, and common options."""

import argparse
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.stage.errors import InputError
from pipeline.stages import STAGES


class Commands:
    """The subcommands of a parser; each has the options ``--threads`` and ``--log``."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._common = argparse.ArgumentParser(add_help=False)
        self._common.add_argument("--threads", type=int, default=1, help="processor threads to use")
        self._common.add_argument("--log", type=Path, help="file for the messages of this stage")
        self._stages = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")

    def stage(self, name: str, command: Callable, *paths: str) -> argparse.ArgumentParser:
        """Add the subcommand of a stage, as `add`."""
        return self.add(name, command, STAGES[name].title, *paths)

    def add(self, name: str, command: Callable, text: str, *paths: str) -> argparse.ArgumentParser:
        """Add a subcommand that calls ``command(arguments)``; `paths` are its first arguments."""
        sub = self._stages.add_parser(name, parents=[self._common], help=text, description=text)
        sub.set_defaults(command=command)
        for path in paths:
            sub.add_argument(path, type=Path)
        return sub


def load_yaml(path: Path) -> dict[str, Any]:
    """A configuration, not checked; `InputError` where the file is none."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Refuses a key that stands twice, of which YAML's own takes the last."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
            keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            for key, times in Counter(key.value for key in keys).items():
                if times > 1:
                    mark, told = node.start_mark, f"the key {key!r} stands there twice; remove one"
                    raise yaml.constructor.ConstructorError(problem=told, problem_mark=mark)
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader)
    except FileNotFoundError:
        raise InputError(f"there is no configuration {path}; correct the path") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8; save it so") from None
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path}: the configuration cannot be read: {error}") from None


def add_settings(sub: argparse.ArgumentParser, option: str = "--settings") -> None:
    """Add an option that takes JSON."""
    sub.add_argument(option, type=json.loads, required=True, metavar="JSON")


def add_configuration(sub: argparse.ArgumentParser, what: str = "configuration") -> None:
    """Add the option of a configuration file, in Snakemake's spelling, too."""
    options = {"dest": "config", "type": Path, "default": Path("config.yaml"), "help": what}
    sub.add_argument("--configfile", "--config", **options)


def add_device(sub: argparse.ArgumentParser) -> None:
    """Add the option of what a network runs on."""
    sub.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")


def add_source(sub: argparse.ArgumentParser) -> None:
    """Add the options of a page that says what its data are and where they come from."""
    sub.add_argument("--source", required=True, help="kind of archive")
    add_settings(sub, "--about")


def add_shard(sub: argparse.ArgumentParser) -> None:
    """Add the options of a stage that takes one shard of the films."""
    sub.add_argument("--status", type=Path, required=True, help="table of what failed")
    sub.add_argument("--shard", type=int, required=True)
    sub.add_argument("--shards", type=int, required=True, help="number of shards")
