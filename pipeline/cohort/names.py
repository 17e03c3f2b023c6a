"""Names of subjects and sessions: letters and digits, as BIDS and paths of files need them."""

import re
import unicodedata

import pandas as pd

from pipeline.stage.errors import InputError

PREFIXES = {"subject": "sub-", "session": "ses-"}


def as_label(text: str) -> str:
    """A name without all but its letters and digits of ASCII; accents go, their letters stay."""
    return re.sub("[^A-Za-z0-9]", "", unicodedata.normalize("NFKD", text))


def name_label(text: str, kind: str) -> str:
    """`as_label` of a ``subject`` or ``session``, with or without the prefix of BIDS."""
    return as_label(text.removeprefix(PREFIXES[kind]))


def add_labels(*frames: pd.DataFrame) -> None:
    """Replace names of subjects and sessions by labels, in place.

    Parameters
    ----------
    frames
        Columns source, subject and, in some, session. ``archive_subject`` and ``archive_session``
        are added: the names as the archive has them, where they are others, or ``""``.

    Raises
    ------
    InputError
        If names that differ have one label, or labels that differ only in case, which are one name
        to many file systems.
    """
    for kind in PREFIXES:
        named = [frame for frame in frames if kind in frame]
        for frame in named:
            frame[f"archive_{kind}"] = frame[kind].str.removeprefix(PREFIXES[kind])
        names = pd.concat(frame.assign(frame=n) for n, frame in enumerate(named))
        labels = names[f"archive_{kind}"].map(as_label)
        within = [names["subject"]] if kind == "session" else []
        for _, group in names.groupby([*within, labels.str.lower()], sort=False):
            different = group.drop_duplicates(f"archive_{kind}")
            if len(different) > 1 and labels[different.index].iloc[0] != "":
                first, second = different.iloc[:2].itertuples()
                one, other = (getattr(row, f"archive_{kind}") for row in (first, second))
                raise InputError(
                    f"{first.source} and {second.source}: the {kind}s {one!r} and {other!r} would "
                    "be one name of letters and digits, in upper or lower case; rename one of them"
                )
        for frame in named:
            frame[kind] = frame[f"archive_{kind}"].map(as_label)
            same = frame[kind] == frame[f"archive_{kind}"]
            frame[f"archive_{kind}"] = frame[f"archive_{kind}"].mask(same, "")
