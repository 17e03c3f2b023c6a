"""From an archive to the networks: what each step removed, and who is left (a CONSORT diagram)."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from pipeline.cohort.manifest import SPLITS
from pipeline.stage.rules import Rule

TWICE = ("Listed twice, or of several subjects", {Rule.REPEATED, Rule.COPY, Rule.SHARED_CONTENT})
OTHER_CLASS = ("Neither healthy nor diseased", {Rule.NO_DIAGNOSIS, Rule.OTHER_CLASS})
NOT_CHOSEN = ("Another image of the visit is used", {Rule.NOT_CHOSEN})
UNPAIRED = ("In no pair, or in no list of the splits", {Rule.NO_PAIR, Rule.NO_SPLIT})
# Steps in the order in which an ingest takes them, with the rules that they apply. A rule that none
# of them names belongs to the first.
STEPS = {
    "copd": (
        ("No film that can be read, or without patient, study or date", set()),
        TWICE,
        ("Not a PA film", {Rule.OTHER_MODALITY, Rule.OTHER_VIEW, Rule.UNKNOWN_VIEW}),
        ("Another PA film in the study", {Rule.NOT_CHOSEN, Rule.SEVERAL_FILMS}),
        ("Lung transplant", {Rule.TRANSPLANT}),
        (
            "No spirometry of its own within the day limit",
            {Rule.NO_TEST, Rule.MATCHED_OTHERWISE},
        ),
        UNPAIRED,
    ),
    "adni": (
        ("Of another protocol, or without subject, visit or date", set()),
        TWICE,
        ("No diagnosis of MCI or AD", OTHER_CLASS[1]),
        ("No usable image", {Rule.NO_IMAGE}),
        ("Another exam of the visit is used", {Rule.NOT_CHOSEN}),
        UNPAIRED,
    ),
    "bids": (
        ("Not named as the T1w image of a visit", set()),
        TWICE,
        OTHER_CLASS,
        NOT_CHOSEN,
        UNPAIRED,
    ),
    "manifest": (
        ("No such file, or an impossible value", set()),
        TWICE,
        OTHER_CLASS,
        UNPAIRED,
    ),
}
UNITS = {"copd": "film", "adni": "exam", "bids": "image", "manifest": "image"}
# The same of the stages after the ingest.
PREPARATION = "Could not be prepared"
LATER_STEPS = (
    (PREPARATION, set()),
    ("Left out by the quality control", {Rule.SUSPECT, Rule.DROPPED}),
    ("The same image as another one", {Rule.COPY, Rule.SHARED_CONTENT}),
)


@dataclass(frozen=True)
class Removal:
    """What one step removed.

    Attributes
    ----------
    title
        Of the step.
    images, subjects
        How many images it removed, and subjects of whom no image was left after it.
    rules
        Title of a rule and number of images, the most frequent first.
    images_left, subjects_left
        What was left after it.
    """

    title: str
    images: int
    subjects: int
    rules: list[tuple[str, int]]
    images_left: int
    subjects_left: int


def trace_removals(
    source: str, manifest: pd.DataFrame, exclusions: pd.DataFrame
) -> tuple[int, int, list[Removal]]:
    """Follow the images of an archive through the steps that removed some.

    Parameters
    ----------
    source
        Kind of archive, a key of `STEPS`.
    manifest
        Images that the ingest chose; columns subject and session.
    exclusions
        Everything left out, by the ingest and by later stages; columns `EXCLUSION_COLUMNS`.

    Returns
    -------
    images, subjects : int
        What the archive holds. Files without a subject count as images alone.
    removals : list of Removal
        In the order of the steps, without those that removed nothing.
    """
    steps, first_later = [*STEPS[source], *LATER_STEPS], len(STEPS[source])
    ingest = exclusions[(exclusions["stage"] == "ingest") & (exclusions["item"] == UNITS[source])]
    later = exclusions[(exclusions["stage"] != "ingest") & (exclusions["item"] != "pair")]
    removed = pd.concat(
        [
            ingest.assign(step=_steps(ingest["rule"], STEPS[source])),
            later.assign(step=_steps(later["rule"], LATER_STEPS) + first_later),
        ]
    )
    failed = pd.MultiIndex.from_frame(later[["subject", "session"]])
    kept = manifest[~pd.MultiIndex.from_frame(manifest[["subject", "session"]]).isin(failed)]
    images = pd.concat([removed, kept.assign(step=len(steps), rule="")], ignore_index=True)
    removals = []
    left = images
    for number, (title, _) in enumerate(steps):
        of_step = images[images["step"] == number]
        if of_step.empty:
            continue
        before, left = _subjects(left), images[images["step"] > number]
        counts = of_step["rule"].value_counts()
        removals.append(
            Removal(
                title=title,
                images=len(of_step),
                subjects=before - _subjects(left),
                rules=[(Rule(rule).title, int(count)) for rule, count in counts.items()],
                images_left=len(left),
                subjects_left=_subjects(left),
            )
        )
    return len(images), _subjects(images), removals


def _steps(rules: pd.Series, steps: Sequence[tuple[str, set[Rule]]]) -> pd.Series:
    """Number of the step to which each rule belongs."""
    number_of = {rule: number for number, (_, named) in enumerate(steps) for rule in named}
    return rules.map(number_of).fillna(0).astype(int)


def describe_splits(
    manifest: pd.DataFrame, pairs: pd.DataFrame, exclusions: pd.DataFrame
) -> dict[str, dict[str, str]]:
    """Who is in each split: a table of text for people.

    Parameters
    ----------
    manifest, pairs
        Images and pairs that the ingest chose.
    exclusions
        Everything left out; images and pairs of later stages among it are not counted.

    Returns
    -------
    dict
        Text by split, by row: images, subjects, pairs, classes, age and sex of the subjects (at
        their first image), field strengths, GOLD grades. Rows that no split has anything for are
        left out.
    """
    later = exclusions[exclusions["stage"] != "ingest"]
    lost = pd.MultiIndex.from_frame(later.loc[later["item"] != "pair", ["subject", "session"]])
    images = manifest[~pd.MultiIndex.from_frame(manifest[["subject", "session"]]).isin(lost)]
    lost_pairs = later.loc[later["item"] == "pair", ["subject", "baseline", "session"]]
    pair_of = pd.MultiIndex.from_frame(pairs[["subject", "baseline", "followup"]])
    pairs = pairs[~pair_of.isin(pd.MultiIndex.from_frame(lost_pairs))]
    rows: dict[str, dict[str, str]] = {}
    for split in SPLITS:
        of_split = images[images["split"] == split]
        people = of_split.sort_values("day").drop_duplicates("subject")
        facts = {
            "images": f"{len(of_split)}",
            "subjects": f"{len(people)}",
            "pairs": f"{(pairs['split'] == split).sum()}" if split != "train" else "",
            "images by class": _shares(of_split["diagnosis"]),
            "age, years": _ages(people["age"]),
            "sex": _shares(people["sex"].replace("", "unknown")),
            "field strength, tesla": _shares(of_split["field_strength"].dropna()),
            "GOLD grade of the diseased images": _shares(
                of_split.loc[of_split["label"] == 1, "grade"].replace("", "unknown")
            ),
        }
        for name, text in facts.items():
            rows.setdefault(name, {})[split] = text
    if not (images["grade"] != "").any():
        del rows["GOLD grade of the diseased images"]
    return {name: texts for name, texts in rows.items() if any(texts.values())}


def _subjects(images: pd.DataFrame) -> int:
    return images.loc[images["subject"] != "", "subject"].nunique()


def _shares(values: pd.Series) -> str:
    counts = values.value_counts().sort_index()
    return ", ".join(f"{name}: {n} ({100 * n / len(values):.0f} %)" for name, n in counts.items())


def _ages(ages: pd.Series) -> str:
    known = ages.dropna()
    if known.empty:
        return "unknown"
    spread = f" ± {known.std():.1f}" if len(known) > 1 else ""
    unknown = f", {len(ages) - len(known)} unknown" if len(known) < len(ages) else ""
    return f"{known.mean():.1f}{spread} ({known.min():.0f} to {known.max():.0f}){unknown}"
