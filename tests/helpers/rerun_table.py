"""The table of docs/stages.md that tells what each command reruns."""

import re
from typing import NamedTuple

from helpers.workflow import ROOT


class Row(NamedTuple):
    """A row: the command, and the rules that it reruns with what they are rerun for."""

    command: str
    reruns: dict[str, str]


def _tables() -> list[list[list[str]]]:
    """All tables of the page: rows of cells."""
    text = (ROOT / "docs/stages.md").read_text()
    tables = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    return [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
        for table in tables
    ]


def _table(*headings: str) -> list[list[str]]:
    """Rows of the table that begins with these headings."""
    return next(rows[2:] for rows in _tables() if rows[0][: len(headings)] == list(headings))


def _names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def rules_of_stages() -> dict[str, list[str]]:
    """Rules by stage, from the table of stages."""
    return {stage: _names(rules) for stage, _, rules in _table("stage", "target")}


def rerun_rows() -> dict[str, Row]:
    """Rows by what is to run again."""
    rows = {}
    for what, command, cell in _table("to run again"):
        reruns = {}
        for part in cell.split(";"):
            scope, rules = part.split(":", 1)
            reruns |= dict.fromkeys(_names(rules), scope.strip())
        rows[what] = Row(_names(command)[0], reruns)
    return rows
