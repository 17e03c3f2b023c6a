"""Running the workflow as a user does, in a folder of the test's own."""

import os
import shlex
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_snakemake(
    folder: Path, *arguments: object, cores: int | None = 1, check: bool = True
) -> subprocess.CompletedProcess:
    """Run snakemake in `folder`; the configuration is the default one unless an argument says.

    Without `cores`, as a profile of a cluster wants it.
    """
    command = ["snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder]
    if "--configfile" not in arguments:
        command += ["--configfile", ROOT / "config.yaml"]
    if cores is not None:
        command += ["--cores", cores]
    done = subprocess.run(
        [*map(str, command), *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"NO_COLOR": "1"},
    )
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


def planned_jobs(folder: Path, *arguments: object) -> dict[str, int]:
    """Jobs by rule that a run with these arguments would have."""
    done = run_snakemake(folder, "--quiet", "rules", "--dry-run", *arguments)
    return _job_stats(done.stdout + done.stderr)


def jobs_of_command(folder: Path, command: str, *arguments: object) -> dict[str, int]:
    """Jobs by rule that a user's command, a line for the shell, would have."""
    options = ["--snakefile", ROOT / "Snakefile", "--cores", "1", "--dry-run", "--quiet", "rules"]
    line = f"{command} {shlex.join(map(str, [*options, *arguments]))}"
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return _job_stats(done.stdout + done.stderr)


def _job_stats(said: str) -> dict[str, int]:
    lines = said.splitlines()
    if "Job stats:" not in lines:
        return {}
    table = {}
    for line in lines[lines.index("Job stats:") + 3 :]:
        if not line.strip():
            break
        rule, count = line.split()
        table[rule] = int(count)
    return table
