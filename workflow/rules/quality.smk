# Quality control: every volume is measured and drawn, then judged beside the others.


rule check_volume:
    input:
        orient=study.after("orient"),
        template_space=study.after("template"),
        skull=study.after("skull"),
        skull_refine=study.after("skull_refine"),
        grid=volume("grid"),
        template=study.template_file,
    output:
        figures=quality("json"),
        picture=quality("jpg"),
        asymmetry=quality("npz"),
    log:
        volume_log("qc"),
    benchmark:
        volume_benchmark("qc")
    wildcard_constraints:
        dataset=one_of(study.volumes),
    conda:
        PYTHON_ENV
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        version=STAGES["check"].version,
        template=study.template_option,
    shell:
        "python -m pipeline check {input.orient:q} {input.template_space:q} {input.skull:q}"
        " {input.skull_refine:q} {input.grid:q} {output.figures:q} {output.picture:q}"
        " {output.asymmetry:q} {params.template:q} --threads {threads} --log {log:q}"


rule review_volumes:
    input:
        study.reviewed_volumes,
        manifest=COHORT_FILES["manifest"],
    output:
        table="results/{dataset}/qc.csv",
        page="results/{dataset}/qc.html",
    log:
        "logs/{dataset}/review.log",
    benchmark:
        "benchmarks/{dataset}/review.tsv"
    wildcard_constraints:
        dataset=one_of(study.volumes),
    conda:
        PYTHON_ENV
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        version=STAGES["review"].version,
        settings=study.review_settings,
    shell:
        "python -m pipeline review results {wildcards.dataset} {output.table:q} {output.page:q}"
        " {params.settings:q} --log {log:q}"


rule check_brain:
    input:
        expand("results/{dataset}/qc.html", dataset=study.volumes),
