"""What is wrong with a place where the pipeline is to run, and how to mend it.

`quick_checks` takes no noticeable time: every run of the workflow begins with it; before the first
job follow `check_submission` or `check_trainings`. `examine` looks at everything, the archives
among it.
"""

import ast
import os
import platform
import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement

from pipeline.brain.engines import resolve_engines
from pipeline.stage.errors import InputError
from pipeline.study.config import Config, read_config
from pipeline.study.config.datasets import VolumeDataset
from pipeline.study.slurm_jobs import accounting, jobs_of_folder, partitions

DISTRIBUTION = "defigan-pipeline"
WRITTEN = ("results", "logs", "benchmarks", ".snakemake")
SHOWN = ("snakemake", "torch", "numpy", "nibabel", "simpleitk")  # packages by their version
LEAST_GIGABYTES = 0.1  # not even a log can be trusted to be written
SLURM_PROFILE = Path("profiles/slurm/config.yaml")
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
    free = _free_gigabytes(folder)
    if free < LEAST_GIGABYTES:
        findings.append(Finding("wrong", "disk", f"{free:.1f} GB free", "make room"))
    return [*findings, *_permissions(folder)]


def check_trainings(device: str) -> list[Finding]:
    """Look for the GPU that trainings on this machine were told to use."""
    if device != "cuda" or _gpu(device).state == "ok":
        return []
    found = "the configuration says cuda, but PyTorch finds no GPU"
    return [Finding("wrong", "GPU", found, "mend the driver, or set device: auto")]


def check_jobs(jobs: Iterable[Any], scheduler: str | None, device: str | None) -> list[Finding]:
    """Look at what depends on where jobs run.

    Parameters
    ----------
    jobs
        Snakemake's, that are to run.
    scheduler
        Name of the cluster's, as Snakemake's plugins are called; None on this machine.
    device
        What trainings on this machine were told to use; None where conda makes their environments.
    """
    jobs = list(jobs)
    if scheduler is None:
        train = any(job.resources.get("gpu", 0) for job in jobs)
        return check_trainings(device) if train and device is not None else []
    jobs = [job for job in jobs if not job.is_local]
    paths = sorted({str(path) for job in jobs for path in job.input})
    asked = {job.resources.get("slurm_partition") for job in jobs} - {None}
    return check_submission(paths, asked if scheduler == "slurm" else None)


def check_submission(paths: Iterable[str], wanted: Iterable[str] | None) -> list[Finding]:
    """Look at what would let a cluster refuse jobs, or run them on other files.

    Parameters
    ----------
    paths
        Input files of the jobs that are to be submitted.
    wanted
        Slurm's partitions that they ask for; None where the cluster has another scheduler.
    """
    findings = [
        Finding(
            "wrong",
            "cluster",
            f"Snakemake cannot hand {path} to a job of a cluster: it holds an apostrophe beside a "
            "quotation mark or dollar sign, or a backslash",
            "rename it, or run on one machine (--cores)",
        )
        for path in paths
        if not _can_be_submitted(path)
    ]
    if wanted is None:
        return findings
    try:
        known = partitions()
    except InputError as error:
        return [*findings, Finding("wrong", "Slurm", str(error), "ask the site, or see slurm.conf")]
    return [*findings, *_partitions(known, wanted, "wrong")]


