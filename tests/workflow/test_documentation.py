"""The commands that the documentation shows mean to Snakemake what they mean to the reader."""

import re
import shlex

import pytest
from helpers.workflow import ROOT
from snakemake.cli import get_argument_parser

PAGES = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("config/*.yaml")]
COMMAND = re.compile(r"^(?:# *)?(snakemake .*)$|`(snakemake [^`\n]*)`", re.MULTILINE)
SHOWN = [(page.name, a or b) for page in PAGES for a, b in COMMAND.findall(page.read_text())]


def test_commands_are_found():
    assert len(SHOWN) > 15


@pytest.mark.parametrize(("page", "command"), SHOWN, ids=lambda text: text)
def test_a_command_is_read_as_it_looks(page, command):
    words = shlex.split(command, comments=True)[1:]
    read = get_argument_parser().parse_args([word for word in words if word != "..."])
    # The option takes all words that follow: a target among them would be read as a configuration.
    assert all(str(path).endswith(".yaml") for path in read.configfile or [])
