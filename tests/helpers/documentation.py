"""What the pages of the documentation show: commands, examples, links, tables."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from helpers.workflow import ROOT

README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
CONFIGURATIONS = sorted((ROOT / "config").glob("*.yaml"))
PROGRAMS = (
    "apptainer|apt-get|docker|git|make|mkdocs|pytest|python|ruff|snakefmt|snakemake|tensorboard"
)
FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(rf"`((?:{PROGRAMS}) [^`]+)`")
COMMENTED = re.compile(r"^# +(snakemake .*)$", re.MULTILINE)
OF_THE_SHELL = ("cd ", "source ")


class Command(NamedTuple):
    """A command, and the comment behind it."""

    page: str
    text: str
    comment: str


def blocks(page: Path, language: str) -> list[str]:
    """Fenced blocks of a language."""
    text = page.read_text(encoding="utf-8")
    return [block for name, block in FENCED.findall(text) if name == language]


def commands() -> Iterator[Command]:
    """All commands: of blocks, of sentences, and of the configurations' comments."""
    for page in PAGES:
        for block in blocks(page, "sh"):
            for line in re.sub(r"\\\n\s*", "", block).splitlines():
                text, _, comment = line.strip().partition(" #")
                if text and not text.startswith(("#", *OF_THE_SHELL)):
                    yield Command(page.name, text.strip(), comment)
        prose = FENCED.sub("", page.read_text(encoding="utf-8"))
        yield from (Command(page.name, " ".join(c.split()), "") for c in INLINE.findall(prose))
    for page in CONFIGURATIONS:
        for line in COMMENTED.findall(page.read_text(encoding="utf-8")):
            yield Command(page.name, line, "")


def tables(page: Path) -> list[list[list[str]]]:
    """Tables of a page: rows of cells, the heading first, the line below it left out."""
    found = re.findall(r"(?:^\|.*\n)+", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    rows = ([line.strip("|").split("|") for line in table.splitlines()] for table in found)
    return [[[cell.strip() for cell in row] for row in (top, *rest)] for top, _, *rest in rows]
