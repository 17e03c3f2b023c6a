"""One image under several names: training and test must not share it.

An ingest sees paths that lead to one file; whether two files hold one image is known when a stage
has read them, and packing decides.
"""

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from pipeline.cohort.rejection import reject, usable
from pipeline.stage.rules import Rule
from pipeline.stage.wording import number_of

log = logging.getLogger(__name__)

Image = tuple[str, str]  # subject and session


def reject_copies(images: pd.DataFrame, content: pd.Series, names: pd.Series) -> None:
    """Leave out images that are one and the same, in place.

    What stands for several subjects is of none of them for certain: all of it is left out. Of
    several images of one subject the first is used.

    Parameters
    ----------
    images
        Columns subject, rule and reason; rows that are left out already are not compared.
    content
        What tells images apart, such as their `content_hash`; ``""`` if unknown.
    names
        What each image is called in the reasons.
    """
    known = usable(images)
    known = known[(known["subject"] != "") & (content[known.index] != "")]
    repeated = known[content[known.index].duplicated(keep=False)]
    for _, group in repeated.groupby(content[repeated.index], sort=False):
        if len(group["subject"].unique()) == 1:
            again = images.index.isin(group.index[1:])
            reject(images, again, Rule.COPY, f"the same image as {names[group.index[0]]}")
            continue
        for subject in group["subject"].unique():
            own = group["subject"] == subject
            why = f"the same image as {names[group.index[~own][0]]}"
            reject(images, images.index.isin(group.index[own]), Rule.SHARED_CONTENT, why)


def same_files(paths: Iterable[str | Path], *, folders: bool = False) -> list[str]:
    """Where paths lead to, ``""`` for those that lead to no file (nor, if `folders`, to one)."""
    # os.path tells of any text whether it is a file; pathlib fails on a name that is too long.
    is_there = os.path.exists if folders else os.path.isfile
    return [os.path.realpath(path) if is_there(path) else "" for path in paths]


def find_copies(
    manifest: pd.DataFrame, contents: Mapping[Image, str], gone: Mapping[Image, Mapping[str, str]]
) -> dict[Image, dict[str, str]]:
    """Images of a data set to leave out, since another one shows the same.

    Parameters
    ----------
    manifest
        Columns subject, session and day.
    contents
        `content_hash` of the images, as far as it is known.
    gone
        Rule, at least, of the images that are left out already. Those on the user's drop list are
        not compared: so the user tells of which subject an image is. Of a subject's copies the
        first that is not left out is used.

    Returns
    -------
    dict
        Rule and reason, by subject and session.
    """
    compared = manifest[["subject", "session", "day"]].assign(rule="", reason="")
    images = list(zip(compared["subject"], compared["session"], strict=True))
    dropped = {image for image, told in gone.items() if told["rule"] == Rule.DROPPED}
    compared["content"] = ["" if i in dropped else contents.get(i, "") for i in images]
    compared["gone"] = [image in gone for image in images]
    compared = compared.sort_values(["gone", "day", "subject", "session"], ignore_index=True)
    names = "sub-" + compared["subject"] + " ses-" + compared["session"]
    reject_copies(compared, compared["content"], names)
    copies = compared[compared["rule"] != ""]
    if len(copies):
        log.warning("left out as copies of others: %s", number_of(len(copies), "image"))
    return {
        (row.subject, row.session): {"rule": row.rule, "reason": row.reason}
        for row in copies.itertuples()
    }
