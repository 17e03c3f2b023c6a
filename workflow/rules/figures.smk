# Pictures.


rule draw_overview:
    input:
        study.overview_files(),
    output:
        report(
            "results/overview.png",
            caption="../report/overview.rst",
            category="Figures",
        ),
    log:
        "logs/overview.log",
    benchmark:
        "benchmarks/overview.tsv"
    conda:
        PYTHON_ENV
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        version=STAGES["overview"].version,
        names=study.with_fields,
        datasets=study.described(study.with_fields),
    shell:
        "python -m pipeline overview {output:q} {input:q} --names {params.names}"
        " --datasets {params.datasets:q} --log {log:q}"


rule draw_figures:
    input:
        packed="results/{dataset}/packed",
        generators=study.shown_models,
        scores=study.drawn_scores,
    output:
        report(
            [figure(name, "png") for name in layout.FIGURES],
            caption="../report/figures.rst",
            category="Figures",
            subcategory="{dataset}",
            labels={"pair": "{case}"},
        ),
        [figure(name, "svg") for name in layout.FIGURES],
    log:
        "logs/{dataset}/figures/{case}.log",
    benchmark:
        "benchmarks/{dataset}/figures/{case}.tsv"
    wildcard_constraints:
        dataset=one_of(study.drawn),
    conda:
        PYTHON_ENV
    resources:
        mem_mb=3000,
        runtime=20,
    params:
        version=STAGES["figures"].version,
        settings=study.figure_settings,
        methods=study.shown_methods,
        prefix="results/figures/{dataset}/{case}",
    shell:
        "python -m pipeline figures {input.packed:q} {wildcards.case} {params.prefix:q}"
        " --dataset {wildcards.dataset} --generators {input.generators:q}"
        " --methods {params.methods} --scores {input.scores:q} --settings {params.settings:q}"
        " --log {log:q}"


rule draw_all_figures:
    input:
        study.figures(),
