# Who is in the graph: the files that rules read, as far as they depend on the cohorts.

from functools import cache

from pipeline.chest.shards import shard_of
from pipeline.cohort.ingest import fingerprint, planned_cohort, read_cohort


def tables_read(wildcards):
    """What makes an ingest run again; the images of a ready archive count by `archive_state`."""
    settings = DATASETS[wildcards.dataset]
    archive = settings["archive"]
    lists = list(settings["splits"].get("lists", {}).values())
    if wildcards.dataset in DEMOS:
        return [*filter(None, archive.values()), *lists]
    if wildcards.dataset in FROM_SERVER:
        fetched = f"results/{wildcards.dataset}/fetched.csv"
        return [fetched, archive["spirometry"], *lists]
    tables = [
        archive[key]
        for key in ("spirometry", "films_table", "table")
        if archive.get(key)
    ]
    if "dataset" in archive:
        names = ("participants.tsv", "sub-*/sub-*_sessions.tsv")
        tables += sorted(
            str(p) for name in names for p in Path(archive["dataset"]).glob(name)
        )
    if "tables" in archive:
        tables += sorted(map(str, Path(archive["tables"]).glob("*.csv")))
    return [*tables, *lists]


@cache
def archive_state(dataset):
    """Changes whenever a ready archive does, so that it is read again."""
    return (
        None
        if dataset in MADE
        else fingerprint(STUDY.datasets[dataset].ingest_settings())
    )


@cache
def ready_cohort(dataset):
    try:
        cache_folder = Path(".snakemake/cohorts") / archive_state(dataset)
        return planned_cohort(STUDY.datasets[dataset].ingest_settings(), cache_folder)
    except InputError as error:
        raise WorkflowError(f"datasets.{dataset}: {error}") from None


@cache
def ingested_cohort(folder, changed):
    return read_cohort(folder)


def cohort(dataset):
    """Manifest, pairs and exclusions of a data set, for planning.

    A ready archive is read when the graph is planned, so that a dry run shows every job. The
    demonstration's archive is itself made by a job, as is the folder of a server's films: their
    cohorts are known when the checkpoint is.
    """
    if dataset not in MADE:
        return ready_cohort(dataset)
    manifest = Path(checkpoints.ingest_made.get(dataset=dataset).output.manifest)
    return ingested_cohort(manifest.parent, manifest.stat().st_mtime_ns)


# ---- brain volumes ----


def raw_volume(wildcards):
    return cohort(wildcards.dataset).paths[wildcards.subject, wildcards.session]


def grid_volumes(name):
    return [
        f"results/{layout.volume(name, 'grid', row.subject, row.session)}"
        for row in cohort(name).manifest.itertuples()
    ]


def reviewed_volumes(wildcards):
    """Figures and pictures of a data set's quality control, and the user's lists."""
    name = wildcards.dataset
    files = [
        f"results/{layout.quality(name, row.subject, row.session, suffix)}"
        for row in cohort(name).manifest.itertuples()
        for suffix in ("json", "jpg")
    ]
    return [*files, *filter(None, map(DATASETS[name]["qc"].get, ("keep", "drop")))]


def volume_pairs(name, suffix):
    return [
        f"results/{layout.pair(name, row.subject, row.followup, row.baseline, suffix)}"
        for row in cohort(name).pairs.itertuples()
    ]


def packed_volumes(wildcards):
    name = wildcards.dataset
    differences = volume_pairs(name, "difference.nii.gz")
    images = [*grid_volumes(name), *differences]
    return [*images, *volume_pairs(name, "mask.nii.gz")]


# ---- films ----


def shard_films(wildcards):
    """Raw films of a shard; a new film reruns its own shard alone."""
    shard, shards = int(wildcards.shard), DATASETS[wildcards.dataset]["chest"]["shards"]
    rows = cohort(wildcards.dataset).manifest.itertuples()
    return [row.path for row in rows if shard_of(row.subject, shards) == shard]


