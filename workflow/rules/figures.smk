# Pictures.


rule draw_overview:
    input:
        overview_files,
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
        version=1,
        names=WITH_FIELDS,
        demos=DEMOS,
    shell:
        "python -m pipeline overview {output:q} {input:q} --names {params.names}"
        " --demos {params.demos} --log {log:q}"
