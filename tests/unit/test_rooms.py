"""The order of the packages: data flow forward, and a package imports only from those before it."""

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIPELINE = ROOT / "pipeline"
ORDER = (
    "stage",
    "geometry",
    "drawing",
    "dicom",
    "cohort",
    "brain",
    "chest",
    "qc",
    "dataset",
    "demo",
    "method",
    "score",
    "biomarkers",
    "figures",
    "report",
    "study",
    "record",
    "measure",
    "cli",
)
AFTER_PACKING = ("method", "score", "biomarkers", "figures", "report")
ARCHIVES = {"dicom", "cohort", "qc"}
MODULES = [path for path in PIPELINE.rglob("*.py") if path.parent != PIPELINE]


def imported(path):
    """Packages below `pipeline` that a module names in its imports or as ``module:function``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("pipeline"):
            parts = node.module.split(".")
            yield from [parts[1]] if parts[1:] else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("pipeline."))
        elif isinstance(node, ast.Constant) and str(node.value).startswith("pipeline."):
            name, _, function = str(node.value).partition(":")
            if function.isidentifier():
                yield name.split(".")[1]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PIPELINE)))
def test_a_package_imports_only_from_those_before_it(path):
    room = path.relative_to(PIPELINE).parts[0]
    later = ORDER[ORDER.index(room) + 1 :]
    assert not set(imported(path)) & set(later)


@pytest.mark.parametrize("room", AFTER_PACKING)
def test_what_follows_packing_reads_no_archive(room):
    """It knows images by the packed folder alone."""
    names = {name for path in (PIPELINE / room).rglob("*.py") for name in imported(path)}
    assert not names & ARCHIVES


def test_nor_does_what_it_imports():
    paths = [path for room in AFTER_PACKING for path in (PIPELINE / room).rglob("*.py")]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]
    script = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]\n"
    script += "print(*{name.split('.')[1] for name in sys.modules if name.startswith('pipeline.')})"
    told = subprocess.run(
        [sys.executable, "-c", script, *names], capture_output=True, text=True, check=True, cwd=ROOT
    )
    rooms = set(told.stdout.split())
    assert rooms.issuperset(AFTER_PACKING) and not rooms & ARCHIVES


def test_every_package_has_its_place():
    rooms = {p.parent.name for p in PIPELINE.glob("*/__init__.py")}
    assert rooms == set(ORDER)


def test_architecture_page_names_the_packages_in_their_order():
    page = (PIPELINE.parent / "docs/architecture.md").read_text(encoding="utf-8")
    assert tuple(re.findall(r"^  (\w+)/ ", page, re.MULTILINE)) == ORDER


def test_no_two_modules_have_one_name():
    names = Counter(path.stem for path in MODULES if path.stem != "__init__")
    assert [name for name, count in names.items() if count > 1] == []


def test_few_modules_are_loose():
    assert len(list(PIPELINE.glob("*.py"))) <= 3
