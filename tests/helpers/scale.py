"""Time and memory of planning a study of any size: ``python -m helpers.scale FOLDER SUBJECTS``.

To be run in the folder ``tests`` of the repository. The archive is made up: the tables of ADNI and
empty image files, where config/paper.yaml expects them.
"""

import csv
import io
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

from helpers.made_up_adni import write_adni_archive
from helpers.made_up_copd import write_copd_archive

ROOT = Path(__file__).parents[2]
SETTINGS = (
    '{"source": "adni", "archive": {"images": "data/adni/ADNI", "tables": "data/adni/tables"}, '
    '"columns": null, "splits": {"seed": 0, "fractions": '
    '{"train": 0.64, "validation": 0.16, "test": 0.2}}}'
)


def write_archives(folder: Path, subjects: int) -> int:
    """Make the archives of config/paper.yaml; returns the number of rows of ADNI's tables."""
    adni = folder / "data/adni"
    made = write_adni_archive(adni / "ADNI", adni / "tables", subjects=subjects, seed=1)
    write_copd_archive(folder / "data/copd", single=12, paired=9)
    shutil.copytree(ROOT / "config", folder / "config", dirs_exist_ok=True)
    return sum(map(len, made.rows.values()))


def finish(folder: Path) -> int:
    """Put an empty file wherever a whole run would write one; returns their number."""
    done = snakemake(folder, "--summary")
    files = [row["output_file"] for row in csv.DictReader(io.StringIO(done), delimiter="\t")]
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():  # a folder that holds another output may be there already
            path.touch()
        os.utime(path, (2e9, 2e9))
    return len(files)


def snakemake(folder: Path, *arguments: str) -> str:
    """Run snakemake on the paper's configuration in `folder`; returns what it prints."""
    command = ["snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder]
    command += ["--configfile", ROOT / "config/paper.yaml", "--cores", "1", *arguments]
    return _run(command, folder)


def _run(command: list, folder: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout


def main(folder: Path, subjects: int) -> None:
    """Print time and memory of each step."""
    rows = write_archives(folder, subjects)

    def measure(what: str, run: list) -> None:
        begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        _run(run, folder)
        seconds, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
        processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(
            f"{what}: {seconds:.1f} s, {processor:.1f} s of the processor, "
            f"largest process so far {after.ru_maxrss / 1000:.0f} MB",
            flush=True,
        )

    python = [sys.executable, "-m", "pipeline"]
    measure(f"ingest of {rows} rows", [*python, "ingest", "ingest", "--settings", SETTINGS])
    plan = ["snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder, "--dry-run"]
    plan += ["--configfile", ROOT / "config/paper.yaml", "--quiet"]
    measure("first dry run, with its ingest", plan)
    measure("dry run", plan)
    print(f"{finish(folder)} files put in place")
    measure("dry run where all is done", plan)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]))
