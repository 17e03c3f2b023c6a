import threading

import pytest
from snakemake.scheduling.job_scheduler import JobScheduler

from pipeline.study.scheduling import plan_one_look_at_a_time


@pytest.fixture
def scheduler(monkeypatch) -> JobScheduler:
    plan = JobScheduler._schedule_reevalutation  # Snakemake's own name and spelling
    monkeypatch.setattr(JobScheduler, "_schedule_reevalutation", plan)  # put back in the end
    plan_one_look_at_a_time()
    bare = JobScheduler.__new__(JobScheduler)
    bare._open_jobs = threading.Semaphore(0)
    return bare


def test_one_thread_waits_however_many_jobs_end(scheduler):
    before = threading.active_count()
    for _ in range(50):
        scheduler._schedule_reevalutation(600)
    assert threading.active_count() == before + 1
    scheduler.planned_look.cancel()


def test_after_a_look_the_next_is_planned(scheduler):
    for _ in range(3):
        scheduler._schedule_reevalutation(0.01)
        assert scheduler._open_jobs.acquire(timeout=60)
    assert not scheduler._open_jobs.acquire(timeout=0.1)
