"""From an archive to the networks: what each rule removed, and who is left (a CONSORT diagram)."""

import re
from dataclasses import dataclass

import pandas as pd

from pipeline.cohort.manifest import SPLITS

OTHER_CLASS = ("Neither healthy nor diseased", "no value in the column|.* is neither healthy nor")
UNPAIRED = ("In no pair, or in no list of the splits", "visit of a|the subject is in no list")
# Rules in the order in which the ingest applies them: what an exclusion means, and the beginnings
# of its reasons. What none of them names was removed by the first.
RULES = {
    "copd": (
        "No film that can be read, or without patient, study or date",
        ("Not a PA film", "not a PA film|not known to be a PA film|not a film by its modality"),
        ("Another PA film of the study", "the study has an earlier PA film"),
        ("Lung transplant", "the subject has a lung transplant"),
        (
            "No spirometry of its own within the day limit",
            "the subject has no usable spirometry|(no usable|every) spirometry within",
        ),
        (
            "In no pair, or in no list of the splits",
            "the subject (has (several films|one film)|is in none)",
        ),
    ),
    "adni": (
        "Of another protocol, or without subject, visit or date",
        (
            "Listed twice",
            "an exam of this day stands|the exam is in MRIMETA too|the row repeats",
        ),
        ("No diagnosis of MCI or AD", "the visit has no unambiguous|the diagnosis is neither"),
        ("No usable image", "the exam has no usable image"),
        ("Another exam of the visit is used", "an earlier exam of the visit"),
        UNPAIRED,
    ),
    "bids": (
        "Not named as the T1w image of a visit",
        OTHER_CLASS,
        ("Another image of the visit is used", "another T1w of the visit"),
        UNPAIRED,
    ),
    "manifest": (OTHER_CLASS[0], ("No such file", "there is no file"), UNPAIRED),
}
UNITS = {"copd": "film", "adni": "exam", "bids": "image", "manifest": "image"}
PREPARATION = "Could not be prepared"
QUALITY = "Left out by the quality control"


@dataclass(frozen=True)
class Removal:
    """What one rule removed.

    Attributes
    ----------
    title
        The rule.
    images, subjects
        How many images it removed, and subjects of whom no image was left after it.
    reasons
        Reason and number of images, the most frequent first.
    images_left, subjects_left
        What was left after it.
    """

    title: str
    images: int
    subjects: int
    reasons: list[tuple[str, int]]
    images_left: int
    subjects_left: int


def trace_removals(
    source: str, manifest: pd.DataFrame, exclusions: pd.DataFrame
) -> tuple[int, int, list[Removal]]:
    """Follow the images of an archive through the rules that removed some.

    Parameters
    ----------
    source
        Kind of archive, a key of `RULES`.
    manifest
        Images that the ingest chose; columns subject and session.
    exclusions
        Everything left out, by the ingest and by later stages; columns `EXCLUSION_COLUMNS`.

    Returns
    -------
    images, subjects : int
        What the archive holds. Files without a subject count as images alone.
    removals : list of Removal
        In the order of the rules, without those that removed nothing.
    """
    first, *rules = RULES[source]
    titles = [first, *(title for title, _ in rules), PREPARATION, QUALITY]
    ingest = exclusions[(exclusions["stage"] == "ingest") & (exclusions["item"] == UNITS[source])]
    later = exclusions[(exclusions["stage"] != "ingest") & (exclusions["item"] != "pair")]

    def rule_of(reason: str) -> int:
        patterns = enumerate((pattern for _, pattern in rules), start=1)
        return next((number for number, pattern in patterns if re.match(pattern, reason)), 0)

    removed = pd.concat(
        [
            ingest.assign(rule=[rule_of(reason) for reason in ingest["reason"]]),
            later.assign(
                rule=(later["stage"] == "qc").map(
                    {False: titles.index(PREPARATION), True: titles.index(QUALITY)}
                )
            ),
        ]
    )
    failed = pd.MultiIndex.from_frame(later[["subject", "session"]])
    kept = manifest[~pd.MultiIndex.from_frame(manifest[["subject", "session"]]).isin(failed)]
    images = pd.concat([removed, kept.assign(rule=len(titles), reason="")], ignore_index=True)
    images["rule"] = images["rule"].astype(int)
    removals = []
    left = images
    for number, title in enumerate(titles):
        of_rule = images[images["rule"] == number]
        if of_rule.empty:
            continue
        before, left = _subjects(left), images[images["rule"] > number]
        # What follows a colon is detail: the tool's words, or a value.
        reasons = of_rule["reason"].str.replace(r"\s*:.*", "", regex=True).value_counts()
        removals.append(
            Removal(
                title=title,
                images=len(of_rule),
                subjects=before - _subjects(left),
                reasons=[(str(reason), int(count)) for reason, count in reasons.items()],
                images_left=len(left),
                subjects_left=_subjects(left),
            )
        )
    return len(images), _subjects(images), removals


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
    lost_pairs = set(
        later.loc[later["item"] == "pair", ["subject", "session", "reason"]]
        .assign(baseline=lambda rows: rows["reason"].str.extract(r"\(pair with ses-(\w+)\)$"))[
            ["subject", "baseline", "session"]
        ]
        .itertuples(index=False, name=None)
    )
    kept = [
        pair not in lost_pairs
        for pair in pairs[["subject", "baseline", "followup"]].itertuples(index=False, name=None)
    ]
    pairs = pairs[kept]
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
