# The embedded demonstration: raw studies in the layout of the real archives, simulated from images
# that packages carry. One rule for each data set whose `demo` is set, named make_demo_{dataset}.


for name in (name for name in DEMOS if DATASETS[name]["source"] == "adni"):

    rule:
        name:
            f"make_demo_{name}"
        output:
            images=directory(DATASETS[name]["archive"]["images"]),
            tables=directory(DATASETS[name]["archive"]["tables"]),
            truth=directory(DATASETS[name]["demo"]["truth"]),
        log:
            f"logs/{name}/make_demo.log",
        benchmark:
            f"benchmarks/{name}/make_demo.tsv"
        conda:
            PYTHON_ENV
        resources:
            mem_mb=3000,
            runtime=60,
        params:
            version=1,
            settings=demo_settings(name),
        shell:
            "python -m pipeline make-demo-adni {output.images:q} {output.tables:q}"
            " {output.truth:q} --settings {params.settings:q} --log {log:q}"


for name in (name for name in DEMOS if DATASETS[name]["source"] == "copd"):

    rule:
        name:
            f"make_demo_{name}"
        output:
            films=directory(DATASETS[name]["archive"]["films"]),
            spirometry=DATASETS[name]["archive"]["spirometry"],
            truth=directory(DATASETS[name]["demo"]["truth"]),
            pseudonym_key=DATASETS[name]["labels"]["pseudonym_key"],
        log:
            f"logs/{name}/make_demo.log",
        benchmark:
            f"benchmarks/{name}/make_demo.tsv"
        conda:
            PYTHON_ENV
        resources:
            mem_mb=2000,
            runtime=60,
        params:
            version=3,
            settings=demo_settings(name),
        shell:
            "python -m pipeline make-demo-copd {output.films:q} {output.spirometry:q}"
            " {output.truth:q} {output.pseudonym_key:q} --settings {params.settings:q} --log {log:q}"
