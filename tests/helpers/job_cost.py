"""What Snakemake costs a job: ``python -m helpers.job_cost FOLDER SUBJECTS``.

To be run in the folder ``tests`` of the repository. The archive is that of `helpers.scale`. Its
volumes are oriented by a stage of no work, so that what is left is Snakemake's own: once as the
workflow is, once without its benchmarks, for which a thread looks at every job while it runs.
"""

import re
import shutil
import sys
from pathlib import Path

from helpers.scale import ROOT, run, snakemake, write_archives

NO_WORK = '#!/bin/sh\n: > "$5"  # of: python -m pipeline STAGE INPUT OUTPUT ...\n'


def without_benchmarks(folder: Path) -> Path:
    """Copy the workflow to `folder`, but for its benchmarks; returns the Snakefile."""
    for name in ("workflow", "profiles", "envs"):
        shutil.copytree(ROOT / name, folder / name)
    for rules in folder.glob("workflow/rules/*.smk"):
        rules.write_text(re.sub(r" +benchmark:\n.*\n", "", rules.read_text()))
    return Path(shutil.copy(ROOT / "Snakefile", folder))


def orient_volumes(folder: Path, snakefile: Path) -> float:
    """Orient every volume and print what that took; returns Snakemake's own seconds a job."""
    shutil.rmtree(folder / "results", ignore_errors=True)
    command = [*snakemake(folder, snakefile), "prepare_brain", "--until", "orient_volume"]
    start = run([*command, "--dry-run"], folder)
    took = run(command, folder, tools=folder / "tools")
    jobs = len(list(folder.glob("results/adni/orient/*/*/*.nii.gz")))
    each = (took.own - start.own) / jobs
    print(
        f"{jobs} jobs in {took.seconds:.1f} s; of the processor {took.own:.1f} s for Snakemake, "
        f"{start.own:.1f} s of them until the first job, so {each:.4f} s a job; "
        f"{took.jobs / jobs:.4f} s a job for its shell",
        flush=True,
    )
    return each


def main(folder: Path, subjects: int) -> None:
    """Print what a job costs, and how much of that is the benchmark's thread."""
    write_archives(folder, subjects)
    python = folder / "tools/python"
    python.parent.mkdir()
    python.write_text(NO_WORK)
    python.chmod(0o755)
    run([*snakemake(folder), "--dry-run"], folder)  # reads the archive
    measured = orient_volumes(folder, ROOT / "Snakefile")
    print("without benchmarks: ", end="")
    bare = orient_volumes(folder, without_benchmarks(folder / "bare"))
    print(f"the benchmark's thread: {measured - bare:.4f} s a job")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]))
