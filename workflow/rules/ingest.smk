# Archives to manifests: who is studied, and why the others are not.


def tables_read(wildcards):
    """What makes an ingest run again; the images of a ready archive count by `archive_state`."""
    settings = DATASETS[wildcards.dataset]
    lists = list(settings["splits"].get("lists", {}).values())
    if wildcards.dataset in DEMOS:
        return [*filter(None, settings["archive"].values()), *lists]
    archive = settings["archive"]
    tables = [archive[key] for key in ("spirometry", "films_table") if archive.get(key)]
    if "tables" in archive:
        tables += sorted(map(str, Path(archive["tables"]).glob("*.csv")))
    return [*tables, *lists]


checkpoint ingest:
    input:
        tables_read,
    output:
        manifest="results/{dataset}/ingest/manifest.parquet",
        pairs="results/{dataset}/ingest/pairs.parquet",
        exclusions="results/{dataset}/ingest/exclusions.csv",
    log:
        "logs/{dataset}/ingest.log",
    benchmark:
        "benchmarks/{dataset}/ingest.tsv"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        version=1,
        archive=lambda wildcards: archive_state(wildcards.dataset),
        settings=lambda wildcards: as_json(ingest_settings(DATASETS[wildcards.dataset])),
        folder=lambda wildcards, output: Path(output.manifest).parent,
    shell:
        "python -m pipeline ingest {params.folder:q} --settings {params.settings:q} --log {log:q}"


rule ingest_all:
    input:
        expand("results/{dataset}/ingest/manifest.parquet", dataset=DATASETS),
