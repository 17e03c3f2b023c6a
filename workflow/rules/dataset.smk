# Packed arrays for training and scoring, and the whole list of exclusions.


rule pack_volumes:
    input:
        study.packed_volumes,
        cohort=COHORT_FILES.values(),
        qc=rules.review_volumes.output.table,
    output:
        packed=directory("results/{dataset}/packed"),
        exclusions="results/{dataset}/exclusions.csv",
        volumes="results/{dataset}/volumes.parquet",
    log:
        "logs/{dataset}/pack.log",
    benchmark:
        "benchmarks/{dataset}/pack.tsv"
    wildcard_constraints:
        dataset=one_of(study.volumes),
    conda:
        PYTHON_ENV
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        version=STAGES["pack-volumes"].version,
        mixed_engines=study.mixed_engines_option,
    shell:
        "python -m pipeline pack-volumes results {wildcards.dataset} {output.packed:q}"
        " --exclusions {output.exclusions:q} --volumes {output.volumes:q} --qc {input.qc:q}"
        " {params.mixed_engines} --log {log:q}"


rule pack_films:
    input:
        study.packed_films,
        cohort=COHORT_FILES.values(),
    output:
        packed=directory("results/{dataset}/packed"),
        exclusions="results/{dataset}/exclusions.csv",
    log:
        "logs/{dataset}/pack.log",
    benchmark:
        "benchmarks/{dataset}/pack.tsv"
    wildcard_constraints:
        dataset=one_of(study.films),
    conda:
        PYTHON_ENV
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        version=STAGES["pack-films"].version,
        shards=study.chest("shards"),
    shell:
        "python -m pipeline pack-films results {wildcards.dataset} {output.packed:q}"
        " --shards {params.shards} --exclusions {output.exclusions:q} --log {log:q}"


rule make_toy:
    output:
        packed=directory("results/{dataset}/packed"),
        exclusions="results/{dataset}/exclusions.csv",
    log:
        "logs/{dataset}/make_toy.log",
    benchmark:
        "benchmarks/{dataset}/make_toy.tsv"
    wildcard_constraints:
        dataset=one_of(study.squares),
    conda:
        PYTHON_ENV
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        version=STAGES["make-toy"].version,
        settings=study.toy_settings,
    shell:
        "python -m pipeline make-toy {output.packed:q} --exclusions {output.exclusions:q}"
        " --settings {params.settings:q} --log {log:q}"


rule describe_cohort:
    input:
        cohort=COHORT_FILES.values(),
        exclusions="results/{dataset}/exclusions.csv",
        packed="results/{dataset}/packed",
        tables=study.archive_tables,
    output:
        page="results/{dataset}/cohort.html",
        facts="results/{dataset}/cohort.json",
        listed="results/{dataset}/cohort_list.csv",
    log:
        "logs/{dataset}/cohort.log",
    benchmark:
        "benchmarks/{dataset}/cohort.tsv"
    wildcard_constraints:
        dataset=one_of(study.cohorts),
    conda:
        PYTHON_ENV
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        version=STAGES["describe-cohort"].version,
        folder=lambda wildcards, input: Path(input.cohort[0]).parent,
        settings=study.page_settings,
        replays=study.replays_option,
    shell:
        "python -m pipeline describe-cohort {params.folder:q} {input.exclusions:q}"
        " {output.page:q} {output.facts:q} --packed {input.packed:q} --cohort-list {output.listed:q}"
        " --tables {input.tables:q} {params.settings:q} {params.replays:q} --log {log:q}"


rule pack_datasets:
    input:
        expand("results/{dataset}/packed", dataset=study.datasets),
