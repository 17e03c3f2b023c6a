# What the fields change, counted by region of the brain and by structure of the film.


rule measure_biomarkers:
    input:
        packed="results/{dataset}/packed",
        generators=study.models(model("generator.safetensors")),
        truth=study.truth_folder,
    output:
        "results/{dataset}/biomarkers.parquet",
    log:
        "logs/{dataset}/biomarkers.log",
    benchmark:
        "benchmarks/{dataset}/biomarkers.tsv"
    wildcard_constraints:
        dataset=one_of(study.drawn),
    conda:
        PYTHON_ENV
    resources:
        mem_mb=4000,
        runtime=600,
    params:
        version=STAGES["biomarkers"].version,
        modality=study.modality,
        truth=study.truth_option,
        methods=study.models("{method}"),
        seeds=study.models("{seed}"),
    shell:
        "python -m pipeline biomarkers {input.packed:q} {output:q}"
        " --dataset {wildcards.dataset} --generators {input.generators:q}"
        " --methods {params.methods} --seeds {params.seeds} --modality {params.modality}"
        " {params.truth:q} --log {log:q}"


rule make_biomarker_table:
    input:
        expand(rules.measure_biomarkers.output, dataset=study.drawn),
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
        version=STAGES["biomarker-table"].version,
        datasets=study.described(study.drawn),
    shell:
        "python -m pipeline biomarker-table {output:q} {input:q}"
        " --datasets {params.datasets:q} --log {log:q}"
