"""The two ways in which data can be wrong, and how a name that nobody knows is told."""

import difflib
import errno
from collections.abc import Sequence

from pipeline.stage.rules import Rule, Told

# Neither the input nor the code is wrong: the place where results go cannot take them.
PLACE_ERRORS = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EROFS: "make it writable",
    errno.EACCES: "make it readable and writable",
}


class InputError(Exception):
    """The configuration, a table or an archive is wrong: nothing can be computed.

    The message names the file or key and the remedy; the command line prints it without a
    traceback and ends with exit status 2.
    """


class ImageError(Exception):
    """One image (or one pair) cannot be used; everything else goes on.

    Parameters
    ----------
    rule
        By which it is excluded.
    reason
        The same in a sentence, for this one; must hold no patient data. Both become a row of
        ``exclusions.csv``.
    """

    def __init__(self, rule: Rule, reason: str) -> None:
        super().__init__(Rule(rule), reason)

    def __str__(self) -> str:
        return self.args[1]

    @property
    def exclusion(self) -> Told:
        """Rule and reason, as exclusions and sidecars have them."""
        rule, reason = self.args
        return Told(rule=rule, reason=reason)


def unknown(what: str, name: object, known: Sequence[str]) -> str:
    """Message about a name that is not one of `known`: the nearest, or all of them."""
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
    return f"unknown {what} {name!r}; {hint}"
