"""Where everything lies below the results folder: the one place that builds paths.

Paths are BIDS-like (``{dataset}/{stage}/sub-{subject}/ses-{session}/``); the fields may be
wildcards of Snakemake, so that the rules use the same functions as the code.
"""

from pathlib import Path

FIGURES = ("explanation", "deformation", "details")


def volume(dataset: str, stage: str, subject: str, session: str) -> str:
    """Volume of one visit after one preprocessing stage."""
    name = f"sub-{subject}_ses-{session}"
    label = stage.replace("_", "")  # BIDS: a label is letters and digits
    return f"{dataset}/{stage}/sub-{subject}/ses-{session}/{name}_desc-{label}_T1w.nii.gz"


def quality(dataset: str, subject: str, session: str, suffix: str) -> str:
    """File of one volume's quality control.

    `suffix` is ``json`` (figures), ``jpg`` (planes) or ``npz`` (the brain's asymmetry).
    """
    name = f"sub-{subject}_ses-{session}"
    return f"{dataset}/qc/sub-{subject}/ses-{session}/{name}_qc.{suffix}"


def pair(dataset: str, subject: str, followup: str, baseline: str, suffix: str) -> str:
    """File of one longitudinal pair: `suffix` is ``difference.nii.gz``, ``mask.nii.gz``, ..."""
    name = f"sub-{subject}_ses-{followup}_from-{baseline}_{suffix}"
    return f"{dataset}/pairs/sub-{subject}/{name}"


def critic_weights(dataset: str) -> str:
    """Weights that the critics of a data set start from."""
    return f"{dataset}/critic_weights.safetensors"


def true_field(folder: str | Path, subject: str, session: str, kind: str) -> Path:
    """Displacement field that the demonstration applied: `kind` is ``total`` or ``disease``."""
    return Path(folder) / f"sub-{subject}" / f"ses-{session}_{kind}.nii.gz"


def figure(dataset: str, case: str, name: str, suffix: str) -> str:
    """Picture `name` of `FIGURES`, png or svg; `case`: best, median, worst or sub-{subject}."""
    return f"figures/{dataset}/{case}_{name}.{suffix}"


def model(dataset: str, method: str, seed: int | str, name: str) -> str:
    """File of one trained model: `name` is ``generator.safetensors``, ``scores.parquet``, ..."""
    return f"{dataset}/models/{method}/seed-{seed}/{name}"
