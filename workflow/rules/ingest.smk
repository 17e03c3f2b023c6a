# Archives to manifests: who is studied, and why the others are not.


rule fetch_films:
    output:
        "results/{dataset}/fetched.csv",
    log:
        "logs/{dataset}/fetch_films.log",
    benchmark:
        "benchmarks/{dataset}/fetch_films.tsv"
    wildcard_constraints:
        dataset=one_of(study.fetched),
    # Nodes of a cluster may not reach the server.
    localrule: True
    conda:
        PYTHON_ENV
    # The films themselves are not declared: Snakemake would remove them before a job that goes on.
    params:
        version=STAGES["fetch-films"].version,
        paths=study.server_paths,
        settings=study.server_settings,
    shell:
        "python -m pipeline fetch-films {params.paths:q} {output:q} --settings {params.settings:q}"
        " --log {log:q}"


# The graph of a made archive is known once this has read it.
checkpoint ingest_made:
    input:
        study.tables_read,
    output:
        **COHORT_FILES,
    log:
        "logs/{dataset}/ingest.log",
    benchmark:
        "benchmarks/{dataset}/ingest.tsv"
    wildcard_constraints:
        dataset=one_of(study.made),
    conda:
        PYTHON_ENV
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        version=STAGES["ingest"].version,
        archive=study.archive_state,
        settings=study.ingest_settings,
        folder=lambda wildcards, output: Path(output.manifest).parent,
        fetched=study.fetched_option,
    shell:
        "python -m pipeline ingest {params.folder:q} {params.fetched:q}"
        " --settings {params.settings:q} --log {log:q}"


# A ready archive is read when the graph is planned: as a checkpoint it would be planned twice.
use rule ingest_made as ingest with:
    wildcard_constraints:
        dataset=one_of(study.ready),


rule ingest_all:
    input:
        expand("results/{dataset}/ingest/manifest.parquet", dataset=study.cohorts),
