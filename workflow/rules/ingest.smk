# Archives to manifests: who is studied, and why the others are not.


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
    conda:
        PYTHON_ENV
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        version=2,
        archive=lambda wildcards: archive_state(wildcards.dataset),
        settings=lambda wildcards: as_json(ingest_settings(DATASETS[wildcards.dataset])),
        folder=lambda wildcards, output: Path(output.manifest).parent,
    shell:
        "python -m pipeline ingest {params.folder:q} --settings {params.settings:q} --log {log:q}"


rule ingest_all:
    input:
        expand("results/{dataset}/ingest/manifest.parquet", dataset=COHORTS),
