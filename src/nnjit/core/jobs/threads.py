"""When a parallel kernel may run.

The parallel twin of a kernel runs only if its work repays the fork and join, if no other
thread of this process is inside one (the workqueue layer aborts when two meet), and if this
process is not a fork of one that had started its threads (GNU OpenMP does not survive that).
Otherwise the serial twin runs; both give the same bits.

Where Python's threads are a `Company`, in which each computes something of its own, a kernel has
the cores that the others leave, so mostly none but its own.
"""

import contextlib
import os
import sys
import threading
from contextvars import ContextVar

__all__ = ["Company", "OpenCompany", "call", "crowded", "free_threads", "thread_count"]

_in_parallel = threading.RLock()  # its owner alone can release it
_started = False  # Numba's thread pool runs in this process


def _numba_started():
    """Whether anyone in this process, the user's own kernels included, started the pool."""
    if "numba" not in sys.modules:
        return False
    from nnjit.core.compiler.numba_internals import pool_started

    return pool_started()


def _threads_are_gone():
    """Whether Numba believes in a pool, but this process (Linux) has a single thread.

    So it is in the child of a fork that was made before this module was imported.
    """
    try:
        return _numba_started() and len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


_forked = _threads_are_gone()  # the pool ran in the parent that this process was forked from


def _after_fork():
    global _in_parallel, _forked, _started
    _in_parallel = threading.RLock()  # the parent may have held it
    _forked = _forked or _started or _numba_started()
    _started = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Company:
    """So many threads of Python's that share out `cores`, each with work of its own.

    Each does it in a block ``with company.joined():``.
    """

    def __init__(self, cores, threads):
        self.cores, self.working = cores, threads
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def joined(self):
        """Have this thread be one of them in a block, and leave."""
        token = _company.set(self)
        try:
            yield
        finally:
            _company.reset(token)
            self.leave()

    def leave(self):
        """Leave a core to the others."""
        with self._lock:
            self.working -= 1


class OpenCompany(Company):
    """A company that threads join and leave as they come."""

    def __init__(self, cores):
        super().__init__(cores, 0)

    @contextlib.contextmanager
    def joined(self):
        """See `Company.joined`."""
        with self._lock:
            self.working += 1
        with super().joined():
            yield


_company = ContextVar("nnjit_company", default=None)  # that this thread has joined


def thread_count():
    """Threads that a parallel kernel uses at most, without starting any."""
    import numba

    if _forked or numba.config.DISABLE_JIT:
        return 1
    company = _company.get()
    if company is not None:
        return company.cores
    if _started:
        return numba.get_num_threads()  # the caller's mask
    return numba.config.NUMBA_NUM_THREADS


def free_threads():
    """How many of these it may use now, since others of a company are at work."""
    company, count = _company.get(), thread_count()
    if company is None:
        return count
    return max(1, min(count, company.cores - company.working + 1))


def crowded():
    """Whether others of a company are at work on all other cores."""
    company = _company.get()
    return company is not None and company.working >= company.cores


def call(twins, parallel, *arguments):
    """Run a kernel by its parallel twin if wanted and possible, else by the serial one."""
    global _started
    if parallel and free_threads() > 1:
        lock = _in_parallel
        try:  # around the acquisition: Ctrl-C may come as soon as it is made
            if lock.acquire(blocking=False):
                _started = True
                return twins.parallel(*arguments)
        finally:
            try:
                lock.release()
            except RuntimeError:  # it is another thread's
                pass
    return twins.serial(*arguments)
