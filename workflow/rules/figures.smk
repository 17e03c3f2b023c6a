# Pictures.


def overview_models(wildcards):
    """What the picture needs of each data set: arrays, and one DeFI-GAN with its scores."""
    first = {"method": "defi-gan", "seed": SEEDS[0]}
    files = []
    for name in with_fields:
        files += [
            f"results/{name}/packed",
            model("generator.safetensors").format(dataset=name, **first),
            model("scores.parquet").format(dataset=name, **first),
        ]
    return files


with_fields = [
    name for name, d in DATASETS.items() if "defi-gan" in d["training"]["methods"]
]


rule draw_overview:
    input:
        overview_models,
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
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        version=1,
        names=with_fields,
        demos=DEMOS,
    shell:
        "python -m pipeline overview {output:q} {input:q} --names {params.names}"
        " --demos {params.demos} --log {log:q}"
