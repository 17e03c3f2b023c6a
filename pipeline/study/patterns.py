"""Paths of a run as the rules write them: below ``results/``, with Snakemake's wildcards."""

from collections.abc import Iterable

from pipeline.stage import layout

COHORT_FILES = {
    "manifest": "results/{dataset}/ingest/manifest.parquet",
    "pairs": "results/{dataset}/ingest/pairs.parquet",
    "exclusions": "results/{dataset}/ingest/exclusions.csv",
}


def one_of(names: Iterable[str]) -> str:
    """Pattern of a wildcard that is one of `names`; one that never matches when there are none."""
    return "|".join(names) or "(?!)"


def volume(stage: str, session: str = "{session}") -> str:
    """A volume after a stage."""
    return f"results/{layout.volume('{dataset}', stage, '{subject}', session)}"


def quality(suffix: str) -> str:
    """A file of a volume's quality control."""
    return f"results/{layout.quality('{dataset}', '{subject}', '{session}', suffix)}"


def volume_log(stage: str) -> str:
    """Log of a stage of a volume."""
    return f"logs/{{dataset}}/{stage}/sub-{{subject}}_ses-{{session}}.log"


def volume_benchmark(stage: str) -> str:
    """Time and memory of a stage of a volume."""
    return f"benchmarks/{{dataset}}/{stage}/sub-{{subject}}_ses-{{session}}.tsv"


def pair(suffix: str) -> str:
    """A file of a pair of volumes."""
    path = layout.pair("{dataset}", "{subject}", "{followup}", "{baseline}", suffix)
    return f"results/{path}"


def model(name: str) -> str:
    """A file of a trained model."""
    return f"results/{layout.model('{dataset}', '{method}', '{seed}', name)}"


def sweep_model(name: str) -> str:
    """A file of a model that is trained to choose lambda."""
    return f"results/{{dataset}}/sweep/{{method}}/factor-{{factor}}/{name}"


def figure(name: str, suffix: str) -> str:
    """A picture of a pair."""
    return f"results/{layout.figure('{dataset}', '{case}', name, suffix)}"
