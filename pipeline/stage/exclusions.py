"""What is left out, and why: the table that every stage adds to."""

from pathlib import Path

import pandas as pd

from pipeline.stage.rules import Rule

EXCLUSION_COLUMNS = [
    *("stage", "item", "subject", "session", "baseline", "source", "rule", "reason"),
]


def exclusion_table(rows: list[dict]) -> pd.DataFrame:
    """Table of exclusions from dictionaries; absent columns are empty strings.

    Raises
    ------
    ValueError
        If a row has no rule, or none of `Rule`.
    """
    table = pd.DataFrame(rows, columns=EXCLUSION_COLUMNS).fillna("")
    return table.assign(rule=[str(Rule(rule)) for rule in table["rule"]])


def read_exclusions(path: Path) -> pd.DataFrame:
    """Read a table of exclusions."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def count_rules(exclusions: pd.DataFrame) -> pd.DataFrame:
    """Count exclusions by rule.

    Parameters
    ----------
    exclusions
        Columns `EXCLUSION_COLUMNS`.

    Returns
    -------
    pandas.DataFrame
        Columns stage, item, rule, title (of the rule) and count; the largest count of an item
        first.
    """
    counts = exclusions.groupby(["stage", "item", "rule"], sort=False).size()
    counts = counts.reset_index(name="count").sort_values(
        ["stage", "item", "count", "rule"],
        ascending=[True, True, False, True],
        ignore_index=True,
    )
    counts.insert(3, "title", [Rule(rule).title for rule in counts["rule"]])
    return counts
