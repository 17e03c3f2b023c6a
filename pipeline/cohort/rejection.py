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
