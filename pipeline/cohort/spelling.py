"""Names that would be found if they were written alike: told, never taken for each other."""

import logging
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping

from pipeline.stage.errors import InputError

log = logging.getLogger(__name__)

# What spreadsheets, file systems and people change in a name, and the name without it.
FOLDINGS: dict[str, Callable[[str], str]] = {
    "leading zeros": lambda text: re.sub(r"(?<![0-9])0+(?=[0-9])", "", text),
    "upper and lower case": str.casefold,
    "how accented letters are composed": lambda text: unicodedata.normalize("NFC", text),
    "a decimal point and zero": lambda text: re.sub(r"\.0+$", "", text),
    "the suffix .gz": lambda text: text.removesuffix(".gz"),
    "blanks and punctuation": lambda text: re.sub(r"[\W_]", "", text),
}


def near_misses(names: Mapping[str, str], others: Mapping[str, str]) -> dict[str, str]:
    """Names that are none of the others, but would be if both were written alike.

    Parameters
    ----------
    names, others
        Names by the places where they stand, such as lines of a table.

    Returns
    -------
    dict
        Place of the first such other and in what it differs, in words without the names, which may
        be those of patients; by the place of a name.
    """
    known = set(others.values())
    folded: dict[str, str] = {}
    for place, other in others.items():
        folded.setdefault(_fold(other), place)
    return {
        place: f"that of {near} differs in {_difference(name, others[near])}"
        for place, name in names.items()
        if name and name not in known and (near := folded.get(_fold(name)))
    }


def tell_near_misses(misses: Mapping[str, str], what: str, *, found: bool) -> None:
    """Warn of names that are written otherwise, with two examples.

    Parameters
    ----------
    misses
        As `near_misses` returns them.
    what
        What such names do not do, such as ``films find no test``.
    found
        Whether any name was found.

    Raises
    ------
    InputError
        If there are misses and nothing was found.
    """
    if not misses:
        return
    examples = [f"{place} ({difference})" for place, difference in [*misses.items()][:2]]
    text = f"{what}: {len(misses)}, such as {' and '.join(examples)}; write the names alike"
    if not found:
        raise InputError(text)
    log.warning(text)


def _fold(text: str, foldings: Iterable[str] = FOLDINGS) -> str:
    for name in foldings:
        text = FOLDINGS[name](text)
    return text


def _difference(one: str, other: str) -> str:
    """The fewest foldings after which two names are the same."""
    needed = list(FOLDINGS)
    for name in FOLDINGS:
        fewer = [known for known in needed if known != name]
        if _fold(one, fewer) == _fold(other, fewer):
            needed = fewer
    return " and ".join(needed)
