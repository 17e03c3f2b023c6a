# Longitudinal pairs: the observed change that explanations are scored against (section 3.3).


rule register_volumes:
    input:
        baseline_image=volume("grid", "{baseline}"),
        followup_image=volume("grid", "{followup}"),
    output:
        difference=pair("difference.nii.gz"),
        mask=pair("mask.nii.gz"),
    log:
        "logs/{dataset}/pairs/sub-{subject}_ses-{followup}_from-{baseline}.log",
    benchmark:
        "benchmarks/{dataset}/pairs/sub-{subject}_ses-{followup}_from-{baseline}.tsv"
    wildcard_constraints:
        dataset=one_of(study.volumes),
    conda:
        PYTHON_ENV
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        version=STAGES["register-volumes"].version,
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
        dataset=one_of(study.films),
    conda:
        PYTHON_ENV
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        version=STAGES["register-films"].version,
        shards=study.chest("shards"),
        crop=study.chest("crop"),
    shell:
        "python -m pipeline register-films {input.films:q} {input.pairs:q} {output.pairs:q}"
        " --status {output.status:q} --shard {wildcards.shard} --shards {params.shards}"
        " --crop {params.crop} --threads {threads} --log {log:q}"


rule register_pairs:
    input:
        study.all_pairs,
