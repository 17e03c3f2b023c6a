"""The examples of docs/extending.md, followed to the letter in a copy of the pipeline."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml
from helpers.workflow import ROOT

PAGE = ROOT / "docs/extending.md"
COPIED = ("pipeline", "workflow", "profiles", "envs", "tests/helpers")
# A block, and the file and place that the words before it name.
BLOCK = re.compile(
    r"^`(?P<file>[^`]+)`, (?P<place>new|at the end|above|below|in place of)"
    r"(?: `(?P<line>[^`]+)`)?[^`]*:\n\n"
    r"```\w*\n(?P<text>.*?)```$",
    re.MULTILINE | re.DOTALL,
)


def section(title: str) -> str:
    """Text of a section."""
    sections = PAGE.read_text(encoding="utf-8").split("\n## ")
    (found,) = (text for text in sections if text.startswith(f"{title}\n"))
    return found


def configuration(title: str) -> Any:
    """The YAML of a section."""
    (text,) = re.findall(r"```yaml\n(.*?)```", section(title), re.DOTALL)
    return yaml.safe_load(text)


def copy_pipeline(folder: Path) -> None:
    """Copy all that a run and the record of its code need."""
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", folder)
    (folder / "tests/unit").mkdir()
    shutil.copy(ROOT / "tests/unit/stage_code.csv", folder / "tests/unit")


def follow(title: str, folder: Path) -> None:
    """Do to a copy of the pipeline what a section says."""
    blocks = list(BLOCK.finditer(section(title)))
    assert blocks, title
    for block in blocks:
        file, place, text = folder / block["file"], block["place"], block["text"]
        assert file.exists() != (place == "new"), file
        before = "" if place == "new" else file.read_text(encoding="utf-8")
        if block["line"]:
            line = f"{block['line']}\n"
            assert before.count(line) == 1, f"{block['file']} has no single line {line}"
            text = {"above": text + line, "below": line + text}.get(place, text)
            file.write_text(before.replace(line, text), encoding="utf-8")
        else:
            file.write_text(before + text, encoding="utf-8")


def run(folder: Path, *command: object) -> subprocess.CompletedProcess:
    """Run a command in a copy, with the copy's pipeline."""
    return subprocess.run(
        list(map(str, command)),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"NO_COLOR": "1", "PYTHONPATH": str(folder)},
    )
