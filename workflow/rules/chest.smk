# Chest films, a shard of the subjects at a time (section 3.1).


rule prepare_films:
    input:
        films=study.shard_films,
        manifest=ancient("results/{dataset}/ingest/manifest.parquet"),
    output:
        films="results/{dataset}/film/shard-{shard}.npz",
        status="results/{dataset}/film/shard-{shard}.csv",
    log:
        "logs/{dataset}/film/shard-{shard}.log",
    benchmark:
        "benchmarks/{dataset}/film/shard-{shard}.tsv"
    wildcard_constraints:
        dataset=one_of(study.films),
    conda:
        PYTHON_ENV
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        version=STAGES["films"].version,
        state=study.shard_state,
        shards=study.chest("shards"),
        resize=study.chest("resize"),
    shell:
        "python -m pipeline films {input.manifest:q} {output.films:q} --status {output.status:q}"
        " --shard {wildcards.shard} --shards {params.shards} --resize {params.resize}"
        " --threads {threads} --log {log:q}"


rule prepare_chest:
    input:
        study.all_films,
