"""``methods.md``: what was done, in words for a paper, from the provenance of the run."""

from itertools import starmap
from typing import Any

from pipeline.brain.engines import citations
from pipeline.method.interface import Method
from pipeline.method.registry import METHODS, find_method
from pipeline.stage.wording import number_of
from pipeline.stages import STAGES
from pipeline.study.config import parse_config

PACKAGES = {
    "snakemake": "Snakemake",
    "torch": "PyTorch",
    "numpy": "NumPy",
    "scipy": "SciPy",
    "simpleitk": "SimpleITK",
}
REFERENCES = {
    "paper": "Bigolin Lanfredi R., Schroeder J.D., Vachet C., Tasdizen T.: Interpretation of"
    " Disease Evidence for Medical Images Using Adversarial Deformation Fields. MICCAI 2020."
    " doi:10.1007/978-3-030-59713-9_71",
    "snakemake": "Mölder F. et al.: Sustainable data analysis with Snakemake. F1000Research 10:33,"
    " 2021. doi:10.12688/f1000research.29032.2",
}


def methods_text(run: dict[str, Any]) -> str:
    """Markdown: a paragraph a data set, one on training and scores, one on software, references.

    Parameters
    ----------
    run
        As `pipeline.record.provenance.describe_run` returns it.
    """
    parts = ["# Methods"]
    if any(dataset["simulated"] for dataset in run["datasets"].values()):
        parts.append(
            "**Simulated data:** what is marked as simulated below is the embedded demonstration, "
            "not patients."
        )
    parts += [_dataset(name, dataset, run["config"]) for name, dataset in run["datasets"].items()]
    parts += [_methods(run), _training(run), _software(run), "## References"]
    cited: set[str] = set()
    for dataset in run["datasets"].values():
        if dataset["cohort"]:
            cited = cited.union(*starmap(citations, dataset["cohort"]["engines"].items()))
    methods = [method.citation for method in _used(run) if method.citation]
    references = [REFERENCES["paper"], *methods, REFERENCES["snakemake"], *sorted(cited)]
    parts.append("\n".join(f"- {text}" for text in references))
    return "\n\n".join(parts) + "\n"


def _dataset(name: str, dataset: dict[str, Any], config: dict[str, Any]) -> str:
    title = dataset["title"] + (" (simulated)" if dataset["simulated"] else "")
    disease = dataset["disease"]
    train = dataset["training_images"]
    pairs = " and ".join(
        f"{number_of(count, 'pair')} for {split}"
        for split, count in sorted(dataset["pairs"].items())
    )
    used = (
        f"The disease is {disease['name']}. Training used {number_of(train['healthy'], 'image')} "
        f"without it ({disease['healthy']}) and {train['diseased']} with it "
        f"({disease['diseased']}), evaluation {pairs} of a healthy and a diseased image of one "
        "subject."
    )
    if dataset["cohort"] is None:
        return f"**{title}.** Images were made by the pipeline. {used}"
    sentences = [_cohort(dataset), used, _preparation(dataset, config["datasets"][name])]
    return f"**{title}.** " + " ".join(sentences)


def _cohort(dataset: dict[str, Any]) -> str:
    cohort = dataset["cohort"]
    images = number_of(cohort["images"], "image")
    subjects = number_of(cohort["subjects"], "subject")
    excluded = sum(dataset["excluded"].values())
    return (
        f"{images} of {subjects} met the criteria of inclusion. What was left out before or during "
        "the processing stands with its reason in `exclusions.csv` (images, exams and pairs: "
        f"{excluded})."
    )


def _preparation(dataset: dict[str, Any], settings: dict[str, Any]) -> str:
    if settings["modality"] == "brain":
        engines = dataset["cohort"]["engines"]
        *steps, last = (
            f"{STAGES[stage].told} ({'; '.join(sorted(used))})" for stage, used in engines.items()
        )
        shape = " × ".join(str(size) for size in settings["brain"]["shape"])
        return (
            f"Volumes were {', '.join(steps)} and {last}: {shape} voxels of "
            f"{settings['brain']['voxel_mm']:g} mm. The observed change of a pair is the "
            f"difference after {STAGES['register-volumes'].told}."
        )
    return (
        f"Films were {STAGES['films'].told.format(**settings['chest'])}. The observed change of a "
        f"pair is the difference after {STAGES['register-films'].told}."
    )


def _used(run: dict[str, Any]) -> list[Method]:
    """Methods of the run, in the order of the tables."""
    datasets = run["config"]["datasets"].values()
    names = {name for dataset in datasets for name in dataset["training"]["methods"]}
    return [method for name, method in METHODS.items() if name in names]


def _methods(run: dict[str, Any]) -> str:
    return "**Explanations.** " + " ".join(method.summary for method in _used(run))


def _training(run: dict[str, Any]) -> str:
    sentences, config = [], parse_config(run["config"])
    for name, dataset in run["config"]["datasets"].items():
        fits: dict[str, list[str]] = {}
        for method in dataset["training"]["methods"]:
            settings = config.training_settings(name, method, run["seeds"][0])
            found = find_method(method)
            how, detail = found.words(settings)
            fits.setdefault(how, []).append(f"{found.title} {detail}".rstrip())
        told = (f"{how} ({', '.join(who)})" for how, who in fits.items())
        sentences.append(f"on {dataset['title']} {' and '.join(told)}")
    once = [method.title for method in _used(run) if not method.seeded]
    seeds = f"{number_of(len(run['seeds']), 'seed')} ({', '.join(map(str, run['seeds']))})"
    if once:
        verbs = "knows no chance and was" if len(once) == 1 else "know no chance and were"
        seeds += f", but for {' and '.join(once)}, which {verbs} fitted once,"
    devices = sorted({model["device"] for model in run["models"].values()})
    return (
        f"**Training.** Every method was trained with {seeds} {'; '.join(sentences)}; "
        f"on {', '.join(devices)}. "
        "The epoch with the highest normalised cross-correlation on the validation pairs was kept. "
        "Scores are the normalised cross-correlation of predicted and observed change on the test "
        "pairs, averaged within and then over subjects."
    )


def _software(run: dict[str, Any]) -> str:
    software = run["software"]
    packages = software["packages"]
    commit = f", commit {software['commit'][:10]}" if software["commit"] else ""
    changed = " with local changes" if software["dirty"] else ""
    versions = ", ".join(f"{title} {packages[name]}" for name, title in PACKAGES.items())
    return (
        f"**Software.** DeFI-GAN pipeline {software['pipeline']}{commit}{changed}; Python "
        f"{software['python']}, {versions}. `provenance.json` holds all versions and settings."
    )
