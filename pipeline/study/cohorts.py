"""Who is studied, known while the jobs of a run are planned."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

from pipeline.cohort.ingest import cohort_hash, planned_cohort, read_cohort
from pipeline.cohort.manifest import Cohort
from pipeline.stage.errors import InputError
from pipeline.study.config import Config
from pipeline.study.config.datasets import CohortDataset

CACHE = Path(".snakemake/cohorts")


class Cohorts:
    """Manifest, pairs and exclusions of each data set of people.

    A ready archive is read when it is asked for, once for each state of its files (`CACHE`), so
    that a dry run shows every job. Its ingest runs again where that reading ends in another cohort:
    a file that is neither used nor left out changes nothing. An archive that a job makes is known
    when that job is done.

    Parameters
    ----------
    config
        Of the study.
    made_manifest
        Gives the manifest of a data set whose archive a job makes.
    """

    def __init__(self, config: Config, made_manifest: Callable[[str], str]) -> None:
        self.datasets = {
            name: dataset
            for name, dataset in config.datasets.items()
            if isinstance(dataset, CohortDataset)
        }
        self._made_manifest = made_manifest
        # A function is called for every job: what it tells is kept.
        self.state = cache(self._state)
        self._ready = cache(self._read_ready)
        self._made = cache(self._read_made)

    def __call__(self, name: str) -> Cohort:
        """The cohort of a data set.

        Raises
        ------
        InputError
            If the archive cannot be read.
        """
        if not self.datasets[name].is_made:
            return self._ready(name)
        manifest = Path(self._made_manifest(name))
        return self._made(manifest.parent, manifest.stat().st_mtime_ns)

    def files_read(self, name: str) -> list[str]:
        """What makes an ingest run again; a ready archive's images count by their `state`."""
        dataset = self.datasets[name]
        lists = dataset.split_lists().values()
        if dataset.is_demo:
            return [*dataset.archive.paths().values(), *lists]
        fetched = [f"results/{name}/fetched.csv"] if dataset.is_fetched else []
        return [*fetched, *dataset.archive.files_read(), *lists]

    def tables(self, name: str) -> list[str]:
        """Tables of an archive, as far as they are known before a job has made them."""
        dataset = self.datasets[name]
        return dataset.archive.tables_made() if dataset.is_made else dataset.archive.files_read()

    def _state(self, name: str) -> str | None:
        """Changes with the cohort of a ready archive, whose ingest then runs again."""
        return None if self.datasets[name].is_made else cohort_hash(self._ready(name))

    def _read_ready(self, name: str) -> Cohort:
        try:
            return planned_cohort(self.datasets[name].ingest_settings(), CACHE)
        except InputError as error:
            raise InputError(f"datasets.{name}: {error}") from None

    def _read_made(self, folder: Path, changed: int) -> Cohort:
        return read_cohort(folder)
