# Where results come from: versions, settings and hashes, of each model and of the run.


rule record_config:
    output:
        "results/config.yaml",
    log:
        "logs/record_config.log",
    benchmark:
        "benchmarks/record_config.tsv"
    conda:
        PYTHON_ENV
    params:
        version=STAGES["record-config"].version,
        config=study.effective_config(),
    shell:
        "python -m pipeline record-config {output:q} --config {params.config:q} --log {log:q}"


rule record_model:
    input:
        packed="results/{dataset}/packed",
        volumes=study.volumes_table,
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
        version=STAGES["record-model"].version,
        volumes=study.volumes_option,
        config=study.model_settings,
    shell:
        "python -m pipeline record-model {input.packed:q} {input.training:q} {input.generator:q}"
        " {output:q} --config {params.config:q} {params.volumes:q} --log {log:q}"


rule record_run:
    input:
        cohorts=expand("results/{dataset}/cohort.json", dataset=study.cohorts),
        packed=expand("results/{dataset}/packed", dataset=study.datasets),
        volumes=expand("results/{dataset}/volumes.parquet", dataset=study.volumes),
        config=rules.record_config.output,
        models=study.on_methods(model("provenance.json")),
        weights=study.on_methods(model("generator.safetensors")),
        files=study.results(),
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
        version=STAGES["record-run"].version,
    shell:
        "python -m pipeline record-run results --config {input.config:q}"
        " --models {input.models:q} --files {input.files:q} --log {log:q}"
