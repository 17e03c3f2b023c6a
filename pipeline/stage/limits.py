"""A limit to the time that a stage may take."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.stage.errors import ImageError
from pipeline.stage.rules import Rule

# A scheduler kills a job at its limit: the stage ends earlier, so that the reason is written.
SHARE_OF_JOB = 0.9


@contextmanager
def time_limit(stage: str, minutes: float | None) -> Iterator[None]:
    """Stop what runs in the block when it takes too long.

    Parameters
    ----------
    stage
        Name in the message.
    minutes
        Time limit of the job; the block gets nine tenths of it. None: no limit.

    Raises
    ------
    ImageError
        The block did not end in time.
    """
    if minutes is None:
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise ImageError(
            Rule.TIME_LIMIT,
            f"{stage} did not end within {SHARE_OF_JOB * minutes:.3g} min; allow it more with "
            "--set-resources RULE:runtime=MINUTES",
        )

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 60 * SHARE_OF_JOB * minutes)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
