"""The driver: any number of threads share the tasks of a job, phase by phase.

Every worker begins with its own share of a phase's tasks, so that the same data mostly stay in
the same core's cache, and then takes what others have not begun. Whoever finishes the last one
does what has to be done alone and opens the next phase. So nobody waits for a thread that does
not run, because another process has its core, say; one worker alone does everything, in the same
order. How many tasks there are follows from the shapes, so the bits do not depend on threads.
"""

import ctypes
import functools

import numba
import numpy as np

from nnjit.core.compiler.jit import inline, kernel, prange
from nnjit.core.compiler.units import Unit, call, call_for_real
from nnjit.core.jobs.atomics import claim, fetch_add, load, store, wait
from nnjit.core.jobs.job import (
    BATCH,
    DONE,
    GENERATION,
    OPEN,
    PHASE,
    STATE,
    Job,
    Phase,
    job_of,
    phase_of,
)
from nnjit.core.jobs.records import view

__all__ = ["DRIVE", "Runner", "open_job", "runner"]

_COUNT = 32  # bits of the number of tasks
_MASK = 2**_COUNT - 1
_END = -1
# From here on the next job counts from 0 again; a job has far fewer phases than are left.
_LAST_GENERATION = 2**30
_PHASE_BYTES = Phase.dtype.itemsize
_FIRST, _LAST = Job.places["first"], Job.places["last"]


@inline
def close_task(job_at, state, phase_at, count):
    """Count a task as done; the last one of a phase opens the next phase, or ends the job."""
    if fetch_add(state, DONE, 1) + 1 < count:
        return
    state[DONE] = 0
    phase = phase_of(phase_at)
    count = np.int64(call_for_real(phase.close_at, (job_at,)))
    state[PHASE] = phase.next
    state[GENERATION] += 1
    store(state, OPEN, state[GENERATION] << _COUNT | count if count > 0 else _END)


def drive(job_at, worker):
    """Take tasks until the job is done.

    A task is taken by raising its claim to the phase's generation. A worker that looks at an old
    phase finds all of its claims raised.
    """
    job = job_of(job_at)
    state = view(job.state_at, STATE, np.int64(0))
    claims = view(job.claims_at, job.n_claims, np.int64(0))
    seen, idle = 0, 0
    while True:
        word = load(state, OPEN)
        if word < 0:
            return
        if word == seen:  # nothing left to take
            wait(idle)
            idle += 1
            continue
        seen, idle = word, 0
        generation, count = word >> _COUNT, word & _MASK
        own = worker * count // job.workers
        for k in range(count):
            number = own + k if own + k < count else own + k - count
            if claim(claims, number, generation):
                phase_at = job.phases_at + state[PHASE] * _PHASE_BYTES
                call(phase_of(phase_at).task_at, (job_at, number, count, worker))
                close_task(job_at, state, phase_at, count)


DRIVE = Unit(drive)


def share(address, job_at, workers):
    """Run the function at `address` in several threads."""
    for worker in prange(workers):
        call(address, (job_at, worker))


class Runner:
    """The driver, for `threads.call`: called with the address of a job and its workers."""

    def __init__(self):
        self._share = None
        if numba.config.DISABLE_JIT:
            self.serial = lambda job_at, workers: drive(job_at, 0)
            return
        self._address = DRIVE.address
        kind = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)  # releases the GIL
        function = kind(self._address)
        self.serial = lambda job_at, workers: function(job_at, 0)

    @property
    def cold(self):
        """Whether the first parallel call has to compile or load something."""
        return self._share is None

    def parallel(self, job_at, workers):
        if self._share is None:
            self._share = kernel(share, parallel=True)
        self._share(self._address, job_at, workers)


@functools.cache
def runner():
    """The `Runner`; compiles it once."""
    return Runner()


def open_job(job, state, claims, first, last, phase, tasks, batch):
    """Enter what is to be done into a job and open its first phase, of so many tasks.

    job : INOUT the record as int64s
    """
    if state[GENERATION] > _LAST_GENERATION:
        state[GENERATION], claims[:] = 0, 0
    job[_FIRST], job[_LAST] = first, last
    state[PHASE], state[BATCH] = phase, batch
    state[GENERATION] += 1
    state[OPEN] = state[GENERATION] << _COUNT | tasks if first < last else _END
    state[DONE] = 0
