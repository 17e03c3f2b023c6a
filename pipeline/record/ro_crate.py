"""``ro-crate-metadata.json``: the results folder as an RO-Crate 1.1, for archives of data.

https://www.researchobject.org/ro-crate/specification/1.1/; the run itself is told as the Process
Run Crate profile asks.
"""

import mimetypes
from collections.abc import Iterable
from pathlib import Path
from typing import Any

METADATA = "ro-crate-metadata.json"
SPECIFICATION = "https://w3id.org/ro/crate/1.1"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
LICENCE = "https://spdx.org/licenses/MIT"
PAPER = "https://doi.org/10.1007/978-3-030-59713-9_71"
TYPES = {
    ".md": "text/markdown",
    ".yaml": "application/yaml",
    ".parquet": "application/vnd.apache.parquet",
}
DESCRIPTIONS = {
    "config.yaml": "the effective configuration, with every default",
    "table1.csv": "Table 1: agreement of predicted and observed change by data set and method",
    "table1.md": "Table 1 for reading",
    "table1_extended.csv": "Table 1 with attributions of a classifier beside",
    "biomarkers.csv": "volumes and lengths: predicted, observed and (demonstration) true change",
    "demo.csv": "how much the true disease fields of the demonstration's test subjects differ",
    "claims.csv": "noise of training and roughness of difference maps, by method",
    "truth.csv": "predicted fields against the fields that the simulation applied",
    "overview.png": "explanations of the median test pairs",
    "provenance.json": "versions, configuration, seeds, devices, tools and hashes",
    "methods.md": "the methods in words",
    "exclusions.csv": "everything left out, by stage and rule, with the reason",
    "generator.safetensors": "weights of a trained generator",
    "scores.parquet": "scores of a model by test pair",
    "cohort.html": "who was studied: what each rule removed, age, sex and grade by split",
    "qc.html": "quality control of the volumes",
}


def _reference(identifier: str) -> dict[str, str]:
    return {"@id": identifier}


def _file(results: Path, path: Path) -> dict[str, Any]:
    kind = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0]
    return {
        "@id": path.relative_to(results).as_posix(),
        "@type": "File",
        "name": path.relative_to(results).as_posix(),
        "description": DESCRIPTIONS.get(path.name, "result of the run"),
        "encodingFormat": kind or "application/octet-stream",
        "contentSize": str(path.stat().st_size),
    }


def describe_crate(run: dict[str, Any], results: Path, files: Iterable[Path]) -> dict[str, Any]:
    """The metadata of a crate of `files` below `results`.

    Parameters
    ----------
    run
        As `pipeline.record.provenance.describe_run` returns it.
    results
        Results folder: the root of the crate.
    files
        Files of the crate, all below `results`.
    """
    described = [_file(results, path) for path in files]
    simulated = [each["title"] for each in run["datasets"].values() if each["simulated"]]
    note = f" Simulated demonstration, not patients: {', '.join(simulated)}." if simulated else ""
    software = run["software"]
    pipeline = {
        "@id": "#pipeline",
        "@type": "SoftwareApplication",
        "name": "DeFI-GAN pipeline",
        "url": PAPER,
        "softwareVersion": f"{software['pipeline']} ({software['commit'] or 'no commit known'})",
    }
    parts = [_reference(entity["@id"]) for entity in described]
    graph = [
        {
            "@id": METADATA,
            "@type": "CreativeWork",
            "about": _reference("./"),
            "conformsTo": _reference(SPECIFICATION),
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": "DeFI-GAN: deformation fields as explanations of disease evidence",
            "description": "Results of one run, from raw studies to Table 1." + note,
            "datePublished": run["created"],
            "license": _reference(LICENCE),
            "conformsTo": _reference(PROFILE),
            "hasPart": parts,
            "mentions": _reference("#run"),
        },
        {
            "@id": LICENCE,
            "@type": "CreativeWork",
            "name": "MIT License",
            "description": "licence of the pipeline; the data of an archive keep their own terms",
        },
        {
            "@id": PROFILE,
            "@type": "CreativeWork",
            "name": "Process Run Crate",
            "version": "0.5",
        },
        {
            "@id": "#run",
            "@type": "CreateAction",
            "name": "Run of the pipeline",
            "description": "Preparation, training and scores; methods.md tells them in words.",
            "instrument": _reference(pipeline["@id"]),
            "endTime": run["created"],
            "result": parts,
        },
        pipeline,
        *described,
    ]
    return {"@context": f"{SPECIFICATION}/context", "@graph": graph}
