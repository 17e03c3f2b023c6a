# One model for each data set, method and seed (section 3).


rule fetch_critic_weights:
    output:
        f"results/{layout.critic_weights('{dataset}')}",
    log:
        "logs/{dataset}/fetch_critic_weights.log",
    benchmark:
        "benchmarks/{dataset}/fetch_critic_weights.tsv"
    conda:
        PYTHON_ENV
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        version=STAGES["fetch-critic-weights"].version,
        source=study.critic_source,
    shell:
        "python -m pipeline fetch-critic-weights {output:q} {params.source:q} --log {log:q}"


rule train_model:
    input:
        packed="results/{dataset}/packed",
        critic_weights=study.critic_weights,
    output:
        generator=model("generator.safetensors"),
        history=model("history.parquet"),
        training=model("training.json"),
        tensorboard=directory(model("tensorboard")),
    log:
        "logs/{dataset}/train/{method}_seed-{seed}.log",
    benchmark:
        "benchmarks/{dataset}/train/{method}_seed-{seed}.tsv"
    conda:
        PYTHON_ENV
    resources:
        mem_mb=3000,
        runtime=2880,
        gpu=study.config.gpus_per_training(),
        device=study.config.device,
        jobs_per_gpu=study.config.jobs_per_gpu,
    params:
        version=STAGES["train"].version,
        settings=study.train_settings,
    shell:
        "python -m pipeline train {input.packed:q} {output.generator:q}"
        " --settings {params.settings:q} --device {resources.device}"
        " --jobs-per-gpu {resources.jobs_per_gpu} --threads {threads}"
        " --log {log:q}"


rule train_models:
    input:
        study.on_methods(model("generator.safetensors")),
