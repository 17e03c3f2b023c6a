"""The page of the documentation that tells every key of a configuration.

``python -m pipeline.study.config.reference docs/configuration.md`` writes it, from the models:
kinds of values and defaults from their JSON schema, meanings from the attributes in their
docstrings and from the descriptions of their fields.
"""

import argparse
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline.method.options import Options
from pipeline.stage.files import atomic_path
from pipeline.study.config.origins import yaml_value
from pipeline.study.config.reading import Config

Schema = dict[str, Any]
Reached = dict[str, tuple[str, list[str]]]
BEGIN = """\
# Every key of a configuration

Made from the models of the configuration by
`python -m pipeline.study.config.reference docs/configuration.md`; a test compares the two. What a
study must say is told in [Your own data](own-data.md). A key that is left out has its default: the
paper's value, where the paper gives one. A run writes all its values to `results/config.yaml`.
Unknown keys and wrong values stop a run before its first job.
"""
HEAD = "| key | value | default | meaning |\n|---|---|---|---|"
ATTRIBUTES = re.compile(r"\n\nAttributes\n-+\n(.*)", re.DOTALL)
ATTRIBUTE = re.compile(r"^(\w[\w, ]*) : .*\n((?: +.*\n?)+)", re.MULTILINE)
ELSE = "; else "  # in the description of a key that follows from others where it is left out
LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minItems": "{} or more",
    "maxItems": "{} at most",
    "uniqueItems": "all different",
}


def reference_page() -> str:
    """The page, in Markdown: a table for each section of a configuration."""
    schema = Config.model_json_schema()
    parts = {name: part for name, part in schema["$defs"].items() if part["properties"]}
    reached: Reached = {}
    _reach(schema, parts, "", "", reached)
    shared = [path for path, _ in reached.values()]
    tables = [_table("Config", "The whole file", schema, reached)]
    for name, (path, users) in reached.items():
        of = f" of {', '.join(users)}" if shared.count(path) > 1 else ""
        title = f"A data set of `{users[0]}`" if path == "" else f"`{path}`{of}"
        tables.append(_table(name, title, parts[name], reached))
    return "\n".join([BEGIN, *tables])


def write_reference(page: Path) -> None:
    """Write the page."""
    with atomic_path(page) as temporary:
        temporary.write_text(reference_page(), encoding="utf-8")


def keys_without_meaning() -> list[str]:
    """Keys of which neither a description, nor an attribute, nor their values tell what they do."""
    schema = Config.model_json_schema()
    return [
        f"{name}.{key}"
        for name, part in [*schema["$defs"].items(), ("Config", schema)]
        for key, value in part["properties"].items()
        if not _meaning(name, key, value) and not {"$ref", "const"} & set(value)
    ]


def _reach(part: Schema, parts: dict[str, Schema], path: str, user: str, reached: Reached) -> None:
    """Note the path of each section, and the sources of the data sets that have it."""
    for key, value in part["properties"].items():
        for way, name in _sections(value, key):
            if name not in parts:
                continue
            inner = f"{path}.{way}".strip(".")
            source = parts[name]["properties"].get("source")
            told = user
            if source:
                kind = parts[name]["properties"]["modality"]["const"]
                told = source["const"] + (f" ({kind})" if source["const"] == "manifest" else "")
                inner = ""
            _, users = reached.setdefault(name, (inner, []))
            if told and told not in users:
                users.append(told)
            _reach(parts[name], parts, inner, told, reached)


def _sections(value: Schema, way: str) -> Iterator[tuple[str, str]]:
    """Keys that lead from a value to each section in it, and the section's name."""
    if "$ref" in value:
        yield way, value["$ref"].rpartition("/")[2]
    for kind in (*value.get("anyOf", ()), *value.get("oneOf", ())):
        yield from _sections(kind, way)
    for key, inner in value.get("properties", {}).items():
        yield from _sections(inner, f"{way}.{key}")
    for inner in _named(value):
        yield from _sections(inner, f"{way}.NAME")


def _named(value: Schema) -> list[Schema]:
    """What each of the names holds where the user gives the names."""
    others = [*value.get("patternProperties", {}).values(), value.get("additionalProperties")]
    return [inner for inner in others if inner]


