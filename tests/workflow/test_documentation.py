"""What the documentation shows is there, runs, and means to programs what it means to readers."""

import ast
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import yaml
from helpers.documentation import CONFIGURATIONS, blocks, commands, tables
from helpers.job_cost import without_benchmarks
from helpers.scale import write_archives
from helpers.workflow import ROOT, jobs_of_command
from snakemake.cli import get_argument_parser

from pipeline import cli
from pipeline.study.config import parse_config

# Where a command runs, by how it begins.
RUN = yaml.safe_load((ROOT / "tests/workflow/commands.yaml").read_text(encoding="utf-8"))
# What cannot run everywhere; the reader is told so.
NEEDED = re.compile(r"\byour (data|cluster)\b|\bneeds (Docker|Apptainer)\b")
PAPER = "config/paper.yaml"  # whose archives the reader has
INSTALLERS = ("apt-get install ", "python -m pip install ")  # of optional programs


def what_runs(command):
    """The test, or the file and words, of the longest beginning that is known."""
    known = [begin for begin in RUN if f"{command} ".startswith(f"{begin.rstrip()}")]
    return RUN[max(known, key=len)] if known else None


SHOWN = list(commands())
OURS = [c for c in SHOWN if re.match(r"python -m pipeline [a-z]", c.text)]
SNAKEMAKES = [c for c in SHOWN if c.text.startswith("snakemake ")]


def test_commands_are_found():
    assert len(SNAKEMAKES) > 15
    assert len(OURS) > 10


@pytest.mark.parametrize("command", dict.fromkeys(SHOWN), ids=lambda c: f"{c.page}: {c.text}")
def test_a_command_runs_or_says_what_it_needs(command):
    """A new one: name its test in commands.yaml, or write ``# your data`` behind it."""
    marked = NEEDED.search(command.comment) or PAPER in command.text
    installer = command.text.startswith(INSTALLERS)
    assert marked or installer or what_runs(command.text)


@pytest.mark.parametrize("where", sorted(set(RUN.values())))
def test_what_runs_a_command_is_there(where):
    path, _, name = where.partition("::")
    text = (ROOT / path).read_text(encoding="utf-8")
    if name.startswith("test_"):
        functions = (n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef))
        assert name in {function.name for function in functions}
    else:
        assert name in text


def test_every_entry_belongs_to_a_command():
    assert {what_runs(c.text) for c in SHOWN} >= set(RUN.values())


@pytest.mark.parametrize("command", dict.fromkeys(SNAKEMAKES), ids=lambda c: c.text)
def test_snakemake_reads_a_command_as_it_looks(command):
    words = shlex.split(command.text)[1:]
    read = get_argument_parser().parse_args([word for word in words if word != "..."])
    # The option takes all words that follow: a target among them would be read as a configuration.
    assert all(str(path).endswith(".yaml") for path in read.configfile or [])


@pytest.mark.parametrize("command", dict.fromkeys(OURS), ids=lambda c: c.text)
def test_the_pipeline_knows_a_command_and_its_options(command):
    words = shlex.split(command.text)[3:]
    (stages,) = cli._parser()._subparsers._group_actions
    options = {option for a in stages.choices[words[0]]._actions for option in a.option_strings}
    assert {word for word in words if word.startswith("-")} <= options


def test_toy_data_of_the_published_size_can_be_planned(tmp_path):
    (command,) = {
        c.text for c in SNAKEMAKES if c.text.endswith("table1.csv --configfile config/toy.yaml")
    }
    shutil.copytree(ROOT / "config", tmp_path / "config")
    jobs = jobs_of_command(tmp_path, command)
    assert jobs["train_model"] >= 10  # two methods, five seeds
    assert jobs["make_table"] == 1


def test_archive_of_any_size_can_be_made(tmp_path):
    assert write_archives(tmp_path, 20) > 100
    assert (tmp_path / "config/paper.yaml").is_file()


def test_workflow_can_be_had_without_benchmarks(tmp_path):
    without_benchmarks(tmp_path)
    whole, bare = (
        "".join(path.read_text() for path in sorted(folder.glob("workflow/rules/*.smk")))
        for folder in (ROOT, tmp_path)
    )
    assert "benchmark" not in bare.replace("volume_benchmark,", "")
    kept = ("rule ", "log:", "volume_log(", "params:", "shell:", "resources:")
    assert [bare.count(word) for word in kept] == [whole.count(word) for word in kept]


def test_help_tells_every_command():
    said = subprocess.run(
        [sys.executable, "-m", "pipeline", "--help"], capture_output=True, text=True, check=True
    )
    assert all(word in said.stdout for word in ("doctor", "plan", "explain", "status"))


def test_fast_tests_can_be_chosen(request):
    assert any(marker.startswith("slow:") for marker in request.config.getini("markers"))


def test_site_is_built_and_every_link_leads_somewhere(tmp_path):
    """Every page has its place in the navigation, too."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for page in (ROOT / "docs").glob("*.md"):
        assert (tmp_path / f"site/{page.stem}.html").is_file()


def test_examples_of_ones_own_data_are_configurations():
    examples = blocks(ROOT / "docs/sources.md", "yaml")
    configs = [parse_config(yaml.safe_load(example)) for example in examples]
    sources = {dataset.source for config in configs for dataset in config.datasets.values()}
    assert sources == {"adni", "bids", "copd", "manifest"}


def said_by_the_pipeline():
    """Texts of the code, with a gap for what is put into them."""
    paths = [*(ROOT / "pipeline").rglob("*.py"), ROOT / "Makefile"]
    for path in paths:
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".py":
            yield text
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else "\0" for p in node.values)
                yield "".join(parts)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_messages_of_the_troubleshooting_are_those_of_the_code():
    texts = list(said_by_the_pipeline())
    ours = [t for t in tables(ROOT / "docs/troubleshooting.md") if t[0][0] in ("Message", "Reason")]
    cells = [row[0] for _, *rows in ours for row in rows]
    messages = [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]
    assert len(messages) > 50
    for message in messages:
        parts = [re.escape(part.strip()) for part in message.split("...") if part.strip(" ;")]
        pattern = re.compile(r"(?s)" + ".*".join(parts))
        assert any(pattern.search(text) for text in texts), message


def test_configurations_are_all_looked_at():
    assert {page.name for page in CONFIGURATIONS} >= {"paper.yaml", "toy.yaml", "toy-small.yaml"}
