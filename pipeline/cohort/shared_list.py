"""The list of a cohort that can be shared: others study the same images of their own archive."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from pipeline.cohort.manifest import SPLITS, Cohort
from pipeline.cohort.rejection import excluded_rows, reject, usable
from pipeline.cohort.sufficiency import check_cohort
from pipeline.cohort.tables import read_table
from pipeline.stage.errors import InputError
from pipeline.stage.rules import Rule
from pipeline.stage.wording import number_of

log = logging.getLogger(__name__)

LIST_COLUMNS = ["subject", "session", "image", "label", "split", "baselines", "content"]
LIST_KEYS = ["subject", "session", "label", "split"]  # without which it is no list
KEY = ["subject", "session"]
LABELS = ("0", "1")
LISTED = "listed image"  # what an exclusion is of, whose image the archive does not have
# LONI's number of an image ends the name of its file, or of each slice.
IMAGE_ID = re.compile(r"_(I\d+)\.(?:nii(?:\.gz)?|dcm)")


def cohort_list(
    cohort: Cohort, exclusions: pd.DataFrame, contents: Mapping[tuple[str, str], str]
) -> pd.DataFrame:
    """List the images that were used.

    Parameters
    ----------
    cohort
        Result of an ingest.
    exclusions
        Everything that was left out, by later stages, too.
    contents
        `content_hash` by subject and session.

    Returns
    -------
    DataFrame
        Columns `LIST_COLUMNS`, all text, a row an image: ``image`` is its number at LONI or ``""``,
        ``baselines`` the sessions that it is paired with as a follow-up, divided by blanks.
    """
    later = exclusions[exclusions["stage"] != "ingest"]
    gone = set(later.loc[later["item"] != "pair", KEY].itertuples(index=False, name=None))
    lost = later.loc[later["item"] == "pair", ["subject", "baseline", "session"]]
    unpaired = set(lost.itertuples(index=False, name=None))
    baselines: dict[tuple[str, str], list[str]] = {}
    for pair in cohort.pairs.itertuples():
        if (pair.subject, pair.baseline, pair.followup) not in unpaired:
            baselines.setdefault((pair.subject, pair.followup), []).append(pair.baseline)
    rows = []
    for row in cohort.manifest.itertuples():
        key = (row.subject, row.session)
        if key in gone:
            continue
        number = IMAGE_ID.search(Path(row.path).name)
        rows.append(
            {
                "subject": row.subject,
                "session": row.session,
                "image": number[1] if number else "",
                "label": str(row.label),
                "split": row.split,
                "baselines": " ".join(baselines.get(key, [])),
                "content": contents.get(key, ""),
            }
        )
    return pd.DataFrame(rows, columns=LIST_COLUMNS)


def read_cohort_list(path: Path) -> pd.DataFrame:
    """Read what `cohort_list` made: its columns, and ``source``, file and line.

    Raises
    ------
    InputError
        If the table cannot be read, a split or label is none, or an image stands there twice.
    """
    listed = read_table(path, LIST_KEYS, ["image", "baselines", "content"])
    for name, known in (("split", SPLITS), ("label", LABELS)):
        wrong = listed[~listed[name].isin(known)]
        if len(wrong):
            raise InputError(
                f"cohort: list: {wrong['source'].iloc[0]}: the {name} is none of {', '.join(known)}"
            )
    twice = listed[listed.duplicated(KEY)]
    if len(twice):
        raise InputError(f"cohort: list: {twice['source'].iloc[0]}: the image is listed twice")
    return listed


def split_members(path: Path, split: str) -> list[tuple[str, str]]:
    """Subjects of one split of a list, and the line of each."""
    listed = read_cohort_list(path)
    members = listed[listed["split"] == split].drop_duplicates("subject")
    return list(zip(members["subject"], members["source"], strict=True))


def keep_listed(cohort: Cohort, listed: pd.DataFrame, unit: str, name: str) -> Cohort:
    """Keep the images and pairs of a list, as far as an archive has them.

    Parameters
    ----------
    cohort
        Of the archive, its subjects split as in the list.
    listed
        As of `read_cohort_list`.
    unit
        What an image of the archive is called in the exclusions.
    name
        Of the archive, for messages.

    Returns
    -------
    Cohort
        Left out are images that are not listed, and those whose label differs, since one of the two
        must be wrong. What is listed and missing stands in the exclusions, too, as `LISTED`.

    Raises
    ------
    InputError
        If too little is left.
    """
    images = cohort.manifest.assign(rule="", reason="", source=cohort.manifest["path"])
    expected = listed.set_index(KEY)["label"]
    keys = pd.MultiIndex.from_frame(images[KEY])
    labels = expected.reindex(keys).to_numpy()
    reject(images, pd.isna(labels), Rule.NO_SPLIT, "not in the list of the cohort")
    differs = images["label"].astype(str).to_numpy() != labels
    reject(images, differs, Rule.CONTRADICTION, "its label is another one in the list")
    missing = listed[~pd.MultiIndex.from_frame(listed[KEY]).isin(keys)]
    why = "listed, but none of the usable images of this archive"
    missing = missing.assign(rule=Rule.NO_IMAGE, reason=why)
    if len(missing):
        log.warning(
            "images of the list that are not in the archive: %d of %d", len(missing), len(listed)
        )
    if count := (images["rule"] == Rule.CONTRADICTION).sum():
        log.warning(
            "left out, as the label is another one in the list: %s", number_of(count, "image")
        )
    kept = usable(images)[cohort.manifest.columns].reset_index(drop=True)
    told = excluded_rows({unit: images, LISTED: missing})
    exclusions = pd.concat([cohort.exclusions, told], ignore_index=True)
    left = Cohort(manifest=kept, exclusions=exclusions, pairs=_listed_pairs(kept, listed))
    check_cohort(left, name)
    return left


def _listed_pairs(manifest: pd.DataFrame, listed: pd.DataFrame) -> pd.DataFrame:
    pairs = listed.assign(baseline=listed["baselines"].str.split()).explode("baseline")
    pairs = pairs.rename(columns={"session": "followup"}).dropna(subset="baseline")
    there = set(manifest[KEY].itertuples(index=False, name=None))
    both = [
        {(row.subject, row.baseline), (row.subject, row.followup)} <= there
        for row in pairs.itertuples()
    ]
    columns = ["subject", "split", "baseline", "followup"]
    return pairs.loc[both, columns].astype(object).reset_index(drop=True)


def compare_lists(listed: pd.DataFrame, made: pd.DataFrame) -> pd.DataFrame:
    """What a list has otherwise than the study that replays it.

    Parameters
    ----------
    listed
        The list that was given.
    made
        The list of the study itself, by `cohort_list`.

    Returns
    -------
    DataFrame
        Columns subject, session and ``difference``: missing, another split, or another content,
        where both lists tell it. A label cannot differ: such images were left out, and are missing.
    """
    both = listed.merge(made, on=KEY, how="left", suffixes=("", "_made"), indicator=True)
    told = (both["content"] != "") & (both["content_made"].fillna("") != "")
    both["difference"] = ""
    for which, text in (
        (told & (both["content"] != both["content_made"]), "the content is another one"),
        (both["split"] != both["split_made"], "the split is another one"),
        (both["_merge"] == "left_only", "missing here, or left out"),
    ):
        both.loc[which, "difference"] = text
    return both.loc[both["difference"] != "", [*KEY, "difference"]].reset_index(drop=True)