def _table(name: str, title: str, part: Schema, reached: Reached) -> str:
    """Heading, purpose and table of a section."""
    # The paper gives what a section of a method leaves out.
    required = [] if issubclass(_models()[name], Options) else part.get("required", [])
    rows = [
        f"| `{key}` | {_kind(value)} | {_default(name, key, value, key in required)} "
        f"| {_meaning(name, key, value, key in required)} |"
        for key, value in _with_inner_keys(part["properties"])
    ]
    purpose = ATTRIBUTES.sub("", inspect.getdoc(_models()[name]) or "").replace("``", "`")
    heading = f'## <a id="{name.lower()}"></a>{title}'
    return "\n".join([heading, "", purpose, "", HEAD, *rows, ""])


def _with_inner_keys(properties: Schema) -> Iterator[tuple[str, Schema]]:
    """Keys of a section, and of the tables in it whose names and kinds of values are fixed."""
    for key, value in properties.items():
        yield key, value
        inner = value.get("properties", {})
        yield from ((f"{key}.{name}", kind) for name, kind in inner.items())


def _models() -> dict[str, type[BaseModel]]:
    """All models by name."""
    found: dict[str, type[BaseModel]] = {}
    waiting: list[type[BaseModel]] = [BaseModel]
    while waiting:
        model = waiting.pop()
        if model.__module__.startswith("pipeline."):
            found[model.__name__] = model
        waiting += model.__subclasses__()
    return found


def _meaning(name: str, key: str, value: Schema, required: bool = True) -> str:
    """What a key of a model does: its attribute in a docstring, and its field's description."""
    attributes: dict[str, str] = {}
    for model in _models()[name].__mro__:
        for section in ATTRIBUTES.findall(inspect.getdoc(model) or ""):
            for keys, text in ATTRIBUTE.findall(section + "\n"):
                for one in keys.split(","):
                    attributes.setdefault(one.strip().removesuffix("_"), " ".join(text.split()))
    told, described = attributes.get(key, ""), _described(name, key, value)
    if not required:
        described = described.partition(ELSE)[0]
    words = f"{told.rstrip('.')} ({described})" if told and described else told or described
    return words.replace("``", "`").replace("|", "\\|")


def _described(name: str, key: str, value: Schema) -> str:
    """Description of a field, or of the one that it takes the place of."""
    models = (model.__dict__.get("__pydantic_fields__", {}) for model in _models()[name].__mro__)
    fields = (fields[key].description for fields in models if key in fields)
    return value.get("description") or next(filter(None, fields), "")


def _kind(value: Schema) -> str:
    """What a key may hold, in words."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[section](#{name.lower()})" if name != "Options" else "`{}`"
    if kinds := value.get("anyOf") or value.get("oneOf"):
        return " or ".join(dict.fromkeys(map(_kind, kinds)))
    if choices := value.get("enum", [value["const"]] if "const" in value else []):
        return ", ".join(f"`{choice}`" for choice in choices)
    if inner := _named(value):
        return f"by name: {_kind(inner[0])}"
    if inner := list(value.get("properties", {}).values()):
        kinds = set(map(_kind, inner))
        return f"by name: {kinds.pop()}" if len(kinds) == 1 else "keys as below"
    limits = [text.format(value[key]) for key, text in LIMITS.items() if value.get(key) is not None]
    if value["type"] == "array":
        if value.get("minItems") == value.get("maxItems") is not None:
            limits = [f"{value['minItems']} of them"]
        return ", ".join([f"list of {_kind(value['items'])}", *limits])
    return value["type"] + (f" ({', '.join(limits)})" if limits else "")


def _default(name: str, key: str, value: Schema, required: bool) -> str:
    """What stands for a key that is left out; of a section its own defaults tell."""
    if required:
        return "" if ELSE in _described(name, key, value) else "needed"
    if "default" not in value or isinstance(value["default"], dict):
        return ""
    return f"`{yaml_value(value['default'])}`"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the page that tells every key.")
    parser.add_argument("page", type=Path, help="Markdown file written")
    write_reference(parser.parse_args().page)
