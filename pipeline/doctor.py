"""What is wrong with a place where the pipeline is to run, and how to mend it.

`quick_checks` takes no noticeable time: every run of the workflow begins with it. `examine` looks
at everything, the archives among it.
"""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from pipeline.brain.engines import resolve_engines
from pipeline.config import check_config, modality
from pipeline.errors import InputError
from pipeline.slurm import jobs_of_folder

DISTRIBUTION = "defigan-pipeline"
WRITTEN = ("results", "logs", "benchmarks", ".snakemake")
LEAST_GIGABYTES = 0.1  # not even a log can be trusted to be written
SLURM_SECONDS = 10  # a controller that is there answers at once
REINSTALL = "install what envs/python.lock names: make install"


@dataclass(frozen=True)
class Finding:
    """One thing looked at: its state is ``ok``, ``warning`` or ``wrong``."""

    state: str
    what: str
    found: str
    remedy: str = ""

    def __str__(self) -> str:
        remedy = f"; {self.remedy}" if self.remedy else ""
        text = f"{self.state:8}{self.what}: {self.found}{remedy}"
        return text.replace("\n", "\n" + 8 * " ")


def quick_checks(folder: Path = Path(), *, packages: bool = True) -> list[Finding]:
    """Look at what would certainly stop a run later.

    Parameters
    ----------
    folder
        Of the workflow, where results are written.
    packages
        False where conda makes the environments of the jobs.
    """
    findings = [Finding("ok", "Python", platform.python_version())]
    if packages:
        findings += _packages()
    return [*findings, *_permissions(folder), *_room(folder, LEAST_GIGABYTES, "any run")]


def examine(config: dict[str, Any], folder: Path = Path()) -> list[Finding]:
    """Look at everything that a run of a configuration needs.

    Parameters
    ----------
    config
        The configuration as read from YAML.
    folder
        Of the workflow.
    """
    findings = quick_checks(folder)
    try:
        check_config(config)
    except InputError as error:
        return [*findings, Finding("wrong", "configuration", str(error)), *_slurm(folder)]
    return [
        *findings,
        *_engines(config),
        _gpu(config["device"]),
        *_plan(config, folder),
        *_slurm(folder),
    ]


def wrong(findings: list[Finding]) -> list[Finding]:
    """Those findings that must be mended."""
    return [finding for finding in findings if finding.state == "wrong"]


def _packages() -> Iterator[Finding]:
    try:
        wanted = [Requirement(text) for text in requires(DISTRIBUTION) or []]
    except PackageNotFoundError:
        yield Finding("warning", "packages", f"{DISTRIBUTION} is not installed", REINSTALL)
        return
    wanted = [r for r in wanted if r.marker is None or r.marker.evaluate({"extra": ""})]
    right = 0
    for requirement in wanted:
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            yield Finding("wrong", "packages", f"{requirement} is not installed", REINSTALL)
            continue
        if requirement.specifier.contains(found, prereleases=True):
            right += 1
        else:
            # It may work all the same: no reason to stop a run.
            said = f"{requirement} is wanted, {found} found"
            yield Finding("warning", "packages", said, REINSTALL)
    yield Finding("ok", "packages", f"{right} of {len(wanted)} in versions that work")


def _permissions(folder: Path) -> Iterator[Finding]:
    for path in (folder, *(folder / name for name in WRITTEN)):
        if path.exists() and not path.is_dir():
            yield Finding("wrong", "permissions", f"{path} is no folder", "move it away")
        elif path.exists() and not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            remedy = "make it readable and writable for the user who runs"
            yield Finding("wrong", "permissions", f"{path} cannot be written", remedy)
        elif path == folder:
            yield Finding("ok", "permissions", f"{path.absolute()} can be written")


def _room(folder: Path, needed: float, what: str) -> Iterator[Finding]:
    free = shutil.disk_usage(folder).free / 1e9
    found = f"{free:.1f} GB free, {needed:.1f} GB for {what}"
    if free >= needed:
        yield Finding("ok", "disk", found)
    else:
        remedy = "make room, or set keep_intermediates: false"
        yield Finding("wrong", "disk", found, remedy)


def _engines(config: dict[str, Any]) -> Iterator[Finding]:
    for name, dataset in config["datasets"].items():
        if modality(dataset) != "brain":
            continue
        try:
            engines = resolve_engines(dataset["brain"]["engines"])
        except InputError as error:
            yield Finding("wrong", "engines", f"datasets.{name}.brain.engines: {error}")
        else:
            told = (f"{stage} {e.name} ({e.reason or e.version})" for stage, e in engines.items())
            yield Finding("ok", "engines", f"{name}: {', '.join(told)}")


def _gpu(device: str) -> Finding:
    import torch  # slow to start

    if torch.cuda.is_available():
        return Finding("ok", "GPU", torch.cuda.get_device_name(0))
    if device == "cuda":
        remedy = (
            "on a cluster's login node that may be right; else install a driver, or device: cpu"
        )
        return Finding("warning", "GPU", "none here, but the configuration says cuda", remedy)
    if device == "auto":
        return Finding("warning", "GPU", "none here", "trainings will run on the processor")
    return Finding("ok", "GPU", "not wanted")


def _plan(config: dict[str, Any], folder: Path) -> Iterator[Finding]:
    """The archives, which are read to be counted, and the room that the results take."""
    from pipeline.plan import plan_study

    try:
        table, notes = plan_study(config, folder)
    except InputError as error:
        yield Finding("wrong", "archive", str(error))
        return
    for note in notes:
        if note.split(":")[0] in config["datasets"]:
            yield Finding("ok", "archive", note)
    yield from _room(folder, table["gigabytes"].sum(), "a whole run, estimated")


def _slurm(folder: Path) -> Iterator[Finding]:
    if shutil.which("sinfo") is None:
        yield Finding("ok", "Slurm", "not installed here")
        return
    try:
        asked = subprocess.run(
            ["sinfo", "--noheader", "--format=%P"],
            capture_output=True,
            text=True,
            timeout=SLURM_SECONDS,
            check=False,
        )
        answer = asked.stderr.strip().rpartition("\n")[2]
    except subprocess.TimeoutExpired:
        asked, answer = None, f"no answer in {SLURM_SECONDS} s"
    if asked is None or asked.returncode:
        remedy = "only runs with profiles/slurm need it: ask the site, or look at slurm.conf"
        yield Finding("warning", "Slurm", answer or "sinfo failed", remedy)
        return
    yield Finding("ok", "Slurm", f"partitions {' '.join(asked.stdout.split())}")
    try:
        jobs = jobs_of_folder(folder)
    except InputError as error:
        yield Finding("warning", "Slurm", str(error))
        return
    if jobs:
        found = f"{len(jobs)} jobs of this folder have not ended: {' '.join(jobs[:20])}"
        remedy = "if their Snakemake was killed: python -m pipeline wait-for-jobs"
        yield Finding("warning", "Slurm", found, remedy)
