"""What is wrong with a configuration, in words: the key, what was expected, the nearest key."""

import difflib
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipeline.stage.errors import unknown

Schema = dict[str, Any]
BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
    "minItems": "with at least this many entries:",
    "maxItems": "with at most this many entries:",
    "minProperties": "with at least this many keys:",
}


def explain(error: ValidationError, model: type[BaseModel], given: object) -> list[str]:
    """A line for each mistake that pydantic found in what was given for a model."""
    told = _Mistakes(model.model_json_schema(), given)
    mistakes = error.errors()
    # YAML takes names such as 1 or no for other than text; under them nothing can be looked up.
    names = [m for m in mistakes if m["type"] == "string_type" and m["loc"][-1] == "[key]"]
    lines = (line for mistake in names or mistakes for line in told.lines(mistake))
    return sorted(dict.fromkeys(lines))


class _Mistakes:
    """Pydantic's errors, looked up in the JSON schema of the model and in what was given."""

    def __init__(self, schema: Schema, given: object) -> None:
        self._root = {key: value for key, value in schema.items() if key != "description"}
        self._given = given

    def lines(self, error: ErrorDetails) -> Iterator[str]:
        """What one error means."""
        *parents, last = error["loc"] or ("",)
        keys, schema, whole = self._follow(error["loc"])
        where = ".".join(keys)
        prefix = f"{where}: " if where else ""
        inside = ".".join(keys[:-1]) + ": " if keys[1:] else ""
        match error["type"]:
            case "extra_forbidden":
                yield self._unknown(parents, str(last))
            case "missing" if whole:
                yield f"{inside}missing key {last!r}: expected {self._expected(schema)}"
            case "union_tag_not_found":
                tag = schema["discriminator"]["propertyName"]
                yield f"{prefix}missing key {tag!r}: expected one of {self._tags(schema)}"
                for near in difflib.get_close_matches(tag, map(str, error["input"]), n=1):
                    yield prefix + unknown("key", near, [tag])
            case "union_tag_invalid":
                where = ".".join([*keys, schema["discriminator"]["propertyName"]])
                found = error["ctx"]["tag"]
                yield f"{where}: expected one of {self._tags(schema)}, found {found!r}"
            case "string_pattern_mismatch" if whole or last == "[key]":
                place = inside if last == "[key]" else prefix
                yield f"{place}{error['input']!r} cannot be a name: letters and digits only"
            case "string_type" if last == "[key]":
                yield f"{inside}{error['input']!r} is no text; write the name in quotation marks"
            case "mistake":
                yield f"{'.'.join([*keys, *filter(None, [error['ctx']['key']])])}: {error['msg']}"
            case _:
                found = self._found(keys)
                yield f"{prefix}expected {self._expected(schema)}, found {found!r}"

    def _follow(self, location: Iterable[str | int]) -> tuple[list[str], Schema, bool]:
        """Keys that lead to a place, its schema, and whether that is the whole way.

        Pydantic names kinds of values, too, where there are several: they are no keys.
        """
        keys: list[str] = []
        schema = self._root
        for part in location:
            kind = self._one_kind(schema)
            if "discriminator" in kind:
                chosen = kind["discriminator"]["mapping"].get(part)
                if chosen is None:
                    return keys, kind, False
                schema = {"$ref": chosen} if isinstance(chosen, str) else chosen
                continue
            inner = _inner(kind, part)
            if inner is None:
                return keys, schema, False
            keys.append(str(part))
            schema = inner
        kind = self._one_kind(schema)
        return keys, kind if "discriminator" in kind else schema, True

    def _unknown(self, place: list[str | int], name: str) -> str:
        keys, schema, _ = self._follow(place)
        known = list(self._one_kind(schema).get("properties", {}))
        prefix = ".".join(keys)
        if name in (renamed := schema.get("renamed", {})):
            return f"{prefix}.{name}: the stage is called {renamed[name]} now; rename the key"
        for kind in self._other_kinds(place):
            if name in kind.get("properties", {}):
                near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                return (
                    f"{prefix}.{name}: has no place here; it belongs to another source or modality "
                    f"of data{hint}"
                )
        return (f"{prefix}: " if prefix else "") + unknown("key", name, sorted(known))

    def _other_kinds(self, place: list[str | int]) -> Iterator[Schema]:
        """What stands at the same keys of data sets of all sources."""
        for index in range(len(place)):
            keys, schema, _ = self._follow(place[:index])
            if "discriminator" in schema:
                rest = self._follow(place)[0][len(keys) :]
                for kind in self._leaves(schema):
                    yield from self._at(kind, rest)
                return

    def _leaves(self, schema: Schema) -> Iterator[Schema]:
        kind = self._one_kind(schema)
        if "discriminator" not in kind:
            yield kind
        for choice in kind.get("oneOf", ()):
            yield from self._leaves(choice)

    def _at(self, schema: Schema, keys: list[str]) -> Iterator[Schema]:
        for key in keys:
            inner = _inner(self._one_kind(schema), key)
            if inner is None:
                return
            schema = inner
        yield self._one_kind(schema)

    def _one_kind(self, schema: Schema) -> Schema:
        """A schema without detours, and without null where it allows that."""
        schema = self._resolved(schema)
        kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
        return self._one_kind(kinds[0]) if len(kinds) == 1 else schema

    def _resolved(self, schema: Schema) -> Schema:
        if "$ref" not in schema:
            return schema
        known = self._root["$defs"][schema["$ref"].rpartition("/")[2]]
        return {key: value for key, value in known.items() if key != "description"} | schema

    def _tags(self, schema: Schema) -> str:
        return ", ".join(schema["discriminator"]["mapping"])

    def _expected(self, schema: Schema) -> str:
        """What a value should be, in words."""
        schema = self._resolved(schema)
        described = f" ({schema['description']})" if "description" in schema else ""
        if "const" in schema:
            return f"one of {schema['const']}{described}"
        if "enum" in schema:
            return f"one of {', '.join(map(str, schema['enum']))}{described}"
        if "anyOf" in schema:
            return " or ".join(map(self._expected, schema["anyOf"])) + described
        words = schema.get("type", "object")  # only unions of sections have none
        limits = [f"{phrase} {schema[key]}" for key, phrase in BOUNDS.items() if key in schema]
        if schema.get("uniqueItems"):
            limits.append("all different")
        return ", ".join([words, *limits]) + described

    def _found(self, keys: list[str]) -> object:
        """What was given at a place."""
        found: Any = self._given
        for key in keys:
            found = found[int(key)] if isinstance(found, list) else found[key]
        return found


def _inner(schema: Schema, part: str | int) -> Schema | None:
    """Schema of a key or an entry, where the schema of the whole tells one."""
    others = (
        *schema.get("patternProperties", {}).values(),
        schema.get("additionalProperties"),
        schema.get("items"),
    )
    inner: Schema | None = schema.get("properties", {}).get(part)
    return inner or next((other for other in others if other), None)
