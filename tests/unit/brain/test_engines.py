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
    CONDA_TOOLS,
    EMBEDDED,
    PROGRAMS,
    TOOLS,
    engine_table,
    find_tool,
    resolve_engines,
)
from pipeline.stage.errors import InputError
from pipeline.stage.sidecar import read_sidecar

ROOT = Path(__file__).parents[3]
AUTO = dict.fromkeys(TOOLS, "auto")


def names(engines):
    return {stage: engine.name for stage, engine in engines.items()}


def test_auto_takes_the_tools_of_the_paper(fakes: FakeTools) -> None:
    engines = resolve_engines(AUTO)
    assert names(engines) == TOOLS
    versions = {engine.name: engine.version for engine in engines.values()}
    assert versions == {"fsl": "6.0.7.4", "ants": "2.5.0", "robex": "1.2"}


def test_auto_is_embedded_where_nothing_is_installed(no_tools: None) -> None:
    engines = resolve_engines(AUTO)
    assert set(names(engines).values()) == {EMBEDDED}
    assert engines["orient"].reason == "fsl is not found"
    assert engines["crop"].version.startswith("niimath 1.")


def test_embedded_asks_for_nothing(fakes: FakeTools) -> None:
    engines = resolve_engines(dict.fromkeys(TOOLS, EMBEDDED))
    assert set(names(engines).values()) == {EMBEDDED}
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
    stage = next(stage for stage, name in TOOLS.items() if name == tool)
    engine = resolve_engines(AUTO)[stage]
    assert engine.name == EMBEDDED
    assert "is not a version that is known" in engine.reason
    named = resolve_engines({**AUTO, stage: tool})[stage]
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
        resolve_engines({**AUTO, stage: TOOLS[stage]})


def test_tool_without_one_of_its_programs_is_not_found(fakes: FakeTools) -> None:
    (fakes.fsl / "bin/robustfov").unlink()
    assert find_tool("fsl") is None
    (fakes.robex / "ROBEX").chmod(0o644)
    assert find_tool("robex") is None


def test_fsl_is_found_on_the_path(fakes: FakeTools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FSLDIR")
    assert find_tool("fsl") is None
    monkeypatch.setenv("PATH", str(fakes.fsl / "bin"))
    assert find_tool("fsl").folder == fakes.fsl / "bin"


def test_fsl_installed_by_conda_tells_the_version_of_a_package(fakes: FakeTools) -> None:
    (fakes.fsl / "etc/fslversion").unlink()
    assert find_tool("fsl").version == "unknown"
    (fakes.fsl / "conda-meta").mkdir()
    (fakes.fsl / "conda-meta/fsl-bet2-2111.5-h1234_0.json").touch()
    assert find_tool("fsl").version == "2111.5"


def test_conda_brings_its_own_tools(no_tools: None) -> None:
    engines = resolve_engines({**AUTO, "skull_refine": EMBEDDED}, conda=True)
    wanted = {**TOOLS, "skull_refine": EMBEDDED, "skull": EMBEDDED}
    assert names(engines) == wanted
    assert engines["bias"].version == "of envs/ants.yaml"


def test_table_names_stage_engine_and_version(no_tools: None) -> None:
    table = engine_table({"adni": resolve_engines(AUTO)})
    assert len(table.splitlines()) == 2 + len(TOOLS)
    row = next(line for line in table.splitlines() if " bias " in line).split(maxsplit=3)
    assert row[:3] == ["adni", "bias", EMBEDDED]
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
    assert provided == set(PROGRAMS[tool])
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


@pytest.mark.parametrize("stage", [stage for stage in TOOLS if TOOLS[stage] in CONDA_TOOLS])
def test_environment_has_all_that_its_stages_import(
    fakes: FakeTools, small_brain: Path, tmp_path: Path, stage: str
) -> None:
    environment = yaml.safe_load((ROOT / "envs" / f"{TOOLS[stage]}.yaml").read_text())
    there = installed_with(environment["dependencies"][-1]["pip"])
    own = {"pipeline", "helpers"}
    refused = {
        module
        for module, packages in packages_distributions().items()
        if module not in own and not there & set(map(canonicalize_name, packages))
    }
    assert {"torch", "snakemake"} <= refused
    options = {"skull_refine": ["--fraction", "0.25"], "template": ["--template", str(small_brain)]}
    # As a stage in the middle of the chain: its source has a sidecar.
    small_brain.with_name("head.json").write_text('{"status": "ok", "steps": []}')
    result = tmp_path / "result.nii.gz"
    arguments = [stage, small_brain, result, "--engine", TOOLS[stage], *options.get(stage, [])]
    command = [sys.executable, "-c", NOT_INSTALLED, " ".join(refused), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert read_sidecar(result)["status"] == "ok"
