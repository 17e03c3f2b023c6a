"""All volumes of a data set side by side: which are suspect, and which are left out."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.brain.template import LOWEST_OVERLAP as LOWEST_TEMPLATE_OVERLAP
from pipeline.cohort.ingest import read_cohort
from pipeline.qc.asymmetry import LOWEST_LIKENESS, likeness, load_asymmetry, mirrored
from pipeline.qc.overrides import read_overrides, subject_key
from pipeline.qc.review_page import write_page
from pipeline.stage import layout
from pipeline.stage.files import read_json, write_csv
from pipeline.stage.rules import Rule

log = logging.getLogger(__name__)

# Of a modified z-score, after Iglewicz and Hoaglin (How to Detect and Handle Outliers, 1993).
LARGEST_Z = 3.5
Z_PER_MAD = 1.4826  # the median absolute deviation of a normal distribution is its sd / 1.4826
# The fewest volumes that tell what is usual; smaller groups are joined.
SMALLEST_GROUP = 8
# Dice of the stripped and the refined brain: 0.96 to 0.98 for ROBEX and BET where both are right.
LOWEST_OVERLAP = 0.9
CHECKS = ("empty_planes", "brain_volume", "correlation", "overlap", "orientation")
COLUMNS = [
    *("subject", "session", "split", "diagnosis", "site", "field_strength"),
    *("decision", "stage", "rule", "reason", "suspect"),
    *("litres", "litres_z", "correlation", "correlation_z", "overlap", "template_overlap"),
    *("empty_planes", "likeness", "orientation"),
]
WORST_FIRST = ("fell out", "excluded", "suspect", "kept", "used")


def robust_z(values: pd.Series, groups: pd.DataFrame) -> pd.Series:
    """Robust z-scores of a figure within groups: (value - median) / (1.4826 MAD).

    Parameters
    ----------
    values
        The figure; missing values have no score.
    groups
        With the index of `values`, columns from the widest grouping to the finest (field strength,
        then site within it). A value is compared within the finest group of at least 8 values, if
        need be with all; none has a score if all together are fewer.

    Returns
    -------
    pandas.Series
        0 for all in a group whose deviations are 0.
    """
    scores = pd.Series(np.nan, index=values.index)
    known = values.dropna()
    keys = [groups.iloc[:, :depth].astype(str).agg("|".join, axis=1) for depth in (1, 2)]
    everyone = pd.Series("", index=values.index)
    for key in (everyone, *keys):  # finer groups overwrite
        grouped = known.groupby(key.loc[known.index])
        centre = grouped.transform("median")
        deviation = (known - centre).abs()
        mad = deviation.groupby(key.loc[known.index]).transform("median")
        score = ((known - centre) / (Z_PER_MAD * mad)).where(mad > 0, 0.0)
        enough = grouped.transform("size") >= SMALLEST_GROUP
        scores.loc[known.index[enough]] = score[enough]
    return scores


def find_suspects(volumes: pd.DataFrame) -> pd.DataFrame:
    """Add robust z-scores, and in `suspect` a list of the checks that each volume fails.

    Parameters
    ----------
    volumes
        Columns site, field_strength and the figures of `pipeline.qc.check.check_volume`.
    """
    groups = volumes[["field_strength", "site"]]
    volumes = volumes.assign(
        litres_z=robust_z(volumes["litres"], groups),
        correlation_z=robust_z(volumes["correlation"], groups),
    )
    failed = pd.DataFrame(
        {
            "empty_planes": volumes["empty_planes"] != "",
            "brain_volume": volumes["litres_z"].abs() > LARGEST_Z,
            "correlation": volumes["correlation_z"] < -LARGEST_Z,
            "overlap": (volumes["overlap"] < LOWEST_OVERLAP)
            | (volumes["template_overlap"] < LOWEST_TEMPLATE_OVERLAP),
            "orientation": volumes["orientation"] != "",
        }
    )
    suspect = [[check for check in CHECKS if row[check]] for row in failed.to_dict("records")]
    return volumes.assign(suspect=suspect)


def decide(
    volumes: pd.DataFrame,
    exclude: list[str],
    keep: dict,
    drop: dict,
    source: str,
) -> pd.DataFrame:
    """Add `decision`, and rule and reason of those left out.

    A volume that a stage could not process fell out, whatever the lists say. Else the user's lists
    decide; else a suspect is excluded if one of its checks is in `exclude`, and otherwise only
    listed.
    """
    key = subject_key(source)
    decisions = []
    for row in volumes.itertuples():
        volume = (key(row.subject), row.session.lower())
        excluding = [check for check in row.suspect if check in exclude]
        rule, reason = row.rule, row.reason
        if row.status == "excluded":
            decision = "fell out"
        elif volume in drop:
            decision, rule, reason = "excluded", Rule.DROPPED, "on the drop list"
            reason += f": {drop[volume]}" if drop[volume] else ""
        elif volume in keep:
            decision = "kept" if row.suspect else "used"
            reason = keep[volume] if row.suspect else ""
        elif excluding:
            decision, rule = "excluded", Rule.SUSPECT
            reason = "suspect: " + ", ".join(excluding).replace("_", " ")
        else:
            decision = "suspect" if row.suspect else "used"
        decisions.append((decision, rule, reason))
    columns = ["decision", "rule", "reason"]
    decided = pd.DataFrame(decisions, index=volumes.index, columns=columns)
    stages = volumes["stage"].where(decided["decision"] == "fell out", "")
    return volumes.assign(**decided, stage=stages)


def review_volumes(
    results: Path,
    dataset: str,
    table: Path,
    page: Path,
    *,
    source: str,
    about: dict[str, Any],
    exclude: list[str],
    keep: Path | None,
    drop: Path | None,
) -> None:
    """Judge the volumes of a data set; write the table and the page.

    Parameters
    ----------
    results, dataset
        Results folder and data set; figures and pictures are found by `pipeline.stage.layout`.
    table
        CSV written, columns `COLUMNS`, a row a volume, worst first. `decision` is ``used``,
        ``suspect`` (used, but look at it), ``kept`` (a suspect on the keep list), ``excluded`` or
        ``fell out`` (a stage could not process it).
    page
        HTML page written; the pictures stay in their files.
    source
        Kind of archive, which tells how subjects are named.
    about
        ``title``, ``disease`` and ``data`` of the data set, which the page tells.
    exclude
        Checks (`CHECKS`) whose suspects are left out.
    keep, drop
        Tables of the user, see `read_overrides`.

    Raises
    ------
    InputError
        If a table of the user is wrong.
    """
    kept, dropped = read_overrides(keep, drop, subject_key(source))
    manifest = read_cohort(results / dataset / "ingest").manifest
    rows = [
        read_json(results / layout.quality(dataset, row.subject, row.session, "json"))
        for row in manifest.itertuples()
    ]
    figures = pd.DataFrame(rows, index=manifest.index)
    figures["empty_planes"] = [" ".join(axes or []) for axes in figures["empty_planes"]]
    figures["orientation"] = figures["orientation"].fillna("")
    figures = figures.join(compare_sides(results, dataset, manifest))
    turned = figures[["orientation", "sides"]].agg(
        lambda told: "; ".join(filter(None, told)), axis=1
    )
    figures["orientation"] = turned
    numbers = ["litres", "correlation", "overlap", "template_overlap"]
    figures[numbers] = figures[numbers].astype(float)
    volumes = pd.concat([manifest, figures], axis=1)
    volumes = decide(find_suspects(volumes), exclude, kept, dropped, source)
    _report_unknown(volumes, source, {"keep": kept, "drop": dropped})
    volumes = _worst_first(volumes)
    volumes["suspect"] = [" ".join(checks) for checks in volumes["suspect"]]
    volumes = volumes[COLUMNS].round({"litres_z": 2, "correlation_z": 2, "likeness": 2})
    write_csv(volumes, table)
    write_page(volumes, dataset, page, about)


def compare_sides(results: Path, dataset: str, manifest: pd.DataFrame) -> pd.DataFrame:
    """Compare the left and right of each subject's sessions.

    Returns
    -------
    pandas.DataFrame
        With the index of `manifest`: ``likeness``, the mean correlation of a brain's asymmetry with
        that at the subject's other sessions (missing if there is none), and ``sides``, ``""`` or
        the sessions against which left and right seem exchanged.
    """
    compared = pd.DataFrame({"likeness": np.nan, "sides": ""}, index=manifest.index)
    for subject, visits in manifest.groupby("subject"):
        if len(visits) == 1:
            continue
        files = [
            results / layout.quality(dataset, subject, session, "npz")
            for session in visits["session"]
        ]
        alike = likeness([load_asymmetry(path) for path in files])
        compared.loc[visits.index, "likeness"] = pd.DataFrame(alike).mean(axis=1).to_numpy()
        for number in np.flatnonzero(mirrored(alike)):
            others = visits["session"][alike[number] < -LOWEST_LIKENESS]
            told = f"left and right seem exchanged against {', '.join(others)}"
            compared.loc[visits.index[number], "sides"] = told
    return compared


def _worst_first(volumes: pd.DataFrame) -> pd.DataFrame:
    rank = volumes["decision"].map(WORST_FIRST.index)
    worst = volumes[["litres_z", "correlation_z"]].abs().max(axis=1).fillna(0)
    order = pd.DataFrame({"rank": rank, "checks": -volumes["suspect"].str.len(), "z": -worst})
    return volumes.loc[order.sort_values(list(order), kind="stable").index]


def _report_unknown(volumes: pd.DataFrame, source: str, lists: dict[str, dict]) -> None:
    """A list may be longer than the archive, but a slip of the pen should not pass unseen."""
    key = subject_key(source)
    known = {(key(row.subject), row.session.lower()) for row in volumes.itertuples()}
    for name, listed in lists.items():
        for subject, session in sorted(listed.keys() - known, key=str):
            log.info("the %s list names %s %s, which is not studied", name, subject, session)


def read_review(table: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Rule and reason of the volumes that the review excluded, by subject and session."""
    volumes = pd.read_csv(table, dtype=str, keep_default_na=False)
    excluded = volumes[volumes["decision"] == "excluded"]
    return {
        (row.subject, row.session): {"rule": row.rule, "reason": row.reason}
        for row in excluded.itertuples()
    }
