"""Tools that are installed beside Python: where they are, and in which version."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.stage.errors import InputError


@dataclass(frozen=True)
class Tool:
    """A family of programs: how it is recognised, and what to say where it is missing."""

    programs: tuple[str, ...]
    version: Callable[[Path], str]  # from the folder of its programs
    remedy: str
    variable: str | None = None  # that names its folder
    folder: str = ""  # of the programs, below that
    # Beginnings of the releases whose options and files are those that the stages use.
    known: tuple[str, ...] = ()
    environment: str | None = None  # envs/{environment}.yaml, where conda can install it


@dataclass(frozen=True)
class Installation:
    """An installed tool: the folder of its programs, and its version where it tells one."""

    folder: Path
    version: str


def _fsl_version(folder: Path) -> str:
    told = folder.parent / "etc" / "fslversion"
    if told.is_file():
        return told.read_text(encoding="utf-8").split(":")[0].strip()
    # Installed package by package, FSL has no version as a whole.
    packages = sorted(folder.parent.glob("conda-meta/fsl-bet2-*.json"))
    return packages[0].name.split("-")[2] if packages else "unknown"


def _ants_version(folder: Path) -> str:
    try:
        said = subprocess.run(
            [folder / "N4BiasFieldCorrection", "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        said = ""
    return _first_number(said)


def _robex_version(folder: Path) -> str:
    readme = folder / "readme.txt"
    return _first_number(readme.read_text(errors="replace") if readme.is_file() else "")


def _first_number(text: str) -> str:
    found = re.search(r"\bv?(\d+(?:\.\d+)+)", text)
    return found[1] if found else "unknown"


TOOLS = {
    "fsl": Tool(
        programs=("fslreorient2std", "robustfov", "flirt", "bet"),
        version=_fsl_version,
        remedy="install FSL (https://fsl.fmrib.ox.ac.uk/fsl) and set FSLDIR, or let conda install "
        "it (--software-deployment-method conda)",
        variable="FSLDIR",
        folder="bin",
        known=("5.0.", "6.0."),
        environment="fsl",
    ),
    "ants": Tool(
        programs=("N4BiasFieldCorrection",),
        version=_ants_version,
        remedy="install ANTs (https://github.com/ANTsX/ANTs) and put its folder on PATH, or let "
        "conda install it (--software-deployment-method conda)",
        known=("2.",),
        environment="ants",
    ),
    "robex": Tool(
        programs=("runROBEX.sh", "ROBEX"),
        version=_robex_version,
        remedy="unpack ROBEX (https://www.nitrc.org/projects/robex) and set ROBEX_DIR to its "
        "folder",
        variable="ROBEX_DIR",
        known=("1.2",),
    ),
}


def find_tool(name: str) -> Installation | None:
    """Look for a tool of `TOOLS`.

    Returns
    -------
    Installation or None
        In the folder that its variable names, else on PATH; None unless all its programs are there.
    """
    tool = TOOLS[name]
    if tool.variable and os.environ.get(tool.variable):
        folder = Path(os.environ[tool.variable]).absolute() / tool.folder
    else:
        found = shutil.which(tool.programs[0])
        if found is None:
            return None
        folder = Path(found).absolute().parent
    if not all(shutil.which(folder / program) for program in tool.programs):
        return None
    return Installation(folder, tool.version(folder))


def require_tool(name: str) -> Installation:
    """An installed tool.

    Raises
    ------
    InputError
        It is not installed; the message tells how to get it.
    """
    tool = find_tool(name)
    if tool is None:
        raise InputError(f"{name} is not found: {TOOLS[name].remedy}")
    return tool
