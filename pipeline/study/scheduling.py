"""Keeps Snakemake's scheduler from looking at the waiting jobs ever more often.

It may start only so many jobs in a timespan (``max-jobs-per-timespan``), so each time it has looked
at them it plans another look one timespan later, which a thread of its own waits for. But a job
that ends makes it look, too. Soon as many threads wait as jobs have ended: after 700 they cost an
eighth of a core, and there may be more than a system lets a user have
(https://github.com/snakemake/snakemake/issues/3804). One look that is waited for is enough.
"""

import threading

from snakemake.scheduling.job_scheduler import JobScheduler


def plan_one_look_at_a_time() -> None:
    """Let every scheduler of this process wait for one look only."""
    JobScheduler._schedule_reevalutation = _plan_look


def _plan_look(scheduler: JobScheduler, delay: float) -> None:
    def look() -> None:
        scheduler.planned_look = None  # before it looks, for it may then plan the next
        scheduler._open_jobs.release()

    if getattr(scheduler, "planned_look", None) is None:
        # A daemon: a run need not wait for it in the end.
        scheduler.planned_look = threading.Timer(delay, look)
        scheduler.planned_look.daemon = True
        scheduler.planned_look.start()