def film_shards(name, stage, subjects):
    shards = DATASETS[name]["chest"]["shards"]
    used = sorted({shard_of(subject, shards) for subject in subjects})
    return [f"results/{name}/{stage}/shard-{shard}.npz" for shard in used]


def packed_films(wildcards):
    name = wildcards.dataset
    who = cohort(name)
    shards = film_shards(name, "film", who.manifest["subject"])
    shards += film_shards(name, "pairs", who.pairs["subject"])
    return [*shards, *(path.replace(".npz", ".csv") for path in shards)]


# ---- targets of whole stages ----


def all_volumes(wildcards):
    return [path for name in of_modality("brain") for path in grid_volumes(name)]


def all_films(wildcards):
    return [
        path
        for name in of_modality("chest")
        for path in film_shards(name, "film", cohort(name).manifest["subject"])
    ]


def all_pairs(wildcards):
    volumes = [
        path
        for name in of_modality("brain")
        for path in volume_pairs(name, "difference.nii.gz")
    ]
    films = [
        path
        for name in of_modality("chest")
        for path in film_shards(name, "pairs", cohort(name).pairs["subject"])
    ]
    return [*volumes, *films]


def overview_files(wildcards):
    """What the picture needs of each data set: arrays, and one DeFI-GAN with its scores."""
    patterns = (
        "results/{dataset}/packed",
        model("generator.safetensors"),
        model("scores.parquet"),
    )
    return [
        pattern.format(dataset=name, method="defi-gan", seed=SEEDS[0])
        for name in WITH_FIELDS
        for pattern in patterns
    ]


def shown_models(wildcards):
    """The first model of each method, for a test pair that there is."""
    pairs = cohort(wildcards.dataset).pairs
    known = sorted(set(pairs.loc[pairs["split"] == "test", "subject"]))
    subject = wildcards.case.removeprefix("sub-")
    if wildcards.case.startswith("sub-") and subject not in known:
        raise WorkflowError(
            f"datasets.{wildcards.dataset}.figures.subjects: {subject} has no test pair; "
            f"subjects with one: {', '.join(known)}"
        )
    return expand(
        model("generator.safetensors"),
        dataset=wildcards.dataset,
        method=methods_of(wildcards),
        seed=SEEDS[0],
    )


# ---- the report ----


def report_sections():
    """Sections of the report, with the files that each shows; what is added here appears there."""
    sections = {
        "Table 1": ["results/table1.md", "results/table1.csv"],
        "Figures": [
            "results/overview.png",
            *(path for path in figures() if path.endswith(".png")),
        ],
        "Other explanations": EXTENDED_TABLE,
        "Biomarkers": BIOMARKERS,
        "Known truth of the demonstration": TRUTH_TABLE,
        "Who was studied": expand("results/{dataset}/cohort.html", dataset=COHORTS),
        "Quality control": expand(
            "results/{dataset}/qc.html", dataset=of_modality("brain")
        ),
        "Methods and provenance": ["results/methods.md", "results/provenance.json"],
    }
    return {title: files for title, files in sections.items() if files}


def report_datasets():
    """What the report has to know of each data set."""
    return {
        name: {
            "data": kind_of_data(name),
            "cohort": name in COHORTS,
            "methods": list(d["training"]["methods"]),
            "voxel_mm": d["brain"]["voxel_mm"] if "brain" in d else None,
        }
        for name, d in DATASETS.items()
    }


def report_files(wildcards):
    """What the report reads: the files of its sections, and models and cohorts."""
    patterns = ("generator.safetensors", "scores.parquet", "history.parquet")
    return [
        *(path for files in report_sections().values() for path in files),
        *(path for name in patterns for path in on_methods(model(name))),
        *expand("results/{dataset}/packed", dataset=DATASETS),
        *expand("results/{dataset}/ingest/manifest.parquet", dataset=COHORTS),
        *expand("results/{dataset}/exclusions.csv", dataset=COHORTS),
    ]
