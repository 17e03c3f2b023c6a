"""A study as a whole run leaves it, without the run: ``python -m helpers.all_done ARGUMENTS``.

The arguments are those of ``snakemake``. Every output is an empty file, and Snakemake keeps the
same record of every job (`.snakemake/metadata`) as if it had run.
"""

import os
import sys
from pathlib import Path

from snakemake.cli import main
from snakemake.workflow import Workflow

build_graph = Workflow._build_dag


def finish(workflow: Workflow, *arguments, **options) -> None:
    """Build the graph, finish all of its jobs, and end the process."""
    build_graph(workflow, *arguments, **options)

    async def record():
        for job in workflow.dag.jobs:
            for output in map(Path, job.output):
                if not output.exists():  # a folder that holds another output may be there already
                    output.parent.mkdir(parents=True, exist_ok=True)
                    output.touch()
                os.utime(output, (2e9, 2e9))
            await workflow.persistence.finished(job)

    workflow.async_run(record())
    print(sum(len(job.output) for job in workflow.dag.jobs), "files", flush=True)
    workflow.persistence.unlock()
    os._exit(0)


if __name__ == "__main__":
    Workflow._build_dag = finish
    main(sys.argv[1:])
