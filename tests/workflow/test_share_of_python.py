"""Rules keep wildcards, paths and shell lines; what is worked out, `pipeline.study` works out."""

import re
from pathlib import Path

RULES = Path(__file__).parents[2] / "workflow"
MOST = 0.15
# What begins a block of Snakemake's own language.
BLOCK = re.compile(
    r"\s*((use )?rule\b.*|checkpoint \w+|wildcard_constraints|localrules|module \w+):\s*$"
)


def python_lines(text):
    """Lines outside rules, and lambdas in them; blank lines and comments count nowhere."""
    lines = [line for line in text.splitlines() if line.strip() and line.strip()[0] != "#"]
    found, inside = [], None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if inside is not None and indent <= inside:
            inside = None
        if inside is None and BLOCK.match(line):
            inside = indent
        elif inside is None or "lambda" in line:
            found.append(line)
    return found, lines


def test_python_is_told_from_rules():
    text = """
x = 1  # Python
for name in x:  # Python

    rule:
        name: "a"
        params:
            a=lambda wildcards: 1,  # Python
            b=2,

# a comment
use rule a as b with:
    output: "c"
print(x)  # Python
onstart:  # Python
    print(x)  # Python
"""
    found, lines = python_lines(text)
    assert found == [line for line in lines if line.endswith("# Python")]


def test_rules_hold_little_python():
    python, all_lines = [], []
    for path in sorted(RULES.rglob("*.smk")):
        found, lines = python_lines(path.read_text(encoding="utf-8"))
        python += found
        all_lines += lines
    assert len(python) < MOST * len(all_lines), "\n".join(python)
