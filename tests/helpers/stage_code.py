"""What the code of each stage is, for a test that compares it with what its version was given for.

Run as a program it records the code as it is, where versions were raised or stages are new:
``python tests/helpers/stage_code.py``. Of a stage whose code changed under its version somebody
has to say that its results did not: ``--results-are-the-same STAGE ...``.
"""

import argparse
import ast
import csv
import hashlib
import sys
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.brain.engines import ENGINES
from pipeline.method.registry import METHODS
from pipeline.stages import STAGES

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "tests/unit/stage_code.csv"
# Tools and settings of all stages: no results come from them.
NO_RESULTS = {"stage", "study", "stages.py"}
# They only list what can do a stage: what they list has code of its own.
REGISTRIES = {ROOT / "pipeline/brain/engines.py", ROOT / "pipeline/method/registry.py"}

Code = dict[str, tuple[int, str]]


def code_of_stages() -> Code:
    """Version and hash of the code of each stage, of each engine and method as ``stage:name``.

    Code is the module of the function and all that it imports, directly or not, of its package: a
    stage of another package has a version of its own. A module that no stage of its own package
    uses, such as those of `pipeline.geometry`, belongs to every stage that imports it.
    """
    functions = {name: _path(stage.function) for name, stage in STAGES.items()}
    for stage, engines in ENGINES.items():
        functions |= {f"{stage}:{name}": _path(e.function) for name, e in engines.items()}
    functions |= {f"train:{name}": _path(type(m).__module__) for name, m in METHODS.items()}
    used = set().union(*(_modules(path, set()) for path in functions.values()))
    free = set((ROOT / "pipeline").rglob("*.py")) - used
    return {
        name: (STAGES[name.partition(":")[0]].version, code_hash(_modules(path, free)))
        for name, path in functions.items()
    }


def recorded() -> Code:
    """What `code_of_stages` was when it was recorded."""
    with RECORD.open(newline="", encoding="utf-8") as file:
        return {row["stage"]: (int(row["version"]), row["code"]) for row in csv.DictReader(file)}


def under_old_version(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Stages whose code changed and whose version was not raised."""
    both = before.keys() & now.keys()
    return sorted(n for n in both if before[n] != now[n] and now[n][0] <= before[n][0])


def record(before: Code, now: Code, results_are_the_same: Collection[str]) -> None:
    """Write `now`; ends the program where that would hide a change of results."""
    if silent := sorted(set(under_old_version(before, now)) - set(results_are_the_same)):
        sys.exit(REMEDY.format(stages=" ".join(silent)))
    with RECORD.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["stage", "version", "code"])
        table.writerows([name, *known] for name, known in sorted(now.items()))


REMEDY = (
    "code changed under its version: {stages}\n"
    "Where results change, raise the version in pipeline/stages.py; then, or where code is new or "
    "gone,\n    python tests/helpers/stage_code.py\n"
    "Where they do not,\n"
    "    python tests/helpers/stage_code.py --results-are-the-same {stages}"
)


def _path(name: str) -> Path:
    """File of ``module:function`` or of a module."""
    return ROOT / (name.partition(":")[0].replace(".", "/") + ".py")


def _package(path: Path) -> str:
    return path.relative_to(ROOT / "pipeline").parts[0]


def _modules(path: Path, free: Collection[Path]) -> set[Path]:
    """A module and what it imports, of its package and of `free`."""
    found, waiting = set(), [path]
    while waiting:
        module = waiting.pop()
        if module in found or module in REGISTRIES or _package(module) in NO_RESULTS:
            continue
        found.add(module)
        waiting += [
            other
            for other in _imported(module)
            if _package(other) == _package(path) or other in free
        ]
    return found


def _imported(path: Path) -> Iterator[Path]:
    names, _ = _parsed(path.read_text(encoding="utf-8"))
    yield from (_path(name) for name in names if _path(name).is_file())


def code_hash(paths: Collection[Path]) -> str:
    """Of statements alone: neither comments, docstrings nor the breaks of lines count."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        _, statements = _parsed(path.read_text(encoding="utf-8"))
        digest.update(statements)
    return digest.hexdigest()[:16]


@cache
def _parsed(text: str) -> tuple[tuple[str, ...], bytes]:
    """What a module may import of the pipeline, and its statements."""
    tree, names = ast.parse(text), []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipeline"):
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(names), hashlib.sha256(repr(_plain(tree)).encode()).digest()


def _plain(node: Any) -> Any:
    """A syntax tree without docstrings, and without empty fields, which Python's versions add."""
    if isinstance(node, list):
        return [_plain(part) for part in node]
    if not isinstance(node, ast.AST):
        return node
    fields = dict(ast.iter_fields(node))
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
        fields["body"] = node.body[1:]
    parts = [(name, _plain(part)) for name, part in fields.items() if part not in (None, [])]
    return type(node).__name__, parts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--results-are-the-same", nargs="+", default=[], metavar="STAGE")
    record(recorded(), code_of_stages(), parser.parse_args().results_are_the_same)
