"""What Slurm knows: its partitions, and the jobs that a Snakemake which was killed left there.

They go on without it, and what they finish is found by the next start. Started at once, the next
Snakemake would not know of them and would have the same files made twice at the same time.
"""

import logging
import subprocess
import time
from pathlib import Path

from pipeline.stage.errors import InputError

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 5
SECONDS_TO_ANSWER = 60  # a controller with much to do lets others wait


def _ask(*command: str) -> list[str]:
    """Lines that a command of Slurm prints.

    Raises
    ------
    InputError
        If the command is not installed, or the controller does not answer.
    """
    try:
        asked = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS_TO_ANSWER, check=False
        )
    except FileNotFoundError:
        raise InputError(f"Slurm is not installed here: there is no {command[0]}") from None
    except subprocess.TimeoutExpired:
        raise InputError(f"Slurm does not answer in {SECONDS_TO_ANSWER} s") from None
    if asked.returncode:
        said = asked.stderr.strip().rpartition("\n")[2] or f"{command[0]} failed"
        raise InputError(f"Slurm does not answer: {said}")
    return asked.stdout.splitlines()


def partitions() -> list[str]:
    """Names of all partitions; raises as `jobs_of_folder`."""
    return list(dict.fromkeys(_ask("sinfo", "--all", "--noheader", "--format=%R")))


def accounting() -> bool:
    """Whether jobs that have ended can be asked for."""
    try:
        _ask("sacct", "--noheader", "--allocations")
    except InputError:
        return False
    return True


def jobs_of_folder(folder: Path) -> list[str]:
    """Ids of the user's Slurm jobs that were submitted from `folder` and have not ended.

    Raises
    ------
    InputError
        If Slurm is not installed, or its controller does not answer.
    """
    rows = (
        line.split(maxsplit=1) for line in _ask("squeue", "--me", "--noheader", "--format=%A %Z")
    )
    return sorted({job for job, place in rows if Path(place) == folder.resolve()}, key=int)


def wait_for_jobs(folder: Path) -> None:
    """Return when no job that was submitted from `folder` waits or runs any more."""
    while jobs := jobs_of_folder(folder):
        log.info("jobs in Slurm have not ended (%d): %s", len(jobs), " ".join(jobs[:20]))
        time.sleep(SECONDS_BETWEEN_LOOKS)
