"""The record of a finished run: ``provenance.json``, ``methods.md`` and the RO-Crate."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.record.methods_text import methods_text
from pipeline.record.provenance import describe_run
from pipeline.record.ro_crate import METADATA, describe_crate
from pipeline.stage.files import atomic_path, write_json


def record_run(
    config: dict[str, Any], results: Path, models: Sequence[Path], files: Sequence[Path]
) -> None:
    """Write the record of a run into the results folder.

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
    """
    run = describe_run(config, results, models, files)
    provenance, methods = results / "provenance.json", results / "methods.md"
    write_json(run, provenance)
    with atomic_path(methods) as temporary:
        temporary.write_text(methods_text(run), encoding="utf-8")
    weights = [path.with_name("generator.safetensors") for path in models]
    crate = describe_crate(run, results, [*files, provenance, methods, *models, *weights])
    write_json(crate, results / METADATA)
