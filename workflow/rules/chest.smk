# Chest films, a shard of the subjects at a time (section 3.1).


def shards_of(dataset):
    return DATASETS[dataset]["chest"]["shards"]


def used_shards(dataset, subjects):
    return sorted({shard_of(subject, shards_of(dataset)) for subject in subjects})


def shard_films(wildcards):
    manifest = cohort(wildcards.dataset).manifest
    shard, shards = int(wildcards.shard), shards_of(wildcards.dataset)
    return [
        row.path
        for row in manifest.itertuples()
        if shard_of(row.subject, shards) == shard
    ]


rule prepare_films:
    input:
        films=shard_films,
        manifest=ancient("results/{dataset}/ingest/manifest.parquet"),
    output:
        films="results/{dataset}/film/shard-{shard}.npz",
        status="results/{dataset}/film/shard-{shard}.csv",
    log:
        "logs/{dataset}/film/shard-{shard}.log",
    benchmark:
        "benchmarks/{dataset}/film/shard-{shard}.tsv"
    wildcard_constraints:
        dataset=CHEST,
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        version=1,
        shards=chest_settings("shards"),
        resize=chest_settings("resize"),
    shell:
        "python -m pipeline films {input.manifest:q} {output.films:q} --status {output.status:q}"
        " --shard {wildcards.shard} --shards {params.shards} --resize {params.resize}"
        " --threads {threads} --log {log:q}"


def film_shards(dataset, stage, subjects):
    return [
        f"results/{dataset}/{stage}/shard-{shard}.npz"
        for shard in used_shards(dataset, subjects)
    ]


def all_films(wildcards):
    shards = [
        film_shards(name, "film", cohort(name).manifest["subject"])
        for name in of_modality("chest")
    ]
    return [path for paths in shards for path in paths]


rule prepare_chest:
    input:
        all_films,
