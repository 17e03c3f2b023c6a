"""What happened to an image: the JSON file beside it.

The sidecar is in place before its image is, so whoever sees an image finds its sidecar. Hence no
rule declares one: files that Snakemake has to look after cost planning time and memory.

A volume that a tool cannot process is a result, not a crash: the stage leaves an empty image file
and a sidecar with rule and reason, later stages pass both on, and packing lists them in the
exclusions.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.stage.errors import ImageError, InputError
from pipeline.stage.files import atomic_path, read_json, write_json
from pipeline.stage.limits import time_limit
from pipeline.stage.rules import Rule

log = logging.getLogger(__name__)


def sidecar_path(image: Path) -> Path:
    """Path of the sidecar of `image` (``X.nii.gz`` -> ``X.json``)."""
    return image.with_name(image.name.removesuffix(".gz").rsplit(".", 1)[0] + ".json")


def read_sidecar(image: Path) -> dict[str, Any]:
    """Status and processing steps of `image`.

    Raises
    ------
    InputError
        If there is none, so somebody removed it.
    """
    path = sidecar_path(image)
    try:
        return read_json(path)
    except FileNotFoundError:
        raise InputError(
            f"{path}: missing; remove {image.name} beside it as well, then both are made again"
        ) from None


def has_sidecar(image: Path) -> bool:
    """Whether a stage left `image`; JSON files lie beside the images of BIDS datasets, too."""
    try:
        told = read_json(sidecar_path(image))
    except (OSError, ValueError):
        return False
    return isinstance(told, dict) and {"status", "stage", "steps"} <= told.keys()


def write_sidecar(image: Path, stage: str, steps: list[dict]) -> None:
    """Describe an `image` that is fine; for the end of the block that puts it in place."""
    write_json({"status": "ok", "stage": stage, "steps": steps}, sidecar_path(image))


def exclude_image(
    destination: Path, stage: str, *, rule: Rule, reason: str, steps: list[dict]
) -> None:
    """Leave an empty file, and rule and reason, in place of an image that cannot be used."""
    with atomic_path(destination) as temporary:
        temporary.touch()
        told = {"status": "excluded", "stage": stage, "rule": Rule(rule), "reason": reason}
        write_json({**told, "steps": steps}, sidecar_path(destination))


def run_image_stage(
    stage: str,
    function: Callable[..., dict[str, Any]],
    source: Path,
    destination: Path,
    settings: dict[str, Any],
    first: bool = False,
    minutes: float | None = None,
) -> None:
    """Run one stage on one image and write its sidecar.

    Parameters
    ----------
    stage
        Name of the stage in sidecars and exclusions.
    function
        ``function(source, destination, **settings)`` writes the image and returns its provenance
        (engine, version, facts); it raises `ImageError` for an image that cannot be processed.
    source, destination
        Image files.
    settings
        Keyword arguments of `function`.
    first
        The source is a raw image, which has no sidecar of ours.
    minutes
        Time limit of the job; see `pipeline.stage.limits`.
    """
    before = {"status": "ok", "steps": []} if first else read_sidecar(source)
    if before["status"] == "excluded":
        told = {name: before[name] for name in ("stage", "rule", "reason", "steps")}
        exclude_image(destination, **told)
        return
    try:
        with time_limit(stage, minutes), atomic_path(destination) as temporary:
            facts = function(source, temporary, **settings)
            if not temporary.is_file() or temporary.stat().st_size == 0:
                tool = facts.get("engine", "the tool")
                raise ImageError(Rule.EMPTY_RESULT, f"{tool} wrote no image")
            write_sidecar(destination, stage, [*before["steps"], {"stage": stage, **facts}])
    except ImageError as error:
        log.warning("%s: %s is excluded: %s", stage, destination.name, error)
        exclude_image(destination, stage, **error.exclusion, steps=before["steps"])
