# What the fields change, counted by region of the brain and by structure of the film.


rule measure_biomarkers:
    input:
        packed="results/{dataset}/packed",
        generators=on_seeds(methods_of, model("generator.safetensors")),
        truth=truth_folder,
    output:
        "results/{dataset}/biomarkers.parquet",
    log:
        "logs/{dataset}/biomarkers.log",
    benchmark:
        "benchmarks/{dataset}/biomarkers.tsv"
    wildcard_constraints:
        dataset=one_of(DRAWN),
    conda:
        PYTHON_ENV
    resources:
        mem_mb=4000,
        runtime=600,
    params:
        version=1,
        modality=modality_of,
        truth=lambda wildcards, input: ["--truth", input.truth] if input.truth else [],
        methods=on_seeds(methods_of, "{method}"),
        seeds=on_seeds(methods_of, "{seed}"),
    shell:
        "python -m pipeline biomarkers {input.packed:q} {output:q}"
        " --dataset {wildcards.dataset} --generators {input.generators:q}"
        " --methods {params.methods} --seeds {params.seeds} --modality {params.modality}"
        " {params.truth:q} --log {log:q}"


rule make_biomarker_table:
    input:
        expand(rules.measure_biomarkers.output, dataset=DRAWN),
    output:
        report(
            "results/biomarkers.csv",
            caption="../report/biomarkers.rst",
            category="Biomarkers",
        ),
    log:
        "logs/biomarkers.log",
    benchmark:
        "benchmarks/biomarkers.tsv"
    conda:
        PYTHON_ENV
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        version=1,
        datasets=described(DRAWN),
    shell:
        "python -m pipeline biomarker-table {output:q} {input:q}"
        " --datasets {params.datasets:q} --log {log:q}"
