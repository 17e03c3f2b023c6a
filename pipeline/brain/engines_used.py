"""Which engine made which volume, and that those of one data set came from the same ones."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from pipeline.brain.chain import CONVERSION
from pipeline.stage.errors import InputError
from pipeline.stage.wording import number_of
from pipeline.stages import BRAIN_STAGES, STAGES


def volume_table(sidecars: Iterable[tuple[str, str, Mapping[str, Any]]]) -> pd.DataFrame:
    """One row a volume: what became of it, and the engine and version of each stage.

    Parameters
    ----------
    sidecars
        Subject, session and the sidecar of the last stage.

    Returns
    -------
    pandas.DataFrame
        Columns subject, session, status, stage, rule and reason (where and why it was excluded;
        empty otherwise), content (hash of the raw voxels; empty if they could not be read),
        and ``{stage}_engine`` and ``{stage}_version`` (empty where it did not come to the stage),
        of the stages of raw volumes and of any other that one of them went through.
    """
    rows, sidecars = [], list(sidecars)
    for subject, session, sidecar in sidecars:
        excluded = sidecar["status"] == "excluded"
        row = {"subject": subject, "session": session, "status": sidecar["status"]}
        for name in ("stage", "rule", "reason"):
            row[name] = sidecar[name] if excluded else ""
        told = (step["content"] for step in sidecar["steps"] if "content" in step)
        row["content"] = next(told, "")
        for step in sidecar["steps"]:
            row[f"{step['stage']}_engine"] = step["engine"]
            row[f"{step['stage']}_version"] = step["version"]
        rows.append(row)
    columns = ["subject", "session", "status", "stage", "rule", "reason", "content"]
    passed = {step["stage"] for _, _, sidecar in sidecars for step in sidecar["steps"]}
    stages = [name for name in STAGES if name in passed.union(BRAIN_STAGES)]
    columns += [f"{stage}_{what}" for stage in stages for what in ("engine", "version")]
    return pd.DataFrame(rows, columns=columns).fillna("").astype("str")


def _stages(volumes: pd.DataFrame) -> list[str]:
    """Stages that a table of volumes has columns of, in their order."""
    return [name for name in STAGES if f"{name}_engine" in volumes]


def engines_used(volumes: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Tools with their versions by stage, and how many volumes each made.

    Parameters
    ----------
    volumes
        As `volume_table` returns it.
    """
    used = {}
    for stage in _stages(volumes):
        made = (volumes[f"{stage}_engine"] + " " + volumes[f"{stage}_version"]).str.strip()
        counts = made[volumes[f"{stage}_engine"] != ""].value_counts()
        if len(counts):
            used[stage] = {engine: int(count) for engine, count in counts.items()}
    return used


def check_engines(volumes: pd.DataFrame) -> None:
    """Refuse volumes of one data set that came from different engines or versions.

    Parameters
    ----------
    volumes
        As `volume_table` returns it; those that were excluded do not count.

    Raises
    ------
    InputError
        Naming each stage, its engines and how many volumes each made.
    """
    used = volumes[volumes["status"] == "ok"]
    mixed = []
    for stage in _stages(volumes):
        # Not every volume has to be converted.
        made = used if stage != CONVERSION else used[used[f"{stage}_engine"] != ""]
        counts = made.groupby([f"{stage}_engine", f"{stage}_version"]).size()
        if len(counts) > 1:
            told = ", ".join(
                f"{' '.join(engine)}: {number_of(n, 'volume')}" for engine, n in counts.items()
            )
            mixed.append(f"  {stage} ({told})")
    if mixed:
        raise InputError(
            "the volumes come from different engines:\n" + "\n".join(mixed) + "\nRun these stages "
            "again for all (snakemake --forcerun RULE), or allow it with brain.mixed_engines: true"
        )
