# Explanations against the observed change, and Table 1 (section 3.3).


rule score_model:
    input:
        packed="results/{dataset}/packed",
        generator=model("generator.safetensors"),
    output:
        model("scores.parquet"),
    log:
        "logs/{dataset}/score/{method}_seed-{seed}.log",
    benchmark:
        "benchmarks/{dataset}/score/{method}_seed-{seed}.tsv"
    conda:
        PYTHON_ENV
    resources:
        mem_mb=3000,
        runtime=60,
        device=study.config.device,
    params:
        version=STAGES["score"].version,
    shell:
        "python -m pipeline score {input.packed:q} {input.generator:q} {output:q}"
        " --dataset {wildcards.dataset} --method {wildcards.method} --seed {wildcards.seed}"
        " --device {resources.device} --threads {threads} --log {log:q}"


rule score_true_deformation:
    input:
        packed="results/{dataset}/packed",
        truth=study.truth_folder,
    output:
        "results/{dataset}/true_deformation/scores.parquet",
    log:
        "logs/{dataset}/score/true_deformation.log",
    benchmark:
        "benchmarks/{dataset}/score/true_deformation.tsv"
    wildcard_constraints:
        dataset=one_of(study.demos),
    conda:
        PYTHON_ENV
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        version=STAGES["score-true-deformation"].version,
    shell:
        "python -m pipeline score-true-deformation {input.packed:q} {input.truth:q} {output:q}"
        " --dataset {wildcards.dataset} --log {log:q}"


rule compare_with_truth:
    input:
        packed="results/{dataset}/packed",
        truth=study.truth_folder,
        generators=study.models(model("generator.safetensors"), deforming=True),
    output:
        "results/{dataset}/true_deformation/fields.parquet",
    log:
        "logs/{dataset}/score/true_fields.log",
    benchmark:
        "benchmarks/{dataset}/score/true_fields.tsv"
    wildcard_constraints:
        dataset=one_of(study.demos),
    conda:
        PYTHON_ENV
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        version=STAGES["compare-with-truth"].version,
        modality=study.modality,
        methods=study.models("{method}", deforming=True),
        seeds=study.models("{seed}", deforming=True),
    shell:
        "python -m pipeline compare-with-truth {input.packed:q} {input.truth:q} {output:q}"
        " --dataset {wildcards.dataset} --generators {input.generators:q}"
        " --methods {params.methods} --seeds {params.seeds} --modality {params.modality}"
        " --log {log:q}"


rule make_truth_table:
    input:
        expand(rules.compare_with_truth.output, dataset=study.known_fields),
    output:
        report("results/truth.csv", caption="../report/truth.rst", category="Truth"),
    log:
        "logs/truth.log",
    benchmark:
        "benchmarks/truth.tsv"
    conda:
        PYTHON_ENV
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        version=STAGES["truth-table"].version,
    shell:
        "python -m pipeline truth-table {output:q} {input:q} --log {log:q}"


rule make_demo_table:
    input:
        packed=expand("results/{dataset}/packed", dataset=study.demos),
        truths=study.truth_folders,
    output:
        report("results/demo.csv", caption="../report/demo.rst", category="Truth"),
    log:
        "logs/demo.log",
    benchmark:
        "benchmarks/demo.tsv"
    conda:
        PYTHON_ENV
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        version=STAGES["demo-table"].version,
        datasets=study.demos,
    shell:
        "python -m pipeline demo-table {output:q} --datasets {params.datasets}"
        " --packed {input.packed:q} --truths {input.truths:q} --log {log:q}"


rule score_models:
    input:
        study.on_methods(model("scores.parquet")),


rule make_table:
    input:
        models=study.on_methods(model("scores.parquet")),
        ceilings=expand(
            rules.score_true_deformation.output,
            dataset=study.demos,
        ),
    output:
        csv=report(
            "results/table1.csv", caption="../report/table1.rst", category="Table 1"
        ),
        md="results/table1.md",
    log:
        "logs/table1.log",
    benchmark:
        "benchmarks/table1.tsv"
    conda:
        PYTHON_ENV
    params:
        version=STAGES["table"].version,
        datasets=study.table_settings(),
    shell:
        "python -m pipeline table {output.csv:q} {output.md:q} {input:q}"
        " --datasets {params.datasets:q} --log {log:q}"


rule make_claims_table:
    input:
        scores=study.on_methods(model("scores.parquet")),
        histories=study.on_methods(model("history.parquet")),
    output:
        report("results/claims.csv", caption="../report/claims.rst", category="Claims"),
    log:
        "logs/claims.log",
    benchmark:
        "benchmarks/claims.tsv"
    conda:
        PYTHON_ENV
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        version=STAGES["claims-table"].version,
        datasets=study.described(study.datasets),
    shell:
        "python -m pipeline claims-table {output:q} --scores {input.scores:q}"
        " --histories {input.histories:q} --datasets {params.datasets:q} --log {log:q}"


rule score_attributions:
    input:
        packed="results/{dataset}/packed",
    output:
        "results/{dataset}/classifier/seed-{seed}/scores.parquet",
    log:
        "logs/{dataset}/score/classifier_seed-{seed}.log",
    benchmark:
        "benchmarks/{dataset}/score/classifier_seed-{seed}.tsv"
    wildcard_constraints:
        dataset=one_of(study.cohorts),
    conda:
        PYTHON_ENV
    resources:
        mem_mb=3000,
        runtime=480,
        gpu=study.config.gpus_per_training(),
        device=study.config.device,
    params:
        version=STAGES["score-attributions"].version,
        settings=study.attribution_settings,
    shell:
        "python -m pipeline score-attributions {input.packed:q} {output:q}"
        " --dataset {wildcards.dataset} --seed {wildcards.seed} --settings {params.settings:q}"
        " --device {resources.device} --threads {threads} --log {log:q}"


rule make_extended_table:
    input:
        rules.make_table.input,
        expand(rules.score_attributions.output, dataset=study.cohorts, seed=study.seeds),
    output:
        csv=report(
            "results/table1_extended.csv",
            caption="../report/table1_extended.rst",
            category="Table 1",
        ),
        md="results/table1_extended.md",
    log:
        "logs/table1_extended.log",
    benchmark:
        "benchmarks/table1_extended.tsv"
    conda:
        PYTHON_ENV
    params:
        version=STAGES["extended-table"].version,
        datasets=study.table_settings(),
    shell:
        "python -m pipeline table {output.csv:q} {output.md:q} {input:q}"
        " --datasets {params.datasets:q} --log {log:q}"
