"""Time and memory of planning a study of any size: ``python -m helpers.scale FOLDER SUBJECTS``.

To be run in the folder ``tests`` of the repository. The archive is made up: the tables of ADNI and
empty image files, where config/paper.yaml expects them.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from helpers.paper_archives import LISTS, write_paper_archives

ROOT = Path(__file__).parents[2]
SETTINGS = json.dumps(
    {
        "source": "adni",
        "archive": {"images": "data/adni/ADNI", "tables": "data/adni/tables"},
        "columns": None,
        "splits": {"lists": LISTS},
    }
)


def write_archives(folder: Path, subjects: int) -> int:
    """Make the archives of config/paper.yaml; returns the number of rows of ADNI's tables."""
    made = write_paper_archives(folder, subjects=subjects)
    shutil.copytree(ROOT / "config", folder / "config", dirs_exist_ok=True)
    return sum(map(len, made.rows.values()))


class Took(NamedTuple):
    """What a command took, and said."""

    seconds: float  # by the clock
    own: float  # seconds of the processor, without those of what it started
    jobs: float  # seconds of the processor of what it started
    megabytes: float  # the most memory that it, or one that it started, held
    said: str


def run(command: list, folder: Path, tools: Path | None = None) -> Took:
    """Run a command in `folder`; programs of the folder `tools` come before others."""
    path = f"{tools}{os.pathsep}{os.environ['PATH']}" if tools else os.environ["PATH"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": path}
    with tempfile.TemporaryFile("w+") as log:
        begin = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, command)), cwd=folder, env=environment, stdout=log, stderr=log
        )
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        seconds = time.perf_counter() - begin
        # Over but not waited for: Linux still tells what is its own and what its children's.
        told = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        ticks = [int(count) / os.sysconf("SC_CLK_TCK") for count in told[11:15]]
        _, status, usage = os.wait4(process.pid, 0)
        log.seek(0)
        said = log.read()
    if status:
        sys.exit(said)
    megabytes = usage.ru_maxrss * 1024 / 1e6
    return Took(seconds, sum(ticks[:2]), sum(ticks[2:]), megabytes, said)


def snakemake(folder: Path, snakefile: Path = ROOT / "Snakefile") -> list:
    """The command that runs the study of `write_archives` in `folder`."""
    study = ["--snakefile", snakefile, "--directory", folder, "--quiet"]
    return ["snakemake", *study, "--configfile", folder / "config/paper.yaml", "--cores", "1"]


def main(folder: Path, subjects: int) -> None:
    """Print time and memory of each step."""
    rows = write_archives(folder, subjects)

    def measure(what: str, command: list) -> None:
        took = run(command, folder)
        processor = took.own + took.jobs
        print(
            f"{what}: {took.seconds:.1f} s, {processor:.1f} s of the processor, "
            f"{took.megabytes:.0f} MB",
            flush=True,
        )

    python = [sys.executable, "-m", "pipeline"]
    measure(f"ingest of {rows} rows", [*python, "ingest", "ingest", "--settings", SETTINGS])
    volumes = len(pd.read_parquet(folder / "ingest/manifest.parquet"))
    print(f"{volumes} usable volumes")
    command = snakemake(folder)
    plan = [*command, "--dry-run"]
    measure("first dry run, with its ingest", plan)
    measure("dry run", plan)
    measure("plan", [*python, "plan", "--config", "config/paper.yaml"])
    done = run([sys.executable, "-m", "helpers.all_done", *command[1:]], ROOT / "tests")
    print(f"{done.said.splitlines()[-1]} put in place, with the records of their jobs")
    measure("dry run where all is done", plan)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]))
