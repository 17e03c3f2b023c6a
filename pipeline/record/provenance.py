"""Where results come from: ``provenance.json`` of a model and of a whole run.

Everything is told from files that the run left, so that it can be checked against them.
"""

import hashlib
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
from pipeline.cohort.ingest import read_cohort
from pipeline.dataset.packed import ARRAYS
from pipeline.stage.files import read_json, write_json

DISTRIBUTION = "defigan-pipeline"
ROOT = Path(__file__).parents[2]


def sha256(path: Path) -> str:
    """Hash of a file's contents."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    packed: Path, training: Path, generator: Path, destination: Path, config: dict[str, Any]
) -> None:
    """Write the provenance of one trained model.

    Parameters
    ----------
    packed
        Packed data set that it was trained on; the table of its volumes lies beside.
    training
        ``training.json`` of the training: settings, seed, device and versions.
    generator
        Its weights.
    destination
        JSON file written.
    config
        What of the effective configuration the model depends on.
    """
    indices = [f"{name}.parquet" for name in ("train", "pairs")]
    arrays = [f"{name}.npy" for name in ARRAYS]
    record = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "software": software(),
        "config": config,
        "engines": _engines(packed.parent),
        "training": read_json(training),
        "inputs_sha256": {name: sha256(packed / name) for name in (*indices, *arrays)},
        "outputs_sha256": {generator.name: sha256(generator)},
    }
    write_json(record, destination)


def _engines(dataset: Path) -> dict[str, dict[str, int]]:
    """Tools by stage of the volumes of a data set; films and made images have none."""
    volumes = dataset / "volumes.parquet"
    return engines_used(pd.read_parquet(volumes)) if volumes.is_file() else {}


def _counts(frame: pd.DataFrame, column: str) -> dict[str, int]:
    return {str(value): int(count) for value, count in frame[column].value_counts().items()}


def _archive(dataset: dict[str, Any], manifest: pd.DataFrame) -> dict[str, Any]:
    """The archive as it was read: hashes of its tables, number and size of its images."""
    tables = []
    for key, path in dataset["archive"].items():
        if path is not None and key in ("tables", "spirometry", "films_table"):
            path = Path(path)
            tables += sorted(path.glob("*.csv")) if path.is_dir() else [path]
    images = [Path(path) for path in manifest["path"]]
    return {
        "tables_sha256": {str(path): sha256(path) for path in tables},
        "images": len(images),
        "image_bytes": sum(path.stat().st_size for path in images),
    }


def _describe_cohort(results: Path, name: str, dataset: dict[str, Any]) -> dict[str, Any]:
    """Who was studied, and how the volumes were prepared; a made data set has no cohort."""
    folder = results / name / "ingest"
    cohort = read_cohort(folder)
    return {
        "archive": _archive(dataset, cohort.manifest),
        "subjects": int(cohort.manifest["subject"].nunique()),
        "images": len(cohort.manifest),
        "engines": _engines(results / name),
        "manifest_sha256": sha256(folder / "manifest.parquet"),
    }


def _describe_dataset(results: Path, name: str, dataset: dict[str, Any]) -> dict[str, Any]:
    folder = results / name
    train = pd.read_parquet(folder / "packed/train.parquet")
    pairs = pd.read_parquet(folder / "packed/pairs.parquet")
    excluded = pd.read_csv(folder / "exclusions.csv", dtype=str)
    made = dataset["modality"] == "image"
    return {
        "source": dataset["source"],
        "simulated": made or dataset.get("demo") is not None,
        "training_images": {
            "healthy": int((train["label"] == 0).sum()),
            "diseased": int((train["label"] == 1).sum()),
        },
        "pairs": _counts(pairs, "split"),
        "excluded": _counts(excluded, "stage"),
        "exclusions_sha256": sha256(folder / "exclusions.csv"),
        "cohort": None if made else _describe_cohort(results, name, dataset),
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
            for name, dataset in config["datasets"].items()
        },
        "models": described,
        "files_sha256": {str(path.relative_to(results)): sha256(path) for path in files},
    }
