"""The page that tells how well the engines do (`pipeline.measure.engine_agreement`)."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.brain.engines import ENGINES, Choice
from pipeline.measure.processor import processor_name


def installed_engines(stage: str) -> dict[str, str]:
    """Version of each engine of a stage that can be used here."""
    probed = {name: engine.probe() for name, engine in ENGINES[stage].items()}
    return {name: version for name, version in probed.items() if version is not None}


def markdown_table(rows: list[dict[str, Any]]) -> str:
    """Rows as a table in Markdown; the keys of the first are its head."""
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(row[column]) for column in columns) + " |" for row in rows]
    return "\n".join(lines)


def _percent(share: float) -> str:
    return "-" if np.isnan(share) else f"{100 * share:.1f} %"


def _each(values: pd.Series, digits: int) -> str:
    return " ".join("-" if np.isnan(value) else f"{value:.{digits}f}" for value in values)


def _cost_of(runs: pd.DataFrame) -> dict[str, str]:
    return {
        "seconds": f"{runs['seconds'].mean():.1f} ({runs['seconds'].max():.1f})",
        "memory (MB)": f"{runs['megabytes'].max():.0f}",
    }


def engines_page(
    figures: pd.DataFrame,
    costs: pd.DataFrame,
    removals: pd.DataFrame,
    engines: Mapping[str, Choice],
    scans_made: Iterable[Any],
    noise: float,
) -> str:
    """Text of the page (Markdown): figures a scan, costs a stage, removals of the skull."""
    used = [
        {"stage": stage, "engine": engine.name, "version": engine.version}
        for stage, engine in engines.items()
    ]
    scans = [
        {
            "scan": number,
            "head": scan.head,
            "turned by (degrees, x y z)": " ".join(f"{angle:g}" for angle in scan.rotation),
            "moved by (mm)": " ".join(f"{shift:g}" for shift in scan.shift),
            "axes": scan.axes,
            "voxels (mm)": " x ".join(f"{size:g}" for size in scan.voxel_mm),
            "field": f"{np.exp(-scan.field):.2f} to {np.exp(scan.field):.2f}",
        }
        for number, scan in enumerate(scans_made, start=1)
    ]
    measured = [
        {
            "scan": row.scan,
            "brain kept by the crop": _percent(row.brain_kept),
            "variation in white matter: head itself": _percent(row.cv_truth),
            "before N4": _percent(row.cv_before),
            "after N4": _percent(row.cv_after),
            "correlation with the template, before": f"{row.correlation_before:.3f}",
            "after": f"{row.correlation_after:.3f}",
            "error of the pose (degrees)": f"{row.degrees:.2f}",
            "(mm)": f"{row.mm:.2f}",
            "Dice, ROBEX": f"{row.dice_skull:.3f}",
            "Dice, then BET": f"{row.dice_skull_refine:.3f}",
        }
        for row in figures.itertuples()
    ]
    cost = [{"stage": stage, **_cost_of(of)} for stage, of in costs.groupby("stage", sort=False)]
    removed = [
        {
            "skull": skull,
            "skull_refine": refine,
            "Dice, scan by scan": _each(of["dice"], 3),
            "surface distance (mm), scan by scan": _each(of["distance_mm"], 1),
            **_cost_of(of),
        }
        for (skull, refine), of in removals.groupby(["skull", "skull_refine"], sort=False)
    ]
    installed = [
        {"stage": stage, "engine": name, "version": version}
        for stage in ("skull", "skull_refine")
        for name, version in installed_engines(stage).items()
    ]
    return f"""# What the engines do

Made by `python -m pipeline measure-engines docs/engine-measurements.md`. Two packaged real heads
with brain masks are scanned anew, in several poses, orientations, voxel sizes and receive fields,
and the brain stages run on these scans as the workflow runs them. The figures tell how well the
engines do what the tools are for. They do not compare them with FSL or ANTs: where those are
installed, the same command with `--engine auto` measures them.

{markdown_table(used)}

## Scans

The field is the range of the factor by which it changes the intensities; noise has
{100 * noise:g} % of white matter's intensity.

{markdown_table(scans)}

## Agreement

{markdown_table(measured)}

- **Brain kept**: share of the packaged brain mask in the field of view after the crop.
- **Variation**: coefficient of variation of the intensities in sure white matter, of the head that
  has no field of its own; that of the head itself, without field and noise, is the floor.
- **Correlation** with the template inside its head, both smoothed (as the stage tells it), with
  the scan where the scanner left it and after registration.
- **Error of the pose**: the registration against the pose that was applied, as an angle, and as the
  largest distance at the corners of a box around the brain. For the head that is not the template
  the truth is the registration of the same head without pose, field and noise.
- **Dice** of the mask with the packaged brain mask. ROBEX's own head is part of its model.

## Removing the skull

Every engine of `skull` that is installed, on the registered scans, and after it every engine
of `skull_refine`. Seconds and memory are those of the last stage named.

{markdown_table(removed)}

- **Surface distance**: 95th percentile of the distances between the surfaces of the mask and the
  packaged one, in both directions.
- A dash stands for a scan on which the stage failed.

{markdown_table(installed)}

## Cost

Processor seconds a volume, mean (largest), and peak memory, of the stage's process and its tools,
one thread, on {processor_name()}.

{markdown_table(cost)}
"""
