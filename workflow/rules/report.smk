# The report: one page that needs no network.


rule make_report:
    input:
        study.report_files(),
    output:
        report(
            "results/report/index.html",
            caption="../report/report.rst",
            category="Report",
        ),
    log:
        "logs/report.log",
    benchmark:
        "benchmarks/report.tsv"
    conda:
        PYTHON_ENV
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        version=STAGES["report"].version,
        sections=study.report_sections(),
        datasets=study.report_datasets(),
        seed=study.seeds[0],
    shell:
        "python -m pipeline report {output:q} --datasets {params.datasets:q}"
        " --sections {params.sections:q} --seed {params.seed} --threads {threads} --log {log:q}"
