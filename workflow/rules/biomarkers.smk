# What the fields change, counted by region of the brain and by structure of the film.


rule measure_biomarkers:
    input:
        packed="results/{dataset}/packed",
        generators=study.models,
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
        version=1,
        resize=study.resize_option,
        truth=study.truth_option,
        methods=study.methods_of_models,
        seeds=study.seeds_of_models,
    shell:
        "python -m pipeline biomarkers results {wildcards.dataset} {output:q}"
        " --generators {input.generators:q} --methods {params.methods} --seeds {params.seeds}"
        " {params.truth:q} {params.resize} --log {log:q}"


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
        version=1,
        demos=study.demos,
    shell:
        "python -m pipeline biomarker-table {output:q} {input:q} --demos {params.demos}"
        " --log {log:q}"
