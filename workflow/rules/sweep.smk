# The choice of lambda, on the validation pairs alone. Not part of Table 1's run.


use rule train_model as train_sweep with:
    output:
        generator=sweep_model("generator.safetensors"),
        history=sweep_model("history.parquet"),
        training=sweep_model("training.json"),
        tensorboard=directory(sweep_model("tensorboard")),
    log:
        "logs/{dataset}/sweep/{method}_factor-{factor}.log",
    benchmark:
        "benchmarks/{dataset}/sweep/{method}_factor-{factor}.tsv"
    params:
        version=STAGES["train"].version,
        settings=study.sweep_settings,


rule choose_lambda:
    input:
        study.on_sweep(sweep_model("training.json")),
    output:
        csv="results/sweep.csv",
        png="results/sweep.png",
    log:
        "logs/sweep.log",
    benchmark:
        "benchmarks/sweep.tsv"
    conda:
        PYTHON_ENV
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        version=STAGES["choose-lambda"].version,
        names=study.on_sweep("{dataset}"),
        titles=study.titles(),
    shell:
        "python -m pipeline choose-lambda {output.csv:q} {output.png:q} {input:q}"
        " --names {params.names} --titles {params.titles:q} --log {log:q}"
