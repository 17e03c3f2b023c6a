"""The folder of a run: results of one study, and what is said of them at the end of a run."""

from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.stage.exclusions import read_exclusions
from pipeline.stage.files import read_csv
from pipeline.study.doctor import Finding

TABLE = "results/table1.csv"
PAGES = ("results/table1.md", "results/report/index.html")


def check_folder(
    jobs: Iterable[Any], datasets: Collection[str], folder: Path = Path()
) -> list[Finding]:
    """Look whether a run would replace the table of another study.

    Parameters
    ----------
    jobs
        Snakemake's, that are to run.
    datasets
        Those of the configuration.
    folder
        Of the workflow.
    """
    table = folder / TABLE
    if not table.is_file() or not any(TABLE in map(str, job.output) for job in jobs):
        return []
    try:
        others = sorted(set(read_csv(table)["dataset"].astype(str)).difference(datasets))
    except (KeyError, OSError, ValueError):
        return [
            Finding("wrong", "results", f"{TABLE} cannot be read", "remove it, or move it away")
        ]
    if not others:
        return []
    found = (
        f"{TABLE} is of another study: the configuration of this run, which has "
        f"{', '.join(datasets)}, lacks {', '.join(others)}"
    )
    remedy = (
        "give the configuration that is meant with --configfile, a folder to each study with "
        f"--directory, or remove {TABLE}"
    )
    return [Finding("wrong", "results", found, remedy)]


def closing_words(datasets: Iterable[str], folder: Path = Path()) -> str:
    """What a run has left out and where its results are, as far as they are there; a line each."""
    lines = []
    for name in datasets:
        path = folder / f"results/{name}/exclusions.csv"
        with suppress(OSError, ValueError):  # a run that did what it was told to do has not failed
            count = len(read_exclusions(path))
            lines.append(f"{name}: {count} left out or not needed; {path} says why of each")
    pages = (f"results: {folder / page}" for page in PAGES if (folder / page).is_file())
    return "\n".join([*lines, *pages])
