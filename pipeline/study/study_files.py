"""Which files each rule of the workflow reads, from the archive to pictures.

`pipeline.study.job_settings` tells why some of it are functions of a job's wildcards.
"""

from collections.abc import Callable, Iterable
from typing import Any

from pipeline.brain.chain import CONVERSION, done_by
from pipeline.chest.shards import shard_of
from pipeline.cohort.derivatives import brain_mask
from pipeline.cohort.scans import is_series, scan_state
from pipeline.method.registry import find_method, shown_first
from pipeline.stage import layout
from pipeline.stage.errors import InputError
from pipeline.stage.files import files_state
from pipeline.study.config.simulations import Demo
from pipeline.study.job_settings import JobSettings, Wildcards, of_dataset
from pipeline.study.patterns import figure, model, volume

CASES = ("best", "median", "worst")


class StudyFiles(JobSettings):
    """The files that each rule reads, besides the settings of its jobs."""

    # ---- who is studied ----

    def tables_read(self, wildcards: Wildcards) -> list[str]:
        """What makes an ingest run again."""
        return self.cohort.files_read(wildcards.dataset)

    def truth_folder(self, wildcards: Wildcards) -> str | list[str]:
        """True fields of a demonstration; nothing for real studies."""
        demo = self._demo(wildcards.dataset)
        return demo.truth if demo else []

    def archive_tables(self, wildcards: Wildcards) -> list[str]:
        """Tables of an archive; the whole folder of those that a job makes."""
        return self.cohort.tables(wildcards.dataset)

    def replays_option(self, wildcards: Wildcards) -> list[str]:
        """The list of a cohort that is replayed, as an option."""
        listed = self.cohorts[wildcards.dataset].cohort
        return ["--replays", listed.list] if listed else []

    def truth_folders(self, wildcards: Wildcards) -> list[str]:
        """True fields of every demonstration."""
        found = [self.cohorts[name].demo for name in self.demos]
        return [demo.truth for demo in found if demo]

    def volumes_table(self, wildcards: Wildcards) -> str | list[str]:
        """Engines of the volumes; films and made images have none."""
        name = wildcards.dataset
        return f"results/{name}/volumes.parquet" if name in self.volumes else []

    def volumes_option(self, wildcards: Wildcards) -> list[str]:
        """The same, as an option."""
        table = self.volumes_table(wildcards)
        return ["--volumes", str(table)] if table else []

    def truth_option(self, wildcards: Wildcards) -> list[str]:
        """The same, as an option."""
        demo = self._demo(wildcards.dataset)
        return ["--truth", demo.truth] if demo else []

    def _demo(self, name: str) -> Demo | None:
        """The simulation behind a data set; made images have none."""
        return self.cohorts[name].demo if name in self.cohorts else None

    # ---- brain volumes ----

    def through(self, stage: str) -> list[str]:
        """Data sets whose volumes go through a stage."""
        return [name for name, dataset in self.volumes.items() if stage in dataset.chain]

    def after(self, stage: str) -> Any:
        """A volume as a stage leaves it, or what stands for that where the stage is left out."""
        made = {n: volume(done_by(d.chain, stage)) for n, d in self.volumes.items()}
        found = of_dataset(made) or volume(stage)
        if not callable(found):
            return found
        return lambda w: found(w).format(dataset=w.dataset, subject=w.subject, session=w.session)

    def scan(self, wildcards: Wildcards) -> str:
        """What the archive holds of a volume: a file, or a DICOM series."""
        paths = self.cohort(wildcards.dataset).paths
        return paths[wildcards.subject, wildcards.session]

    def scan_state(self, wildcards: Wildcards) -> str:
        """The state of its files."""
        return scan_state(self.scan(wildcards))

    def raw_state(self, wildcards: Wildcards) -> str:
        """The state of a volume as it begins, and of its mask; a series' conversion has its own."""
        scan = self.scan(wildcards)
        return "" if is_series(scan) else files_state(filter(None, [scan, brain_mask(scan)]))

    def raw_volume(self, wildcards: Wildcards) -> str:
        """The image that a volume begins as: made of its series, if it is one."""
        scan, job = self.scan(wildcards), wildcards
        if not is_series(scan):
            return scan
        return f"results/{layout.volume(job.dataset, CONVERSION, job.subject, job.session)}"

    def mask(self, wildcards: Wildcards) -> str | list[str]:
        """The brain mask beside a prepared volume."""
        found = brain_mask(self.scan(wildcards))
        return str(found) if found else []

    def mask_option(self, wildcards: Wildcards) -> list[str]:
        """The same, as an option."""
        found = self.mask(wildcards)
        return ["--mask", found] if isinstance(found, str) else []

    def grid_volumes(self, name: str) -> list[str]:
        """Prepared volumes of a data set."""
        return [
            f"results/{layout.volume(name, 'grid', row.subject, row.session)}"
            for row in self.cohort(name).manifest.itertuples()
        ]

    def reviewed_volumes(self, wildcards: Wildcards) -> list[str]:
        """Figures and pictures of a data set's quality control, and the user's lists."""
        name = wildcards.dataset
        files = [
            f"results/{layout.quality(name, row.subject, row.session, suffix)}"
            for row in self.cohort(name).manifest.itertuples()
            for suffix in ("json", "jpg")
        ]
        return [*files, *self.volumes[name].qc.lists().values()]

    def volume_pairs(self, name: str, suffix: str) -> list[str]:
        """A file of each pair of a data set."""
        return [
            f"results/{layout.pair(name, row.subject, row.followup, row.baseline, suffix)}"
            for row in self.cohort(name).pairs.itertuples()
        ]

    def packed_volumes(self, wildcards: Wildcards) -> list[str]:
        """All that is packed of a data set of volumes."""
        name = wildcards.dataset
        pairs = [self.volume_pairs(name, f"{kind}.nii.gz") for kind in ("difference", "mask")]
        return [*self.grid_volumes(name), *pairs[0], *pairs[1]]

    # ---- films ----

    def shard_films(self, wildcards: Wildcards) -> list[str]:
        """Raw films of a shard; a new film reruns its own shard alone."""
        shard, shards = int(wildcards.shard), self.films[wildcards.dataset].chest.shards
        rows = self.cohort(wildcards.dataset).manifest.itertuples()
        return [row.path for row in rows if shard_of(row.subject, shards) == shard]

    def shard_state(self, wildcards: Wildcards) -> str:
        """The state of these films."""
        return files_state(self.shard_films(wildcards))

    def film_shards(self, name: str, stage: str) -> list[str]:
        """Arrays of the shards that hold any ``film``, or any of ``pairs``."""
        who, shards = self.cohort(name), self.films[name].chest.shards
        table = who.manifest if stage == "film" else who.pairs
        used = sorted({shard_of(subject, shards) for subject in table["subject"]})
        return [f"results/{name}/{stage}/shard-{shard}.npz" for shard in used]

    def packed_films(self, wildcards: Wildcards) -> list[str]:
        """All that is packed of a data set of films."""
        name = wildcards.dataset
        shards = [*self.film_shards(name, "film"), *self.film_shards(name, "pairs")]
        return [*shards, *(path.replace(".npz", ".csv") for path in shards)]

    # ---- models and their pictures ----

    def critic_weights(self, wildcards: Wildcards) -> str | list[str]:
        """The file that the critic of a training starts from, where it does not start at random."""
        networks = self.datasets[wildcards.dataset].training.networks
        critic = "critic_weights" in find_method(wildcards.method).shared
        if not critic or networks.critic_weights == "random":
            return []
        return f"results/{layout.critic_weights(wildcards.dataset)}"

    def on_methods(self, pattern: str) -> list[str]:
        """`pattern` for each data set, each of its methods and each seed."""
        return [
            pattern.format(dataset=name, method=method, seed=seed)
            for name in self.datasets
            for method, seed in self.config.models_of(name)
        ]

    def on_sweep(self, pattern: str) -> list[str]:
        """`pattern` for each data set, each of its methods with a lambda and each factor on it."""
        return [
            pattern.format(dataset=name, method=method, factor=factor)
            for name, dataset in self.datasets.items()
            for method, options in dataset.training.methods.items()
            if "lambda" in options.to_dict()
            for factor in self.config.sweep.factors
        ]

    def drawn_scores(self, wildcards: Wildcards) -> str:
        """Scores of the first model of the method that is drawn."""
        name = wildcards.dataset
        names = {"dataset": name, "method": self.drawn_method[name], "seed": self.seeds[0]}
        return model("scores.parquet").format(**names)

    def methods(self, wildcards: Wildcards) -> list[str]:
        """Methods of a data set."""
        return list(self.datasets[wildcards.dataset].training.methods)

    def shown_methods(self, wildcards: Wildcards) -> list[str]:
        """Those that pictures show."""
        return shown_first(self.methods(wildcards))

    def models(self, pattern: str, *, deforming: bool = False) -> Callable[[Wildcards], list[str]]:
        """`pattern`, a wildcard or a path, of a data set's models, method by method, seed by seed.

        Those of methods that deform alone, if `deforming`.
        """

        def found(wildcards: Wildcards) -> list[str]:
            name = wildcards.dataset
            return [
                pattern.format(dataset=name, method=method, seed=seed)
                for method, seed in self.config.models_of(name)
                if not deforming or find_method(method).deforms
            ]

        return found

    def overview_files(self) -> list[str]:
        """What the picture needs of each data set: arrays, and one model with its scores."""
        files = "results/{dataset}/packed", model("generator.safetensors"), model("scores.parquet")
        return [
            pattern.format(dataset=name, method=method, seed=self.seeds[0])
            for name, method in self.drawn_method.items()
            for pattern in files
        ]

    def shown_models(self, wildcards: Wildcards) -> list[str]:
        """The first model of each method that is shown, for a test pair that there is."""
        if wildcards.dataset not in self.made:
            self._check_case(wildcards)
        return [
            model("generator.safetensors").format(
                dataset=wildcards.dataset, method=method, seed=self.seeds[0]
            )
            for method in self.shown_methods(wildcards)
        ]

    def _check_case(self, wildcards: Wildcards) -> None:
        """A wrong subject stops the run before the first job; of a made archive, the drawing."""
        pairs = self.cohort(wildcards.dataset).pairs
        known = sorted(set(pairs.loc[pairs["split"] == "test", "subject"]))
        subject = wildcards.case.removeprefix("sub-")
        if wildcards.case.startswith("sub-") and subject not in known:
            raise InputError(
                f"datasets.{wildcards.dataset}.figures.subjects: {subject} has no test pair; "
                f"subjects with one: {', '.join(known)}"
            )

    def cases(self, name: str) -> list[str]:
        """Pairs of a data set that are drawn."""
        subjects = self.cohorts[name].figures.subjects
        return [f"sub-{subject}" for subject in subjects] if subjects else list(CASES)

    def figures(self, suffixes: Iterable[str] = ("png", "svg")) -> list[str]:
        """Every picture of a pair."""
        return [
            figure(name, suffix).format(dataset=dataset, case=case)
            for dataset in self.drawn
            for case in self.cases(dataset)
            for name in layout.FIGURES
            for suffix in suffixes
        ]

    # ---- targets of whole stages ----

    def all_volumes(self, wildcards: Wildcards) -> list[str]:
        """Every prepared volume."""
        return [path for name in self.volumes for path in self.grid_volumes(name)]

    def all_films(self, wildcards: Wildcards) -> list[str]:
        """Every prepared shard of films."""
        return [path for name in self.films for path in self.film_shards(name, "film")]

    def all_pairs(self, wildcards: Wildcards) -> list[str]:
        """Every pair of volumes, and every shard of pairs of films."""
        volumes = [self.volume_pairs(name, "difference.nii.gz") for name in self.volumes]
        films = [self.film_shards(name, "pairs") for name in self.films]
        return [path for paths in (*volumes, *films) for path in paths]
