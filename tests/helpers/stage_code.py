"""What the code of each stage is, for a test that compares it with what its version was given for.

Run as a program it records the code as it is: ``python tests/helpers/stage_code.py``.
"""

import ast
import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path

from pipeline.brain.engines import ENGINES
from pipeline.stages import STAGES

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "tests/unit/stage_code.csv"


def code_of_stages() -> dict[str, tuple[str, str]]:
    """Version and hash of the code of each stage, and of each engine as ``stage:engine``.

    The code is that of the function's module and of the modules of the same package that it
    imports, directly or not. Other packages have stages of their own or no results.
    """
    code = {
        name: (str(stage.version), _hash(_modules(stage.function)))
        for name, stage in STAGES.items()
    }
    for stage, engines in ENGINES.items():
        for name, engine in engines.items():
            version = str(STAGES[stage].version)
            code[f"{stage}:{name}"] = (version, _hash({_path(engine.function)}))
    return code


def recorded() -> dict[str, tuple[str, str]]:
    """What `code_of_stages` was when it was recorded."""
    with RECORD.open(newline="", encoding="utf-8") as file:
        return {row["stage"]: (row["version"], row["code"]) for row in csv.DictReader(file)}


def _path(name: str) -> Path:
    """File of ``module:function`` or of a module."""
    return ROOT / (name.partition(":")[0].replace(".", "/") + ".py")


def _modules(function: str) -> set[Path]:
    found: set[Path] = set()
    waiting = [_path(function)]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [other for other in _imported(path) if other.parent == path.parent]
    return found


def _imported(path: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("pipeline"):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            yield from (_path(name) for name in names if _path(name).is_file())


def _hash(paths: set[Path]) -> str:
    """Of statements alone: neither comments, docstrings nor the breaks of lines count."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef):
                first = node.body[0] if node.body else None
                if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                    node.body = node.body[1:]
        digest.update(ast.dump(tree).encode())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    with RECORD.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["stage", "version", "code"])
        table.writerows([name, *known] for name, known in sorted(code_of_stages().items()))
