# Packed arrays for training and scoring, and the whole list of exclusions.


def packed_volumes(wildcards):
    name = wildcards.dataset
    images = [
        "results/" + layout.volume(name, "grid", row.subject, row.session)
        for row in cohort(name).manifest.itertuples()
    ]
    pairs = [
        *volume_pairs(name, "difference.nii.gz"),
        *volume_pairs(name, "mask.nii.gz"),
    ]
    sidecars = [
        sidecar_path(Path(p)) for p in images + volume_pairs(name, "difference.nii.gz")
    ]
    return [*images, *pairs, *sidecars]


def packed_films(wildcards):
    name = wildcards.dataset
    who = cohort(name)
    shards = film_shards(name, "film", who.manifest["subject"])
    shards += film_shards(name, "pairs", who.pairs["subject"])
    return [*shards, *(path.replace(".npz", ".csv") for path in shards)]


rule pack_volumes:
    input:
        packed_volumes,
        cohort=rules.ingest.output,
    output:
        packed=directory("results/{dataset}/packed"),
        exclusions="results/{dataset}/exclusions.csv",
    log:
        "logs/{dataset}/pack.log",
    benchmark:
        "benchmarks/{dataset}/pack.tsv"
    wildcard_constraints:
        dataset=BRAIN,
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        version=1,
    shell:
        "python -m pipeline pack-volumes results {wildcards.dataset} {output.packed:q}"
        " --exclusions {output.exclusions:q} --log {log:q}"


rule pack_films:
    input:
        packed_films,
        cohort=rules.ingest.output,
    output:
        packed=directory("results/{dataset}/packed"),
        exclusions="results/{dataset}/exclusions.csv",
    log:
        "logs/{dataset}/pack.log",
    benchmark:
        "benchmarks/{dataset}/pack.tsv"
    wildcard_constraints:
        dataset=CHEST,
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        version=1,
        shards=chest_settings("shards"),
    shell:
        "python -m pipeline pack-films results {wildcards.dataset} {output.packed:q}"
        " --shards {params.shards} --exclusions {output.exclusions:q} --log {log:q}"


rule pack_datasets:
    input:
        expand("results/{dataset}/packed", dataset=DATASETS),
