"""What is left out, and why: the table that every stage adds to."""

from pathlib import Path

import pandas as pd

EXCLUSION_COLUMNS = ["stage", "item", "subject", "session", "source", "reason"]


def exclusion_table(rows: list[dict]) -> pd.DataFrame:
    """Table of exclusions from dictionaries; absent columns are empty strings."""
    return pd.DataFrame(rows, columns=EXCLUSION_COLUMNS).fillna("")


def read_exclusions(path: Path) -> pd.DataFrame:
    """Read a table of exclusions."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def count_reasons(exclusions: pd.DataFrame) -> pd.DataFrame:
    """Count exclusions by reason.

    Parameters
    ----------
    exclusions
        Columns `EXCLUSION_COLUMNS`. What follows a colon in a reason is detail and not told apart.

    Returns
    -------
    pandas.DataFrame
        Columns stage, item, reason and count; the largest count of an item first.
    """
    reasons = exclusions.assign(reason=exclusions["reason"].str.replace(r"\s*:.*", "", regex=True))
    counts = reasons.groupby(["stage", "item", "reason"], sort=False).size()
    return counts.reset_index(name="count").sort_values(
        ["stage", "item", "count", "reason"],
        ascending=[True, True, False, True],
        ignore_index=True,
    )
