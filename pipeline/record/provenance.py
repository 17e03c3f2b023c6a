"""Where results come from: ``provenance.json`` of a model and of a whole run.

Everything is told from files that the run left, so that it can be checked against them.
"""

import platform
import re
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.brain.engines_used import engines_used
from pipeline.dataset.packed import ARRAYS
from pipeline.stage.exclusions import read_exclusions
from pipeline.stage.files import read_json, sha256, write_json
from pipeline.study.config import parse_config
from pipeline.study.config.datasets import AnyDataset

DISTRIBUTION = "defigan-pipeline"
ROOT = Path(__file__).parents[2]


def _git(*arguments: str) -> str | None:
    """What git says of the pipeline's folder; None where there is no git or no repository."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def software() -> dict[str, Any]:
    """The pipeline, its commit, and the versions of Python and of every package it builds on.

    ``dirty`` tells whether tracked files differed from the commit; both are None outside a
    repository.
    """
    changes = _git("status", "--porcelain", "--untracked-files=no")
    needed = [text for text in requires(DISTRIBUTION) if "extra ==" not in text]
    names = sorted(re.match(r"[\w.-]+", text)[0] for text in needed)
    return {
        "pipeline": version(DISTRIBUTION),
        "commit": _git("rev-parse", "HEAD"),
        "dirty": None if changes is None else bool(changes),
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "packages": {name: version(name) for name in names},
    }


def record_model(
    packed: Path,
    training: Path,
    generator: Path,
    destination: Path,
    config: dict[str, Any],
    volumes: Path | None = None,
) -> None:
    """Write the provenance of one trained model.

    Parameters
    ----------
    packed
        Packed data set that it was trained on.
    training
        ``training.json`` of the training: settings, seed, device and versions.
    generator
        Its weights.
    destination
        JSON file written.
    config
        What of the effective configuration the model depends on.
    volumes
        Table of the data set's volumes; films and made images have none.
    """
    indices = [f"{name}.parquet" for name in ("train", "pairs")]
    arrays = [f"{name}.npy" for name in ARRAYS]
    record = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "software": software(),
        "config": config,
        "engines": _engines(volumes),
        "training": read_json(training),
        "inputs_sha256": {name: sha256(packed / name) for name in (*indices, *arrays)},
        "outputs_sha256": {generator.name: sha256(generator)},
    }
    write_json(record, destination)


def _engines(volumes: Path | None) -> dict[str, dict[str, int]]:
    """Tools by stage of the volumes of a data set; films and made images have none."""
    return engines_used(pd.read_parquet(volumes)) if volumes else {}


def _counts(frame: pd.DataFrame, column: str) -> dict[str, int]:
    return {str(value): int(count) for value, count in frame[column].value_counts().items()}


def _describe_cohort(folder: Path, kind: str) -> dict[str, Any]:
    """Who was studied, and how the volumes were prepared."""
    volumes = folder / "volumes.parquet" if kind == "brain" else None
    return read_json(folder / "cohort.json") | {"engines": _engines(volumes)}


def _describe_dataset(results: Path, name: str, dataset: AnyDataset) -> dict[str, Any]:
    folder = results / name
    train = pd.read_parquet(folder / "packed/train.parquet")
    pairs = pd.read_parquet(folder / "packed/pairs.parquet")
    excluded = read_exclusions(folder / "exclusions.csv")
    about = dataset.describe()
    return {
        "source": dataset.source,
        "title": about["title"],
        "disease": about["disease"],
        "simulated": about["data"] != "real",
        "training_images": {
            "healthy": int((train["label"] == 0).sum()),
            "diseased": int((train["label"] == 1).sum()),
        },
        "pairs": _counts(pairs, "split"),
        "excluded": _counts(excluded, "stage"),
        "exclusions_sha256": sha256(folder / "exclusions.csv"),
        "cohort": None if about["data"] == "toy" else _describe_cohort(folder, about["modality"]),
    }


def describe_run(
    config: dict[str, Any], results: Path, models: Iterable[Path], files: Iterable[Path]
) -> dict[str, Any]:
    """Facts of a finished run.

    Parameters
    ----------
    config
        The effective configuration.
    results
        Results folder.
    models
        ``provenance.json`` of every model.
    files
        Tables, pages and pictures of the run.

    Returns
    -------
    What ``provenance.json`` of the run holds. The images of the archive are told by number and
    size, its tables by hash.
    """
    described = {}
    for path in models:
        record = read_json(path)
        training = record["training"]
        described[str(path.parent.relative_to(results))] = {
            "seed": training["settings"]["seed"],
            "device": training["device"],
            "best_epoch": training["best_epoch"],
            "commit": record["software"]["commit"],
            "generator_sha256": record["outputs_sha256"]["generator.safetensors"],
        }
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "software": software(),
        "config": config,
        "seeds": config["seeds"],
        "datasets": {
            name: _describe_dataset(results, name, dataset)
            for name, dataset in parse_config(config).datasets.items()
        },
        "models": described,
        "files_sha256": {str(path.relative_to(results)): sha256(path) for path in files},
    }
