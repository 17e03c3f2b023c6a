# Longitudinal pairs: the observed change that explanations are scored against (section 3.3).


def visit(stage, session):
    path = "results/" + layout.volume("{dataset}", stage, "{subject}", f"{{{session}}}")
    return {
        f"{session}_image": path,
        f"{session}_sidecar": str(sidecar_path(Path(path))),
    }


rule register_volumes:
    input:
        **visit("grid", "baseline"),
        **visit("grid", "followup"),
    output:
        difference=pair("difference.nii.gz"),
        mask=pair("mask.nii.gz"),
        sidecar=pair("difference.json"),
    log:
        "logs/{dataset}/pairs/sub-{subject}_ses-{followup}_from-{baseline}.log",
    benchmark:
        "benchmarks/{dataset}/pairs/sub-{subject}_ses-{followup}_from-{baseline}.tsv"
    wildcard_constraints:
        dataset=BRAIN,
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        version=1,
    shell:
        "python -m pipeline register-volumes {input.baseline_image:q} {input.followup_image:q}"
        " {output.difference:q} {output.mask:q} --threads {threads} --log {log:q}"


rule register_films:
    input:
        films="results/{dataset}/film/shard-{shard}.npz",
        status="results/{dataset}/film/shard-{shard}.csv",
        pairs=ancient("results/{dataset}/ingest/pairs.parquet"),
    output:
        pairs="results/{dataset}/pairs/shard-{shard}.npz",
        status="results/{dataset}/pairs/shard-{shard}.csv",
    log:
        "logs/{dataset}/pairs/shard-{shard}.log",
    benchmark:
        "benchmarks/{dataset}/pairs/shard-{shard}.tsv"
    wildcard_constraints:
        dataset=CHEST,
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        version=1,
        shards=chest_settings("shards"),
        crop=chest_settings("crop"),
    shell:
        "python -m pipeline register-films {input.films:q} {input.pairs:q} {output.pairs:q}"
        " --status {output.status:q} --shard {wildcards.shard} --shards {params.shards}"
        " --crop {params.crop} --threads {threads} --log {log:q}"


def volume_pairs(name, suffix):
    return [
        "results/" + layout.pair(name, row.subject, row.followup, row.baseline, suffix)
        for row in cohort(name).pairs.itertuples()
    ]


def all_pairs(wildcards):
    volumes = [volume_pairs(name, "difference.nii.gz") for name in of_modality("brain")]
    films = [
        film_shards(name, "pairs", cohort(name).pairs["subject"])
        for name in of_modality("chest")
    ]
    return [path for paths in volumes + films for path in paths]


rule register_pairs:
    input:
        all_pairs,
