"""Time and memory of planning a study of any size: ``python -m helpers.scale FOLDER SUBJECTS``.

To be run in the folder ``tests`` of the repository. The archive is made up: the tables of ADNI and
empty image files, where config/paper.yaml expects them.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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


def _run(command: list, folder: Path) -> tuple[str, resource.struct_rusage]:
    """What a command prints, and what it took."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            list(map(str, command)), cwd=folder, env=environment, stdout=log, stderr=log
        )
        _, status, usage = os.wait4(process.pid, 0)  # of this process alone
        log.seek(0)
        text = log.read()
    if status:
        sys.exit(text)
    return text, usage


def main(folder: Path, subjects: int) -> None:
    """Print time and memory of each step."""
    rows = write_archives(folder, subjects)

    def measure(what: str, command: list) -> None:
        begin = time.perf_counter()
        _, usage = _run(command, folder)
        seconds = time.perf_counter() - begin
        print(
            f"{what}: {seconds:.1f} s, {usage.ru_utime + usage.ru_stime:.1f} s of the processor, "
            f"{usage.ru_maxrss * 1024 / 1e6:.0f} MB",
            flush=True,
        )

    python = [sys.executable, "-m", "pipeline"]
    measure(f"ingest of {rows} rows", [*python, "ingest", "ingest", "--settings", SETTINGS])
    study = ["--snakefile", ROOT / "Snakefile", "--directory", folder]
    study += ["--configfile", ROOT / "config/paper.yaml", "--cores", "1", "--quiet"]
    plan = ["snakemake", *study, "--dry-run"]
    measure("first dry run, with its ingest", plan)
    measure("dry run", plan)
    done, _ = _run([sys.executable, "-m", "helpers.all_done", *study], ROOT / "tests")
    print(f"{done.splitlines()[-1]} put in place, with the records of their jobs")
    measure("dry run where all is done", plan)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]))
