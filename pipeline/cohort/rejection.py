"""How an ingest leaves rows out: each row of a table or archive has a rule and a reason, or none.

Frames of an ingest have the columns `rule` and `reason`, both ``""`` for what can be used.
"""

import pandas as pd

from pipeline.stage.exclusions import exclusion_table
from pipeline.stage.rules import Rule


def reject(
    frame: pd.DataFrame,
    failed: pd.Series,
    rule: Rule | pd.Series,
    reason: str | pd.Series,
) -> None:
    """Give the rows that fail a rule its code and a reason, unless an earlier rule did, in place.

    Parameters
    ----------
    frame
        Columns rule and reason.
    failed
        Boolean, with the index of `frame` or in its order.
    rule, reason
        Of all rows, or row by row with the index of `frame`.
    """
    failed = pd.Series(failed, frame.index).astype(bool) & (frame["rule"] == "")
    frame["rule"] = frame["rule"].mask(failed, rule)
    frame["reason"] = frame["reason"].mask(failed, reason)


def usable(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows that no rule left out."""
    return frame[frame["rule"] == ""]


def reject_repeated(rows: pd.DataFrame, key: list[str], told: list[str], what: str) -> None:
    """Leave out rows that stand twice for one thing, in place.

    Of rows that tell the same the first is used, of those that contradict each other none.

    Parameters
    ----------
    rows
        Columns source, rule and reason; rows that are left out already are not compared.
    key
        Columns by which a row stands for a thing, such as subject and session.
    told
        Columns that must then be the same.
    what
        Such a thing, for the reasons.
    """
    known = usable(rows)
    for _, group in known[known.duplicated(key, keep=False)].groupby(key, sort=False):
        if group.duplicated([*key, *told]).iloc[1:].all():
            again = rows.index.isin(group.index[1:])
            reject(rows, again, Rule.REPEATED, f"the row repeats {group['source'].iloc[0]}")
        else:
            why = f"the rows of the {what} contradict each other: {lines_of(group['source'])}"
            reject(rows, rows.index.isin(group.index), Rule.CONTRADICTION, why)


def lines_of(sources: pd.Series) -> str:
    """Several lines of one file, such as ``FILE.csv:3, 7``."""
    file = sources.iloc[0].rpartition(":")[0]
    return f"{file}:{', '.join(sources.str.rpartition(':')[2])}"


def excluded_rows(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Exclusions of an ingest, of frames by the kind of their rows."""
    rows = []
    for item, frame in frames.items():
        # A reason without a rule would not go unnoticed: the table refuses it.
        excluded = frame[(frame["rule"] != "") | (frame["reason"] != "")]
        excluded = excluded.assign(stage="ingest", item=item)
        columns = ["stage", "item", "subject", "source", "rule", "reason"]
        columns += ["session"] if "session" in excluded else []
        rows += excluded[columns].to_dict("records")
    return exclusion_table(rows)
