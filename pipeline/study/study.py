"""A study as the rules of the workflow see it: which files there are, and with which settings.

Nothing here knows Snakemake.
"""

import json
from typing import TypedDict

from pipeline.study.job_settings import as_json
from pipeline.study.patterns import model
from pipeline.study.study_files import StudyFiles

MADE_BY_PAGE = ("Explorer", "Training")  # sections of the report without files


class _Model(TypedDict):
    """Files of a model that the report reads."""

    method: str
    seed: int
    generator: str
    scores: str
    history: str


class _Reported(TypedDict):
    """What the report reads of a data set."""

    packed: str
    cohort: str | None
    exclusions: str
    models: list[_Model]


class Study(StudyFiles):
    """What the rules ask: besides what each reads, the results of a run and what a report shows."""

    @property
    def truth_table(self) -> list[str]:
        """Where there is anything to compare with the truth."""
        return ["results/truth.csv"] if self.known_fields else []

    @property
    def demo_table(self) -> list[str]:
        """Where there is a demonstration."""
        return ["results/demo.csv"] if self.demos else []

    @property
    def extended_table(self) -> list[str]:
        """Where there is anything but toys."""
        return ["results/table1_extended.csv"] if self.cohorts else []

    @property
    def biomarker_table(self) -> list[str]:
        """Where there are fields that anything can be measured in."""
        return ["results/biomarkers.csv"] if self.drawn else []

    def results(self) -> list[str]:
        """What a run is for; its record tells where they come from, and the report shows both."""
        return [
            "results/config.yaml",
            "results/table1.csv",
            "results/table1.md",
            "results/overview.png",
            *self.truth_table,
            *self.demo_table,
            *self.extended_table,
            *self.biomarker_table,
            "results/claims.csv",
            "results/credibility.csv",
            "results/credibility.md",
            *self.figures(),
            *(f"results/{name}/cohort.html" for name in self.cohorts),
            *(f"results/{name}/qc.html" for name in self.volumes),
            *(f"results/{name}/exclusions.csv" for name in self.datasets),
        ]

    def _sections(self) -> dict[str, list[str]]:
        """As a reader wants them: scores, whether to believe them, who was studied, pictures."""
        sections = {
            "Table 1": ["results/table1.md", "results/table1.csv"],
            "Other explanations": self.extended_table,
            "Known truth of the demonstration": [*self.truth_table, *self.demo_table],
            "Credibility": ["results/credibility.md", "results/credibility.csv"],
            "Claims of the paper": ["results/claims.csv"],
            "Cohorts": [f"results/{name}/cohort.html" for name in self.cohorts],
            "Quality control": [f"results/{name}/qc.html" for name in self.volumes],
            "Explorer": [],
            "Figures": ["results/overview.png", *self.figures(["png"])],
            "Biomarkers": self.biomarker_table,
            "Training": [],
            "Methods and provenance": ["results/methods.md", "results/provenance.json"],
        }
        return {title: files for title, files in sections.items() if files or title in MADE_BY_PAGE}

    def report_sections(self) -> str:
        """Sections of the report, with the files that each shows; what is added appears there."""
        return json.dumps(self._sections())  # in their order

    def _reported_model(self, name: str, method: str, seed: int) -> _Model:
        def path(file: str) -> str:
            return model(file).format(dataset=name, method=method, seed=seed)

        return {
            "method": method,
            "seed": seed,
            "generator": path("generator.safetensors"),
            "scores": path("scores.parquet"),
            "history": path("history.parquet"),
        }

    def _reported(self, name: str) -> _Reported:
        models = [self._reported_model(name, *fit) for fit in self.config.models_of(name)]
        return {
            "packed": f"results/{name}/packed",
            "cohort": f"results/{name}/cohort.json" if name in self.cohorts else None,
            "exclusions": f"results/{name}/exclusions.csv",
            "models": models,
        }

    def report_datasets(self) -> str:
        """What the report has to know of each data set."""
        known = {n: {**d.describe(), **self._reported(n)} for n, d in self.datasets.items()}
        return as_json(known)

    def report_files(self) -> list[str]:
        """What the report reads: the files of its sections and of its data sets."""
        files = [path for paths in self._sections().values() for path in paths]
        for reported in map(self._reported, self.datasets):
            cohort = [reported["cohort"]] if reported["cohort"] else []
            files += [reported["packed"], *cohort, reported["exclusions"]]
            for trained in reported["models"]:
                files += [trained["generator"], trained["scores"], trained["history"]]
        return files
