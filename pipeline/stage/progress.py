"""A progress line for long jobs: rate, remaining time and latest figures."""

from typing import Any

from tqdm import tqdm


def progress(total: int, desc: str, unit: str, **options: Any) -> tqdm:
    """Progress line on a terminal; silent where stderr is a file, as in the logs of a cluster."""
    return tqdm(
        total=total,
        desc=desc,
        unit=unit,
        disable=None,
        dynamic_ncols=True,
        mininterval=1,
        **options,
    )
