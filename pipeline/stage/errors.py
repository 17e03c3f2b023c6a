"""The two ways in which data can be wrong, and how a name that nobody knows is told."""

import difflib
from collections.abc import Sequence


class InputError(Exception):
    """The configuration, a table or an archive is wrong: nothing can be computed.

    The message names the file or key and the remedy; the command line prints it without a
    traceback and ends with exit status 2.
    """


class ImageError(Exception):
    """One image (or one pair) cannot be used; the message is the reason for its exclusion.

    The reason becomes a row of ``exclusions.csv`` and must hold no patient data. Everything else
    goes on.
    """


def unknown(what: str, name: object, known: Sequence[str]) -> str:
    """Message about a name that is not one of `known`: the nearest, or all of them."""
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
    return f"unknown {what} {name!r}; {hint}"
