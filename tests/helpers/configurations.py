"""The shipped configurations, as they are and changed."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from pipeline.study.config import parse_config

ROOT = Path(__file__).parents[2]


def shipped(name: str) -> dict[str, Any]:
    """A configuration as it is written: ``config.yaml``, ``config/paper.yaml``, ..."""
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def effective(name: str) -> dict[str, Any]:
    """A configuration with everything that it does not say."""
    return parse_config(shipped(name)).effective()


def changed(config: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """`config` with some dotted keys set, or removed where their value is None."""
    config = deepcopy(config)
    for key, value in change.items():
        *parents, last = key.split(".")
        node = config
        for parent in parents:
            node = node[parent]
        if value is None:
            del node[last]
        else:
            node[last] = value
    return config
