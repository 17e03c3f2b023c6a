"""The user's own word on volumes: tables of those to keep and of those to drop."""

from collections.abc import Callable, Hashable
from pathlib import Path

from pipeline.cohort.adni import rid_of
from pipeline.cohort.names import name_label
from pipeline.cohort.tables import read_table
from pipeline.stage.errors import InputError

Volume = tuple[Hashable, str]


def subject_key(source: str) -> Callable[[str], Hashable]:
    """What identifies a subject of an archive: of ADNI's, RIDs and PTIDs are the same."""
    return rid_of if source == "adni" else lambda text: name_label(text, "subject")


def read_overrides(
    keep: Path | None, drop: Path | None, key: Callable[[str], Hashable]
) -> tuple[dict[Volume, str], dict[Volume, str]]:
    """Read the two tables.

    Parameters
    ----------
    keep, drop
        CSV with the columns subject, session and, if wanted, reason; None: no table.
    key
        See `subject_key`.

    Returns
    -------
    keep, drop
        Reason by subject and session.

    Raises
    ------
    InputError
        If a table cannot be read, a subject is none, or a volume is in both tables.
    """
    tables, places = [], {}
    for path in (keep, drop):
        volumes = {}
        rows = read_table(path, ["subject", "session"], ["reason"]) if path else None
        for row in [] if rows is None else rows.itertuples():
            try:
                subject = key(row.subject)
            except ValueError as error:
                raise InputError(f"{row.source}: {row.subject!r} is no subject: {error}") from error
            session = name_label(row.session.lower(), "session")
            if not session:
                raise InputError(f"{row.source}: the session is missing, such as bl or m06")
            volumes[subject, session] = row.reason
            places.setdefault((subject, session), []).append(row.source)
        tables.append(volumes)
    for volume in tables[0].keys() & tables[1].keys():
        lines = " and ".join(places[volume])
        raise InputError(f"{lines}: a volume to keep and to drop; remove it from one of them")
    return tables[0], tables[1]
