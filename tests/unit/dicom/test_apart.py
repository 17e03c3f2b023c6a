"""Children that really die."""

import ctypes
import os
import resource
import signal
import sys
import time

import numpy as np
import pytest

from pipeline.dicom import apart
from pipeline.dicom.apart import CrashError, call_apart


def test_array_comes_back_as_it_was():
    array = np.arange(12, dtype=np.int16).reshape(3, 4)
    answer = call_apart(lambda: array[::-1], most_bytes=24)
    np.testing.assert_array_equal(answer, array[::-1])
    assert answer.dtype == array.dtype


def test_array_that_is_too_large():
    with pytest.raises(RuntimeError, match="raised TypeError"):
        call_apart(np.zeros, 100, most_bytes=99)


@pytest.mark.parametrize("number", ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL"])
def test_crash(number):
    def crash():
        os.kill(os.getpid(), getattr(signal, number))

    with pytest.raises(CrashError, match=rf"crashed \({number}\)"):
        call_apart(crash, most_bytes=8)


def test_crash_of_a_library_in_c(capfd):
    with pytest.raises(CrashError, match=r"crashed \(SIGSEGV\)"):
        call_apart(ctypes.string_at, 0, most_bytes=8)
    assert capfd.readouterr().err == ""


def test_exit_of_a_library_in_c():
    with pytest.raises(CrashError, match="ended the process"):
        call_apart(os._exit, 3, most_bytes=8)


def test_child_that_is_killed_from_outside():
    """As for want of memory: that is not the film's fault."""
    with pytest.raises(MemoryError, match="killed"):
        call_apart(lambda: os.kill(os.getpid(), signal.SIGKILL), most_bytes=8)


def test_call_without_end(monkeypatch):
    monkeypatch.setattr(apart, "SECONDS", 0.1)

    def spin():
        while True:
            pass

    with pytest.raises(CrashError, match=r"did not end within 0\.1 seconds"):
        call_apart(spin, most_bytes=8)


def test_exceptions_are_told():
    with pytest.raises(RuntimeError, match="raised ZeroDivisionError"):
        call_apart(lambda: 1 / 0, most_bytes=8)


def test_want_of_memory_is_one_here_too():
    def greedy():
        resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33))
        return np.ones(2**40, np.uint8)

    with pytest.raises(MemoryError):
        call_apart(greedy, most_bytes=8)


def test_child_ends_with_its_parent(tmp_path):
    """Whoever stops a stage leaves no decoder behind."""
    note = tmp_path / "pid"

    def wait():
        note.write_text(f"{os.getpid()}")
        os.kill(os.getppid(), signal.SIGUSR1)
        time.sleep(60)

    before = signal.signal(signal.SIGUSR1, lambda number, frame: sys.exit(1))
    try:
        with pytest.raises(SystemExit):
            call_apart(wait, most_bytes=8)
    finally:
        signal.signal(signal.SIGUSR1, before)
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)
