# Where results come from: versions, settings and hashes, of each model and of the run.

from pipeline.study.config import model_config


rule record_model:
    input:
        packed="results/{dataset}/packed",
        volumes=volumes_table,
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
        volumes=lambda wildcards, input: (
            ["--volumes", input.volumes] if input.volumes else []
        ),
        config=lambda wildcards: as_json(
            model_config(config, wildcards.dataset, wildcards.method)
        ),
    shell:
        "python -m pipeline record-model {input.packed:q} {input.training:q} {input.generator:q}"
        " {output:q} --config {params.config:q} {params.volumes:q} --log {log:q}"


rule record_run:
    input:
        cohorts=expand("results/{dataset}/cohort.json", dataset=COHORTS),
        packed=expand("results/{dataset}/packed", dataset=DATASETS),
        volumes=expand(
            "results/{dataset}/volumes.parquet", dataset=of_modality("brain")
        ),
        models=on_methods(model("provenance.json")),
        weights=on_methods(model("generator.safetensors")),
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
