# Where results come from: versions, settings and hashes, of each model and of the run.


rule record_model:
    input:
        packed="results/{dataset}/packed",
        training=model("training.json"),
        generator=model("generator.safetensors"),
    output:
        model("provenance.json"),
    log:
        "logs/{dataset}/record/{method}_seed-{seed}.log",
    benchmark:
        "benchmarks/{dataset}/record/{method}_seed-{seed}.tsv"
    conda:
        PYTHON_ENV
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        version=2,
        config=lambda wildcards: as_json(
            STUDY.of_model(wildcards.dataset, wildcards.method)
        ),
    shell:
        "python -m pipeline record-model {input.packed:q} {input.training:q} {input.generator:q}"
        " {output:q} --config {params.config:q} --log {log:q}"


rule record_run:
    input:
        manifests=expand("results/{dataset}/ingest/manifest.parquet", dataset=COHORTS),
        models=on_methods(model("provenance.json")),
        files=RESULTS,
    output:
        provenance="results/provenance.json",
        methods="results/methods.md",
        crate="results/ro-crate-metadata.json",
    log:
        "logs/record.log",
    benchmark:
        "benchmarks/record.tsv"
    conda:
        PYTHON_ENV
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        version=1,
        config=as_json(config),
    shell:
        "python -m pipeline record-run results --config {params.config:q}"
        " --models {input.models:q} --files {input.files:q} --log {log:q}"
