"""The page of a cohort: who was studied, who was not, and by which rule."""

from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader

from pipeline.cohort.films import many_lost
from pipeline.cohort.flow import UNITS, describe_splits, trace_removals
from pipeline.cohort.ingest import read_cohort
from pipeline.cohort.manifest import SPLITS
from pipeline.stage.exclusions import read_exclusions
from pipeline.stage.files import atomic_path


def write_cohort_page(
    ingest: Path,
    exclusions: Path,
    page: Path,
    *,
    source: str,
    about: dict[str, Any],
    differences: pd.DataFrame | None = None,
) -> None:
    """Write one HTML file in the style of a CONSORT diagram; it needs nothing beside it.

    Parameters
    ----------
    ingest
        Folder of the ingest.
    exclusions
        Table of everything left out, by the ingest and by the stages after it.
    page
        HTML file written.
    source
        Kind of the archive.
    about
        ``title``, ``disease`` and ``data`` of the data set; the page says whether it is simulated.
    differences
        As of `pipeline.cohort.shared_list.compare_lists`, where the study replays a list.
    """
    cohort = read_cohort(ingest)
    excluded = read_exclusions(exclusions)
    images, subjects, removals = trace_removals(source, cohort.manifest, excluded)
    lost = cohort.exclusions.loc[cohort.exclusions["item"] == "film", "rule"]
    template = Environment(
        loader=PackageLoader("pipeline.cohort", "."), autoescape=True, trim_blocks=True
    ).get_template("page.html")
    text = template.render(
        about=about,
        unit=UNITS[source],
        images=images,
        subjects=subjects,
        removals=removals,
        splits=SPLITS,
        rows=describe_splits(cohort.manifest, cohort.pairs, excluded),
        names=_names(cohort.manifest),
        differences=None if differences is None else differences.to_dict("records"),
        warnings=many_lost([*lost, *[""] * len(cohort.manifest)]),
    )
    with atomic_path(page) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _names(manifest: pd.DataFrame) -> list[tuple[str, str]]:
    """Names in the archive that became others: ``subject`` or ``subject, session``, and label."""
    subjects = manifest.drop_duplicates("subject")
    renamed = [(row.archive_subject, f"sub-{row.subject}") for row in subjects.itertuples()]
    for row in manifest.itertuples():
        name = f"{row.archive_subject or row.subject}, {row.archive_session}"
        renamed.append((row.archive_session and name, f"sub-{row.subject}, ses-{row.session}"))
    return [(name, label) for name, label in renamed if name]
