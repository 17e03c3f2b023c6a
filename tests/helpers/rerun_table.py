"""The table of docs/stages.md that tells what each command reruns."""

import re
from typing import NamedTuple

from helpers.documentation import tables
from helpers.workflow import ROOT

PAGE = ROOT / "docs/stages.md"


class Row(NamedTuple):
    """A row: the command, and the rules that it reruns with what they are rerun for."""

    command: str
    reruns: dict[str, str]


def _table(*headings: str) -> list[list[str]]:
    """Rows of the table that begins with these headings."""
    return next(rows for top, *rows in tables(PAGE) if top[: len(headings)] == list(headings))


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