def examine(given: Mapping[str, Any], folder: Path = Path()) -> list[Finding]:
    """Look at everything that a run of a configuration needs.

    Parameters
    ----------
    given
        The configuration as read from YAML.
    folder
        Of the workflow.
    """
    findings = quick_checks(folder)
    try:
        config = read_config(given)
    except InputError as error:
        return [*findings, Finding("wrong", "configuration", str(error)), *_slurm(folder)]
    return [
        *findings,
        *_engines(config),
        _gpu(config.device),
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
    told = (f"{name} {version(name)}" for name in SHOWN)
    said = f"{right} of {len(wanted)} in versions that work, {', '.join(told)}"
    yield Finding("ok", "packages", said)


def _permissions(folder: Path) -> Iterator[Finding]:
    for path in (folder, *(folder / name for name in WRITTEN)):
        if path.exists() and not path.is_dir():
            yield Finding("wrong", "permissions", f"{path} is no folder", "move it away")
        elif path.exists() and not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            remedy = "make it readable and writable for the user who runs"
            yield Finding("wrong", "permissions", f"{path} cannot be written", remedy)
        elif path == folder:
            yield Finding("ok", "permissions", f"{path.absolute()} can be written")


def _free_gigabytes(folder: Path) -> float:
    return shutil.disk_usage(folder).free / 1e9


def _room(folder: Path, whole: float) -> Finding:
    """The disk against the estimate of a whole run, a part of which may be there already."""
    there = sum(_gigabytes(folder / name) for name in ("results", "demo"))
    free, needed = _free_gigabytes(folder), max(whole - there, 0)
    found = f"{free:.1f} GB free, {needed:.1f} GB to come of an estimated {whole:.1f} GB"
    if free >= needed:
        return Finding("ok", "disk", found)
    return Finding("wrong", "disk", found, "make room, or set keep_intermediates: false")


def _gigabytes(folder: Path) -> float:
    """Size of all files below a folder; 0 where there is none."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) / 1e9


def _engines(config: Config) -> Iterator[Finding]:
    for name, dataset in config.datasets.items():
        if not isinstance(dataset, VolumeDataset):
            continue
        try:
            engines = resolve_engines(dataset.brain.engines, dataset.chain)
        except InputError as error:
            yield Finding("wrong", "engines", f"datasets.{name}.brain.engines: {error}")
            continue
        told = (
            f"{stage}: {', '.join(filter(None, (engine.name, engine.version)))}"
            + (f" ({engine.reason})" if engine.reason else "")
            for stage, engine in engines.items()
        )
        yield Finding("ok", "engines", "\n".join([name, *told]))


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


def _plan(config: Config, folder: Path) -> Iterator[Finding]:
    """The archives, which are read to be counted, and the room that the results take."""
    from pipeline.study.plan import plan_study

    try:
        plan = plan_study(config, folder)
    except InputError as error:
        yield Finding("wrong", "archive", str(error))
        return
    for name, counts in plan.counts.items():
        for state, told in (("ok", counts.facts), ("warning", counts.doubts)):
            yield from (Finding(state, "archive", f"{name}: {fact}") for fact in told)
    yield _room(folder, plan.table["gigabytes"].sum())


def _can_be_submitted(path: str) -> bool:
    """Whether the shell of a job reads a path from its command line as it is."""
    from snakemake_interface_executor_plugins.utils import format_cli_value

    text = format_cli_value(path, quote=True)
    try:
        read = shlex.split(text)
    except ValueError:  # quotation marks that do not end
        return False
    # What stands between double quotes is looked at for variables and commands.
    return read == [path] and not (text.startswith('"') and set("$`") & set(path))


def _slurm(folder: Path) -> Iterator[Finding]:
    if shutil.which("sinfo") is None:
        yield Finding("ok", "Slurm", "not installed here")
        return
    try:
        known = partitions()
        jobs = jobs_of_folder(folder)
    except InputError as error:
        remedy = "only runs with profiles/slurm need it: then ask the site, or see slurm.conf"
        yield Finding("ok", "Slurm", f"not in use: {error}", remedy)
        return
    yield Finding("ok", "Slurm", f"partitions {' '.join(known)}")
    if (folder / SLURM_PROFILE).is_file():
        yield from _slurm_profile(folder / SLURM_PROFILE, known)
    if jobs:
        found = f"jobs of this folder have not ended ({len(jobs)}): {' '.join(jobs[:20])}"
        remedy = "if their Snakemake was killed: python -m pipeline wait-for-jobs"
        yield Finding("warning", "Slurm", found, remedy)


def _slurm_profile(path: Path, known: list[str]) -> Iterator[Finding]:
    """What the profile of a site says, against its Slurm."""
    try:
        profile = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        yield Finding("wrong", "Slurm", f"{path} is no YAML: {error}", "correct it")
        return
    asked = [profile.get("default-resources", {}), *profile.get("set-resources", {}).values()]
    named = (_literal(part["slurm_partition"]) for part in asked if "slurm_partition" in part)
    yield from _partitions(known, filter(None, named), "warning")
    if "slurm-status-command" not in profile and not accounting():
        found = "accounting is off, so the state of jobs cannot be asked for with sacct"
        yield Finding("warning", "Slurm", found, f"slurm-status-command: squeue in {SLURM_PROFILE}")


def _literal(expression: str) -> str | None:
    """The text that an expression of a profile is; None if it must be computed."""
    try:
        return str(ast.literal_eval(expression))
    except (ValueError, SyntaxError):
        return None


def _partitions(known: list[str], wanted: Iterable[str], state: str) -> Iterator[Finding]:
    names = {name for text in wanted for name in text.split(",")}
    for name in sorted(names - set(known)):
        found = f"there is no partition {name}, only {' '.join(known)}"
        yield Finding(state, "Slurm", found, f"name the site's own in {SLURM_PROFILE}")
