"""The effective configuration of a study in YAML, each value with where it comes from."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from pipeline.study.config.derived import derived
from pipeline.study.config.reading import Config

LEGEND = {
    "file": "the configuration says so",
    "demo": "the configuration says so of a simulated study",
    "derived": "it follows from other keys of the configuration",
    "default": "of the pipeline: as in the paper, where the paper tells (docs/deviations.md)",
}
WIDTH = 56  # columns before the comments, where lines are not longer


def annotated(config: Config, given: Mapping[str, Any]) -> str:
    """Every key and value, as a configuration that a run can begin with.

    Parameters
    ----------
    config, given
        A configuration, and what it was made from, as read from YAML.

    Returns
    -------
    str
        YAML; the comment behind a value is a key of `LEGEND`, which stands above.
    """
    follows = {"datasets": {name: derived(part) for name, part in given["datasets"].items()}}
    simulated = {
        name for name, part in given["datasets"].items() if isinstance(part.get("demo"), Mapping)
    }

    def origin(keys: list[str]) -> str:
        if _holds(given, keys):
            return "demo" if keys[0] == "datasets" and keys[1] in simulated else "file"
        return "derived" if _holds(follows, keys) else "default"

    used = set()
    lines = []
    for keys, text in _lines(config.effective(), []):
        word = origin(keys) if text else ""
        used.add(word)
        indented = "  " * (len(keys) - 1) + f"{yaml_value(keys[-1])}: {text}".rstrip()
        lines.append(f"{indented:{WIDTH}} # {word}" if word else indented)
    legend = [f"# {word}: {meaning}" for word, meaning in LEGEND.items() if word in used]
    return "\n".join([*legend, *lines]) + "\n"


def yaml_value(value: object) -> str:
    """A value on one line of YAML."""
    text = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=sys.maxsize
    )
    return text.removesuffix("...\n").strip()


def _lines(section: Mapping[str, Any], above: list[str]) -> Iterator[tuple[list[str], str]]:
    """Keys and value of each line; a section with keys of its own has no value."""
    for key, value in section.items():
        keys = [*above, key]
        if isinstance(value, Mapping) and value:
            yield keys, ""
            yield from _lines(value, keys)
        else:
            yield keys, yaml_value(value)


def _holds(section: Any, keys: list[str]) -> bool:
    for key in keys:
        if not isinstance(section, Mapping) or key not in section:
            return False
        section = section[key]
    return True
