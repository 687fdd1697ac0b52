"""When a parallel kernel may run.

The parallel twin of a kernel runs only if its work repays the fork and join, if no other
thread of this process is inside one (the workqueue layer aborts when two meet), and if this
process is not a fork of one that had started its threads (GNU OpenMP does not survive that).
Otherwise the serial twin runs; both give the same bits.
"""

import os
import sys
import threading

__all__ = ["call", "thread_count"]

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


def thread_count():
    """Threads that a parallel kernel would use, without starting any."""
    import numba

    if _forked or numba.config.DISABLE_JIT:
        return 1
    if _started:
        return numba.get_num_threads()  # the caller's mask
    return numba.config.NUMBA_NUM_THREADS


def call(twins, parallel, *arguments):
    """Run a kernel by its parallel twin if wanted and possible, else by the serial one."""
    global _started
    if parallel and thread_count() > 1:
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
