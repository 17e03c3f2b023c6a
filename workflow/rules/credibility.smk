# What makes explanations credible: where they lie, what judges say, how steady they are.


rule measure_credibility:
    input:
        packed="results/{dataset}/packed",
        generators=study.models(model("generator.safetensors")),
        truth=study.truth_folder,
    output:
        "results/{dataset}/credibility.parquet",
    log:
        "logs/{dataset}/credibility.log",
    benchmark:
        "benchmarks/{dataset}/credibility.tsv"
    conda:
        PYTHON_ENV
    resources:
        mem_mb=4000,
        runtime=600,
        gpu=study.config.gpus_per_training(),
        device=study.config.device,
    params:
        version=STAGES["credibility"].version,
        modality=study.modality,
        truth=study.truth_option,
        classifier=study.attribution_settings,
        methods=study.models("{method}"),
        seeds=study.models("{seed}"),
    shell:
        "python -m pipeline credibility {input.packed:q} {output:q}"
        " --dataset {wildcards.dataset} --generators {input.generators:q}"
        " --methods {params.methods} --seeds {params.seeds} --modality {params.modality}"
        " --classifier {params.classifier:q} {params.truth:q} --device {resources.device}"
        " --threads {threads} --log {log:q}"


rule make_credibility_table:
    input:
        measured=expand(rules.measure_credibility.output, dataset=study.datasets),
        table1=rules.make_table.output.csv,
    output:
        csv=report(
            "results/credibility.csv",
            caption="../report/credibility.rst",
            category="Credibility",
        ),
        md="results/credibility.md",
    log:
        "logs/credibility.log",
    benchmark:
        "benchmarks/credibility.tsv"
    conda:
        PYTHON_ENV
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        version=STAGES["credibility-table"].version,
        datasets=study.described(study.datasets),
    shell:
        "python -m pipeline credibility-table {output.csv:q} {output.md:q} {input.measured:q}"
        " --table1 {input.table1:q} --datasets {params.datasets:q} --log {log:q}"
