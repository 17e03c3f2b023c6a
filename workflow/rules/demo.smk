# The embedded demonstration: raw studies in the layout of the real archives, simulated from images
# that packages carry. One rule for each data set whose `demo` is set, named make_demo_{dataset}.


for name, dataset in study.demos_of("adni").items():

    rule:
        name:
            f"make_demo_{name}"
        output:
            images=directory(dataset.archive.images),
            tables=directory(dataset.archive.tables),
            truth=directory(dataset.demo.truth),
            splits=dataset.lists_made(),
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
            version=STAGES["make-demo-adni"].version,
            settings=study.demo_settings(name),
            splits=lambda wildcards, output: (
                ["--splits", *output.splits] if output.splits else []
            ),
        shell:
            "python -m pipeline make-demo-adni {output.images:q} {output.tables:q}"
            " {output.truth:q} {params.splits:q} --settings {params.settings:q} --log {log:q}"


for name, dataset in study.demos_of("copd").items():

    rule:
        name:
            f"make_demo_{name}"
        output:
            films=directory(dataset.archive.films),
            spirometry=dataset.archive.spirometry,
            truth=directory(dataset.demo.truth),
            pseudonym_key=dataset.labels.pseudonym_key,
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
            version=STAGES["make-demo-copd"].version,
            settings=study.demo_settings(name),
        shell:
            "python -m pipeline make-demo-copd {output.films:q} {output.spirometry:q}"
            " {output.truth:q} {output.pseudonym_key:q} --settings {params.settings:q} --log {log:q}"
