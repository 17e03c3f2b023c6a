"""Jobs that a Snakemake which was killed left in Slurm.

They go on without it, and what they finish is found by the next start. Started at once, the next
Snakemake would not know of them and would have the same files made twice at the same time.
"""

import logging
import shutil
import subprocess
import time
from pathlib import Path

from pipeline.errors import InputError

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 5


def jobs_of_folder(folder: Path) -> list[str]:
    """Ids of the user's Slurm jobs that were submitted from `folder` and have not ended.

    Raises
    ------
    InputError
        If Slurm is installed but its controller does not answer.
    """
    if shutil.which("squeue") is None:
        return []
    asked = subprocess.run(
        ["squeue", "--me", "--noheader", "--format=%A %Z"],
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode:
        raise InputError(f"Slurm does not answer: {asked.stderr.strip() or 'squeue failed'}")
    rows = (line.split(maxsplit=1) for line in asked.stdout.splitlines())
    return sorted({job for job, place in rows if Path(place) == folder.resolve()}, key=int)


def wait_for_jobs(folder: Path) -> None:
    """Return when no job that was submitted from `folder` waits or runs any more."""
    while jobs := jobs_of_folder(folder):
        log.info("%d jobs in Slurm have not ended: %s", len(jobs), " ".join(jobs[:20]))
        time.sleep(SECONDS_BETWEEN_LOOKS)
