"""The data sets of a study and the settings of their jobs, as the rules of the workflow want them.

What a rule asks of a single job is a function of the job's wildcards; what all data sets have in
common is a constant, since a function is called for every job, which takes a tenth of the planning
of thousands.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from pipeline.brain.engines import CONVERTER, ENGINES, Choice, resolve_engines
from pipeline.method.registry import first_that_deforms
from pipeline.stage.errors import InputError
from pipeline.study.cohorts import Cohorts
from pipeline.study.config import Config
from pipeline.study.config.datasets import (
    CohortDataset,
    CopdDataset,
    FilmDataset,
    ImageDataset,
    VolumeDataset,
)
from pipeline.study.config.trainings import WeightsFile


class Wildcards(Protocol):
    """Wildcards of a job, by their names."""

    def __getattr__(self, name: str) -> str:
        """The value of a wildcard."""


def as_json(settings: object) -> str:
    """Settings as a command line takes them."""
    return json.dumps(settings, sort_keys=True)


def of_dataset(values: Mapping[str, Any]) -> Any:
    """What `values` holds for a job's data set; a constant where all data sets agree."""
    first = next(iter(values.values()), None)
    if all(value == first for value in values.values()):
        return first
    return lambda wildcards: values[wildcards.dataset]


class JobSettings:
    """Which data sets there are, of which kinds, and with which settings their jobs run.

    Parameters
    ----------
    config
        Of the study.
    made_manifest
        Gives the manifest of a data set whose archive a job makes.
    conda
        Whether conda makes the environments of the jobs.

    Raises
    ------
    InputError
        If a tool that the configuration names is not installed.
    """

    def __init__(
        self, config: Config, made_manifest: Callable[[str], str], *, conda: bool = False
    ) -> None:
        self.config = config
        self.cohort = Cohorts(config, made_manifest)
        self.datasets = config.datasets
        self.seeds = config.seeds
        sets = config.datasets.items()
        self.volumes = {name: d for name, d in sets if isinstance(d, VolumeDataset)}
        self.films = {name: d for name, d in sets if isinstance(d, FilmDataset)}
        self.squares = {name: d for name, d in sets if isinstance(d, ImageDataset)}
        self.cohorts: dict[str, CohortDataset] = {**self.volumes, **self.films}
        people = self.cohort.datasets.items()
        self.demos = [name for name, d in people if d.is_demo]
        self.fetched = {name: d for name, d in sets if isinstance(d, CopdDataset) and d.is_fetched}
        self.made = [name for name, d in people if d.is_made]  # archives that a job makes
        self.ready = [name for name in self.cohorts if name not in self.made]
        # The method whose fields are drawn large, and by whose scores pairs are chosen.
        self.drawn_method = {
            name: method for name, d in sets if (method := first_that_deforms(d.training.methods))
        }
        self.with_fields = list(self.drawn_method)
        self.drawn = [name for name in self.cohorts if name in self.with_fields]
        self.known_fields = [name for name in self.demos if name in self.with_fields]
        self.engines = {name: self._engines(name, conda) for name in self.volumes}

    # ---- engines of the brain stages ----

    def _engines(self, name: str, conda: bool) -> dict[str, Choice]:
        try:
            dataset = self.volumes[name]
            return resolve_engines(dataset.brain.engines, dataset.chain, conda=conda)
        except InputError as error:
            raise InputError(f"datasets.{name}.brain.engines: {error}") from None

    def _choices(self, stage: str) -> Iterator[tuple[str, Choice]]:
        """The engine of a stage in each data set whose volumes go through it."""
        return ((name, found[stage]) for name, found in self.engines.items() if stage in found)

    def engine(self, stage: str) -> Any:
        """What does a stage."""
        return of_dataset({name: choice.name for name, choice in self._choices(stage)})

    def engine_version(self, stage: str) -> Any:
        """Not for the command: another version of the tool reruns the stage."""
        return of_dataset({name: choice.version for name, choice in self._choices(stage)})

    def engine_env(self, stage: str, pattern: str) -> Any:
        """The environment that holds what does a stage: `pattern`, with a name in it."""
        engines = ENGINES[stage]
        held = {name: engines[choice.name].environment for name, choice in self._choices(stage)}
        found = of_dataset({name: pattern.format(held[name] or "python") for name in held})
        return found or pattern.format("python")  # Snakemake wants one of a rule without jobs, too

    @property
    def converter_version(self) -> str | None:
        """Not for the command, as of the engines; None where conda alone has the converter."""
        return CONVERTER.probe()

    # ---- settings of a command line ----

    def brain(self, key: str) -> Any:
        """A setting of the preparation of volumes."""
        return of_dataset({name: getattr(d.brain, key) for name, d in self.volumes.items()})

    def chest(self, key: str) -> Any:
        """A setting of the preparation of films."""
        return of_dataset({name: getattr(d.chest, key) for name, d in self.films.items()})

    @property
    def template_file(self) -> Any:
        """Template of the configuration; the packaged one is part of the environment."""
        return of_dataset({n: d.brain.template or [] for n, d in self.volumes.items()}) or []

    @property
    def template_option(self) -> Any:
        """The same, as an option."""
        templates = {name: d.brain.template for name, d in self.volumes.items()}
        return of_dataset(
            {n: ["--template", path] if path else [] for n, path in templates.items()}
        )

    @property
    def stripped_option(self) -> Any:
        """Whether the volumes that are registered are brains without their skulls."""
        stripped = {n: d.prepared == "skull_stripped" for n, d in self.volumes.items()}
        return of_dataset({n: ["--stripped"] if found else [] for n, found in stripped.items()})

    @property
    def prepared(self) -> Any:
        """What other programs did to the volumes."""
        return of_dataset({name: d.prepared for name, d in self.volumes.items()})

    def mixed_engines_option(self, wildcards: Wildcards) -> str:
        """Whether volumes of one data set may come from different engines."""
        return "--mixed-engines" if self.volumes[wildcards.dataset].brain.mixed_engines else ""

    def modality(self, wildcards: Wildcards) -> str:
        """What the images show."""
        return self.datasets[wildcards.dataset].modality

    def described(self, names: Iterable[str]) -> str:
        """What tables and pictures tell of data sets."""
        return as_json({name: self.datasets[name].describe() for name in names})

    def titles(self) -> str:
        """What data sets are called."""
        return as_json({name: dataset.title for name, dataset in self.datasets.items()})

    def page_settings(self, wildcards: Wildcards) -> list[str]:
        """Options of a page of a data set."""
        dataset = self.datasets[wildcards.dataset]
        return ["--source", dataset.source, "--about", as_json(dataset.describe())]

    def demos_of(self, source: str) -> dict[str, CohortDataset]:
        """Demonstrations that simulate an archive of a source."""
        return {n: self.cohorts[n] for n in self.demos if self.cohorts[n].source == source}

    def demo_settings(self, name: str) -> str:
        """A simulation."""
        demo = self.cohorts[name].demo
        return as_json(demo.settings() if demo else None)

    def toy_settings(self, wildcards: Wildcards) -> str:
        """The toy squares."""
        return as_json(self.squares[wildcards.dataset].squares.model_dump())

    def server_settings(self, wildcards: Wildcards) -> str:
        """Films that are wanted of a server."""
        server = self.fetched[wildcards.dataset].archive.orthanc
        return as_json(server.model_dump(include={"url", "query"}) if server else None)

    def server_paths(self, wildcards: Wildcards) -> list[str]:
        """Folder of a server's films and options, of files that stay with the site."""
        dataset = self.fetched[wildcards.dataset]
        archive, key = dataset.archive, dataset.labels.pseudonym_key
        patients = archive.orthanc.patients if archive.orthanc else ""
        return [archive.films, "--patients", patients, "--pseudonym-key", key]

    def fetched_option(self, wildcards: Wildcards) -> list[str]:
        """Table of the films that were fetched."""
        if wildcards.dataset not in self.fetched:
            return []
        return ["--fetched", f"results/{wildcards.dataset}/fetched.csv"]

    def ingest_settings(self, wildcards: Wildcards) -> str:
        """What decides who is studied."""
        return as_json(self.cohorts[wildcards.dataset].ingest_settings())

    def archive_state(self, wildcards: Wildcards) -> str | None:
        """Changes with the cohort of a ready archive."""
        return self.cohort.state(wildcards.dataset)

    def review_settings(self, wildcards: Wildcards) -> list[str]:
        """The quality control's review."""
        qc = self.volumes[wildcards.dataset].qc
        lists = [part for k, path in qc.lists().items() for part in (f"--{k}", path)]
        return [*self.page_settings(wildcards), "--exclude", *qc.exclude, *lists]

    def critic_source(self, wildcards: Wildcards) -> list[str]:
        """Where the first weights of a data set's critics come from."""
        weights = self.datasets[wildcards.dataset].training.networks.critic_weights
        if isinstance(weights, WeightsFile):
            return [weights.file, "--sha256", weights.sha256]
        return [weights]

    def train_settings(self, wildcards: Wildcards) -> str:
        """One training."""
        names = wildcards.dataset, wildcards.method, wildcards.seed
        return as_json(self.config.training_settings(*names))

    def sweep_settings(self, wildcards: Wildcards) -> str:
        """A training with another lambda."""
        names = wildcards.dataset, wildcards.method, self.config.sweep.seed
        settings = self.config.training_settings(*names)
        return as_json(settings | {"lambda": float(wildcards.factor) * settings["lambda"]})

    def attribution_settings(self, wildcards: Wildcards) -> str:
        """The classifier to compare with."""
        return as_json(self.datasets[wildcards.dataset].training.of_classifier())

    def figure_settings(self, wildcards: Wildcards) -> str:
        """Pictures of a pair."""
        dataset = self.cohorts[wildcards.dataset]
        kept = dataset.figures.model_dump(include={"colours", "details"})
        return as_json({**kept, **dataset.describe()})

    def table_settings(self) -> str:
        """Table 1."""
        shown = {
            name: {**dataset.describe(), "published": dataset.published}
            for name, dataset in self.datasets.items()
        }
        return as_json(shown)

    def model_settings(self, wildcards: Wildcards) -> str:
        """What a model depends on."""
        return as_json(self.config.of_model(wildcards.dataset, wildcards.method))

    def effective_config(self) -> str:
        """The whole configuration, in its own order."""
        return json.dumps(self.config.effective())
