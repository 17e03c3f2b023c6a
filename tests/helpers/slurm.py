"""A real Slurm on one machine: munge, a controller and one node, for as long as a test needs it.

No root, systemd, cgroups or accounting: everything lies in one folder and runs as children of the
test, so that an installed Slurm of the machine is left alone. Devices that jobs ask for as GPUs are
character devices that every Linux has.
"""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from helpers.workflow import ROOT

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue")
SECONDS_TO_START = 60
# Two partitions on the one node, as on a cluster with and without GPUs.
CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=3600
KillWait=2
StateSaveLocation={folder}/controller
SlurmdSpoolDir={folder}/node
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
MailProg=/bin/true
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=64000 Gres=gpu:1 State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={host} MaxTime=INFINITE State=UP
"""


def missing_programs() -> list[str]:
    """Programs of Slurm and munge that are not installed."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    return [name for name in PROGRAMS if shutil.which(name, path=path) is None]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _idle() -> bool:
    asked = subprocess.run(["sinfo", "-h", "-o", "%t"], capture_output=True, text=True, check=False)
    return set(asked.stdout.split()) == {"idle"}


@contextmanager
def running_slurm() -> Iterator[Path]:
    """Start Slurm, make it the one that `sbatch` and `squeue` talk to, and stop it at the end.

    Yields
    ------
    Folder with the logs of the daemons.

    Raises
    ------
    RuntimeError
        If the node does not come up; the message holds the ends of the logs.
    """
    # Not the test's own folder: the path of a socket is at most 107 bytes long.
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)  # munge wants everybody to reach its socket
    (folder / "controller").mkdir()
    (folder / "node").mkdir()
    (folder / "munge.key").write_bytes(secrets.token_bytes(64))
    (folder / "munge.key").chmod(0o600)
    settings = {
        "folder": folder,
        "cpus": os.cpu_count(),
        "host": socket.gethostname().split(".")[0],
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "controller_port": _free_port(),
        "node_port": _free_port(),
    }
    configuration = folder / "slurm.conf"
    configuration.write_text(CONFIGURATION.format(**settings))
    (folder / "gres.conf").write_text("Name=gpu File=/dev/null\n")
    before = {name: os.environ.get(name) for name in ("SLURM_CONF", "PATH")}
    os.environ["SLURM_CONF"] = str(configuration)
    _keep_configuration(folder / "bin", configuration)
    os.environ["PATH"] = f"{folder}/bin:{os.environ['PATH']}:/usr/sbin:/sbin"
    munge_files = [f"--{kind}-file={folder}/munge.{kind}" for kind in ("key", "log", "pid", "seed")]
    commands = (
        ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *munge_files],
        ["slurmctld", "-D", "-i", "-f", configuration],
        ["slurmd", "-D", "-f", configuration],
    )
    daemons = []
    try:
        for command in commands:
            output = (folder / f"{command[0]}.out").open("w")
            daemons.append(subprocess.Popen(command, stdout=output, stderr=output))
            output.close()
            if command[0] == "munged":
                _wait(lambda: (folder / "munge.socket").exists(), folder)
        _wait(_idle, folder)
        yield folder
    finally:
        subprocess.run(["scancel", f"--user={settings['user']}"], capture_output=True, check=False)
        for daemon in reversed(daemons):
            daemon.terminate()
            try:
                daemon.wait(timeout=20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        shutil.rmtree(folder, ignore_errors=True)


def _keep_configuration(folder: Path, configuration: Path) -> None:
    """Snakemake's jobs drop SLURM_CONF before they call srun, which would look below /etc."""
    folder.mkdir()
    srun = folder / "srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={configuration} exec {shutil.which("srun")} "$@"\n')
    srun.chmod(0o755)


def _wait(ready: Callable[[], bool], folder: Path) -> None:
    until = time.monotonic() + SECONDS_TO_START
    while not ready():
        if time.monotonic() > until:
            ends = [
                f"{log.name}: {log.read_text(errors='replace')[-800:]}"
                for log in sorted([*folder.glob("*.log"), *folder.glob("*.out")])
            ]
            raise RuntimeError("Slurm did not start\n" + "\n".join(ends))
        time.sleep(0.2)


def queued_jobs() -> list[str]:
    """Ids of the jobs that wait or run."""
    states = "--states=PENDING,RUNNING,COMPLETING,CONFIGURING"
    asked = subprocess.run(
        ["squeue", "--noheader", states, "--format=%i"], capture_output=True, text=True, check=True
    )
    return asked.stdout.split()


def job_details(job: str) -> str:
    """What Slurm knows of a job, also after its end."""
    shown = ["scontrol", "show", "job", job]
    return subprocess.run(shown, capture_output=True, text=True, check=True).stdout


def write_quick_profile(
    folder: Path, resources: dict[str, dict] | None = None, **changes: object
) -> Path:
    """Write profiles/slurm as a site would edit it, for one idle machine without accounting."""
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    profile |= {
        "slurm-status-command": "squeue",
        "slurm-init-seconds-before-status-checks": 1,
        "seconds-between-status-checks": 1,
        "slurm-keep-successful-logs": True,
        "latency-wait": 20,
        "set-threads": {"train_model": 1},
        # Joined jobs run side by side and ask for the processors and memory of all.
        "group-components": dict.fromkeys(profile["group-components"], 1),
        **changes,
    }
    for rule, asked in (resources or {}).items():
        profile["set-resources"][rule] |= asked
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(profile))
    return folder
