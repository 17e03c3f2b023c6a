"""Assignment of subjects to training, validation and test."""

import logging
import re
import zlib
from collections.abc import Callable, Collection, Hashable
from math import floor
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.cohort.manifest import SPLITS
from pipeline.cohort.shared_list import LIST_KEYS, split_members
from pipeline.cohort.spelling import near_misses, tell_near_misses
from pipeline.stage.errors import InputError

logger = logging.getLogger(__name__)


def assign_splits(
    subjects: pd.DataFrame,
    settings: dict,
    *,
    training_only: Collection[str] = (),
    evaluation_only: Collection[str] = (),
    key: Callable[[str], Hashable] = str,
) -> pd.Series:
    """Assign each subject to one split.

    With ``{"seed": int, "fractions": {"train": ..., "validation": ..., "test": ...}}`` each stratum
    is shuffled and divided by itself; the order of the rows does not matter. Counts follow the
    largest remainders, and validation and test get a subject each of every stratum that has two,
    whatever the fractions. Validation and test are measured on pairs alone, so a stratum whose
    subjects have no pair would be lost there: name it in `training_only` and it is trained on
    whole. One in `evaluation_only` is shared out between validation and test.

    With ``{"lists": {"train": file, "validation": file, "test": file}}`` the files hold one subject
    a line, ``#`` begins a comment, and strata do not matter. A file may also be a cohort's list
    (see `pipeline.cohort.shared_list`), of which those subjects count whose split it is.

    Parameters
    ----------
    subjects
        Columns ``subject`` (unique) and ``stratum``.
    settings
        One of the two forms above.
    training_only, evaluation_only
        Strata that the seeded form does not divide by all three fractions.
    key
        What identifies a subject, from its name in `subjects` or from a line of a list; it raises
        `ValueError`, without quoting it, for a line that is no subject.

    Returns
    -------
    pandas.Series
        Split by subject, sorted by subject; ``""`` for a subject that is in no list.

    Raises
    ------
    InputError
        If the settings are wrong, a list cannot be read, or a subject is in two lists.
    """
    subjects = subjects.sort_values("subject", ignore_index=True)
    if set(settings) == {"lists"}:
        return _from_lists(subjects["subject"], settings["lists"], key)
    if set(settings) != {"seed", "fractions"}:
        raise InputError(
            "splits: give either seed and fractions, or lists; found " + ", ".join(sorted(settings))
        )
    fractions = _checked(settings["fractions"])
    splits = pd.Series("", index=subjects["subject"], name="split", dtype=object)
    for stratum, members in subjects.groupby("stratum")["subject"]:
        if stratum in training_only:
            counts = {"train": len(members)}
        elif stratum in evaluation_only:
            counts = _counts(len(members), {**fractions, "train": 0.0})
        else:
            counts = _counts(len(members), fractions)
        # Seeded by the stratum's name as well: a further stratum leaves the others as they are.
        seed = np.random.SeedSequence([settings["seed"], zlib.crc32(str(stratum).encode())])
        shuffled = np.random.default_rng(seed).permutation(members.to_numpy())
        splits[shuffled] = np.repeat(list(counts), list(counts.values()))
    return splits


def _checked(fractions: dict) -> dict[str, float]:
    if set(fractions) != set(SPLITS):
        raise InputError(f"splits: fractions needs {', '.join(SPLITS)}; found {list(fractions)}")
    if fractions["train"] < 0 or fractions["validation"] <= 0 or fractions["test"] <= 0:
        raise InputError(f"splits: fractions of validation and test must be above 0: {fractions}")
    if abs(sum(fractions.values()) - 1) > 1e-6:
        raise InputError(f"splits: fractions must add up to 1, not {sum(fractions.values()):g}")
    return {split: float(fractions[split]) for split in SPLITS}


def _counts(members: int, fractions: dict[str, float]) -> dict[str, int]:
    """Whole numbers that add up to `members`, by the largest remainders."""
    total = sum(fractions.values())
    exact = {split: members * fraction / total for split, fraction in fractions.items()}
    counts = {split: floor(share + 1e-9) for split, share in exact.items()}
    by_remainder = sorted(exact, key=lambda split: counts[split] - exact[split])
    for split in by_remainder[: members - sum(counts.values())]:
        counts[split] += 1
    if members >= 2:
        for split in ("validation", "test"):
            if counts[split] == 0:
                counts[max(counts, key=counts.__getitem__)] -= 1
                counts[split] = 1
    return counts


def _from_lists(subjects: pd.Series, lists: dict, key: Callable[[str], Hashable]) -> pd.Series:
    if set(lists) != set(SPLITS):
        raise InputError(f"splits: lists needs {', '.join(SPLITS)}; found {', '.join(lists)}")
    split_of: dict[Hashable, str] = {}
    place_of: dict[Hashable, str] = {}
    for split in SPLITS:
        for identity, place in _read_list(split, Path(lists[split]), key):
            if split_of.setdefault(identity, split) != split:
                raise InputError(
                    f"splits: a subject is in two splits, {split_of[identity]} "
                    f"({place_of[identity]}) and {split} ({place}); keep it in one"
                )
            place_of.setdefault(identity, place)
    identities = subjects.map(key)
    absent = set(split_of) - set(identities)
    if absent:
        logger.info("listed subjects without a usable image: %d of %d", len(absent), len(split_of))
        names = {place_of[identity]: str(identity) for identity in split_of if identity in absent}
        others = {f"sub-{subject}": str(key(subject)) for subject in subjects}
        misses = near_misses(names, others)
        tell_near_misses(misses, "listed subjects are not found", found=len(absent) < len(split_of))
    return pd.Series(
        [split_of.get(identity, "") for identity in identities],
        index=pd.Index(subjects, name="subject"),
        name="split",
        dtype=object,
    )


def _read_list(
    split: str, path: Path, key: Callable[[str], Hashable]
) -> list[tuple[Hashable, str]]:
    """Identity and place of each subject of a list; no line is quoted: it may be a patient's id."""
    found = []
    for text, place in _listed(split, path):
        try:
            found.append((key(text), place))
        except ValueError as error:
            raise InputError(f"splits: {place}: not a subject: {error}") from error
    return found


def _listed(split: str, path: Path) -> list[tuple[str, str]]:
    """Subjects of a list as they stand there, and the place of each."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"splits: lists: {split}: cannot read {path}") from error
    # By its header, not its suffix: published lists of subjects are called .csv, too.
    if lines and set(LIST_KEYS) <= set(re.split("[,;\t]", lines[0].lower())):
        return split_members(path, split)
    texts = [line.partition("#")[0].strip() for line in lines]
    return [(text, f"{path}:{n}") for n, text in enumerate(texts, start=1) if text]
