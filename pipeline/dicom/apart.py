"""A call in a process of its own: a C library that crashes ends that process and not this one."""

import faulthandler
import mmap
import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection

import numpy as np

SECONDS = 30  # of the processor; the slowest decoder takes 10 for the largest film
CRASHES = {signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV}


class CrashError(Exception):
    """The call crashed, ended the process or did not end; the message tells which."""


def call_apart(
    function: Callable[..., np.ndarray], *arguments: object, most_bytes: int
) -> np.ndarray:
    """Call a function that returns an array in a child process.

    The child is a fork, so it starts in milliseconds and has the arguments as they are, and the
    array comes back in shared memory. What the child writes to stderr is lost: C libraries complain
    there of every damaged file.

    Parameters
    ----------
    function, arguments
        What to call; it must not wait for other threads of this process.
    most_bytes
        Size that the array may have.

    Returns
    -------
    numpy.ndarray
        What the function returned.

    Raises
    ------
    CrashError
        If the function crashed, ended its process or used the processor for `SECONDS`.
    RuntimeError
        If the function raised an exception, or returned more than `most_bytes`.
    MemoryError
        If the function raised it, or the child was killed, as systems do when memory runs out.
    """
    memory = mmap.mmap(-1, most_bytes)
    fork = multiprocessing.get_context("fork")
    receiving, sending = fork.Pipe(duplex=False)
    child = fork.Process(target=_answer, args=(sending, memory, function, arguments), daemon=True)
    child.start()
    sending.close()  # so that the end of the child ends the wait for its answer
    layout, error = None, None
    try:
        layout, error = receiving.recv()
    except (EOFError, OSError):
        pass  # it died; its exit status tells of what
    except BaseException:  # this process is to end, too
        child.kill()
        raise
    finally:
        receiving.close()
        child.join()
    if layout is None:
        raise error or _what_ended(child.exitcode)
    return np.ndarray(buffer=memory, **layout)


def _answer(
    sending: Connection, memory: mmap.mmap, function: Callable[..., np.ndarray], arguments: tuple
) -> None:
    """What the child does: call, leave the array in shared memory, and tell its layout."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    faulthandler.disable()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        array = function(*arguments)
        layout = {"shape": array.shape, "dtype": array.dtype}
        np.ndarray(buffer=memory, **layout)[...] = array
        sending.send((layout, None))
    except MemoryError:
        sending.send((None, MemoryError("not enough memory in a child process")))
    except Exception as error:
        sending.send((None, RuntimeError(f"raised {type(error).__name__} in a child process")))


def _what_ended(status: int) -> Exception:
    if status >= 0:
        return CrashError("ended the process")
    number = signal.Signals(-status)
    if number in CRASHES:
        return CrashError(f"crashed ({number.name})")
    if number == signal.SIGPROF:
        return CrashError(f"did not end within {SECONDS} seconds")
    return MemoryError(
        f"a child process was killed ({number.name}), as systems do when memory runs out"
    )
