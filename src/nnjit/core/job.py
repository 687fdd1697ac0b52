"""Jobs: training, gradients and prediction as one compiled call, shared by any number of threads.

A job is a sequence of phases (a minibatch has two: the slots' forward and backward passes, and
the update of the parameters' ranges), a phase a number of tasks (task.py). Every worker begins
with its own share of them, so that the same data mostly stay in the same core's cache, and then
takes what others have not begun. Whoever finishes the last one of a phase does what has to be
done alone (adds up the loss, looks whether it is finite) and opens the next phase. So nobody
waits for a thread that does not run, because another process has its core, say; one worker
alone does everything, in the same order. How many tasks there are follows from the shapes, so
the bits do not depend on threads.

The job is described by a frame (frame.py) and run by one C function for each precision, which
is compiled once and called through its address.
"""

import ctypes
import functools

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from nnjit.core.atomics import claim, fetch_add, load, store, wait
from nnjit.core.compiler.cache import KernelCache
from nnjit.core.compiler.compiling import undisturbed
from nnjit.core.compiler.jit import FASTMATH, inline, kernel, prange
from nnjit.core.compiler.numba_internals import c_function
from nnjit.core.frame import FRAME_SIZE, view
from nnjit.core.optimizers import ALPHA, CLOCK, HYPER, advance
from nnjit.core.task import (
    BATCH_SIZE,
    CLAIMS_AT,
    CLOCK_AT,
    EPOCH_BATCHES,
    EPOCH_LOSSES_AT,
    EPOCHS,
    FIRST,
    HYPER_AT,
    JOB,
    LAST,
    LOSSES_AT,
    N_CLAIMS,
    N_ORDER,
    N_RANGES,
    N_SAMPLES,
    ORDER_AT,
    REPORT_AT,
    SLOTS,
    SQUARES_AT,
    STATE_AT,
    WEIGHTS_AT,
    WORKERS,
    predict_task,
    present,
    slot_task,
    slots_of,
    squares_task,
    update_task,
)

__all__ = ["REPORT", "STATE", "Runner", "open_job", "runner"]

# Jobs. TRAIN: minibatches FIRST..LAST-1 of the orders, counted through all epochs; to each
# epoch's loss is added that of its minibatches, times rows. GRADIENT: the gradients of the runs of
# BATCH_SIZE rows FIRST..LAST-1, added up in the slots' buffers. FINISH: one update from there.
# PREDICT: the outputs of the blocks of rows FIRST..LAST-1.
TRAIN, GRADIENT, FINISH, PREDICT = range(4)

# entries of the state, int64, on cache lines of their own: what is open, namely the number of
# tasks below a generation that grows from phase to phase (negative at the end); tasks done; the
# phase and its generation
OPEN, DONE, PHASE, GENERATION = 0, 8, 16, 17
STATE = 24
_COUNT = 32  # bits of the number of tasks
_MASK = 2**_COUNT - 1
_END = -1
# From here on the next job counts from 0 again; a job has far fewer phases than are left.
_LAST_GENERATION = 2**30

# entries of the float64 report. Added to: losses of the runs; batches skipped because their
# weights sum to zero. Set: 1, or 0 if a loss was not finite (the job ends before that batch's
# update) or, in a prediction, an input; sum of squared weights; weight of the batch.
LOSS, SKIPPED, FINITE, PENALTY, WEIGHT = range(5)
REPORT = 5


@inline
def total_of(values, n):
    total = 0.0
    for i in range(n):
        total += values[i]
    return total


@inline
def batch_start(frame, batch):
    """Position of a minibatch, or of a run, in the orders of all epochs."""
    epoch = batch // frame[EPOCH_BATCHES]
    within = batch - epoch * frame[EPOCH_BATCHES]
    return epoch * frame[N_ORDER] + within * frame[BATCH_SIZE]


@inline
def batch_rows(frame, batch):
    """Rows of a minibatch, or of a run."""
    within = batch % frame[EPOCH_BATCHES]
    return min(frame[BATCH_SIZE], frame[N_ORDER] - within * frame[BATCH_SIZE])


@inline
def weight_of(frame, batch, real):
    """Sum of the sample weights of a minibatch."""
    weights = view(frame[WEIGHTS_AT], present(frame[WEIGHTS_AT], frame[N_SAMPLES]), real)
    rows = batch_rows(frame, batch)
    if weights.shape[0] == 0:
        return float(rows)
    order = view(frame[ORDER_AT], frame[EPOCHS] * frame[N_ORDER], np.int64(0))
    start, total = batch_start(frame, batch), 0.0
    for j in range(rows):
        total += float(weights[order[start + j]])
    return total


@inline
def open_batch(frame, batch, state, report, real):
    """Open the first phase of the next minibatch that has weight; its tasks, 0 at the end."""
    while batch < frame[LAST]:
        report[WEIGHT] = weight_of(frame, batch, real)
        if report[WEIGHT] != 0.0:
            state[PHASE] = 2 * batch + 1
            return slots_of(frame, batch_rows(frame, batch))
        report[SKIPPED] += 1.0
        batch += 1
    return 0


@inline
def close_batch(frame, batch, report):
    """Account for the loss of a minibatch; whether it is finite."""
    hyper = view(frame[HYPER_AT], HYPER, np.float64(0))
    losses = view(frame[LOSSES_AT], frame[SLOTS], np.float64(0))
    rows = batch_rows(frame, batch)
    total = total_of(losses, slots_of(frame, rows))
    loss = (total + 0.5 * hyper[ALPHA] * report[PENALTY]) / report[WEIGHT]
    losses = view(frame[EPOCH_LOSSES_AT], frame[EPOCHS], np.float64(0))
    losses[batch // frame[EPOCH_BATCHES]] += loss * rows
    if not np.isfinite(loss):
        report[FINITE] = 0.0
        return False
    advance(hyper, view(frame[CLOCK_AT], CLOCK, np.float64(0)))
    return True


@inline
def next_phase(frame, state, real):
    """What is done alone after the last task of a phase; tasks of the next one, 0 at the end."""
    phase = state[PHASE]
    report = view(frame[REPORT_AT], REPORT, np.float64(0))
    if frame[JOB] == TRAIN and phase % 2 == 1:
        if not close_batch(frame, phase // 2, report):
            return 0
        state[PHASE] = phase + 1
        return frame[N_RANGES]
    if frame[JOB] == GRADIENT:
        report[LOSS] += total_of(view(frame[LOSSES_AT], frame[SLOTS], np.float64(0)), frame[SLOTS])
        state[PHASE] = phase + 1
        return frame[SLOTS] if phase + 1 < frame[LAST] else 0
    if frame[JOB] == PREDICT:
        return 0
    report[PENALTY] = total_of(
        view(frame[SQUARES_AT], frame[N_RANGES], np.float64(0)), frame[N_RANGES]
    )
    if frame[JOB] == TRAIN:
        return open_batch(frame, phase // 2, state, report, real)
    return 0


@inline
def run_task(frame, phase, number, count, worker, real):
    """One task of a phase."""
    job = frame[JOB]
    if job == PREDICT:
        if not predict_task(frame, frame[FIRST] + number, worker, real):
            view(frame[REPORT_AT], REPORT, np.float64(0))[FINITE] = 0.0
    elif job == GRADIENT or (job == TRAIN and phase % 2 == 1):
        batch = phase // 2 if job == TRAIN else phase
        add = 1 if job == GRADIENT and phase > 0 else 0
        losses = view(frame[LOSSES_AT], frame[SLOTS], np.float64(0))
        losses[number] = slot_task(
            frame, number, count, batch_start(frame, batch), batch_rows(frame, batch), add, worker,
            real,
        )  # fmt: skip
    else:
        squares = view(frame[SQUARES_AT], frame[N_RANGES], np.float64(0))
        if job == TRAIN and phase == 2 * frame[FIRST]:  # before the first minibatch
            squares[number] = squares_task(frame, number, real)
            return
        start, rows = np.int64(0), frame[BATCH_SIZE]
        if job == TRAIN:
            start, rows = batch_start(frame, phase // 2 - 1), batch_rows(frame, phase // 2 - 1)
        scale = 1.0 / view(frame[REPORT_AT], REPORT, np.float64(0))[WEIGHT]
        squares[number] = update_task(frame, number, start, rows, worker, scale, real)


@inline
def close_task(frame, state, count, real):
    """Count a task as done; the last one of a phase opens the next phase, or ends the job."""
    if fetch_add(state, DONE, 1) + 1 < count:
        return
    state[DONE] = 0
    count = next_phase(frame, state, real)
    state[GENERATION] += 1
    store(state, OPEN, state[GENERATION] << _COUNT | count if count > 0 else _END)


@inline
def work(real, frame_at, worker):
    """Take tasks until the job is done.

    A task is taken by raising its claim to the phase's generation. A worker that looks at an old
    phase finds all of its claims raised.
    """
    frame = view(frame_at, FRAME_SIZE, np.int64(0))
    state = view(frame[STATE_AT], STATE, np.int64(0))
    claims = view(frame[CLAIMS_AT], frame[N_CLAIMS], np.int64(0))
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
        own = worker * count // frame[WORKERS]
        for k in range(count):
            number = own + k if own + k < count else own + k - count
            if claim(claims, number, generation):
                run_task(frame, state[PHASE], number, count, worker, real)
                close_task(frame, state, count, real)


def work_single(frame_at, worker):
    work(np.float32(0), frame_at, worker)


def work_double(frame_at, worker):
    work(np.float64(0), frame_at, worker)


@intrinsic
def _call(typingctx, address, frame_at, worker):
    def codegen(context, builder, signature, args):
        integer = ir.IntType(64)
        kind = ir.FunctionType(ir.VoidType(), [integer, integer])
        function = builder.inttoptr(args[0], kind.as_pointer())
        builder.call(function, args[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), codegen


def share(address, frame_at, workers):
    """Run the function at `address` in several threads."""
    for worker in prange(workers):
        _call(address, frame_at, worker)


class Runner:
    """The job function of one precision, for `threads.call`.

    Called with the address of a frame and the number of workers that the frame has room for.
    """

    _share = None  # both precisions share one: it only calls an address

    def __init__(self, function):
        if numba.config.DISABLE_JIT:
            self.serial = lambda frame_at, workers: function(frame_at, 0)
            return
        with undisturbed():
            options = {"nopython": True, "fastmath": set(FASTMATH), "error_model": "numpy"}
            signature = types.void(types.int64, types.int64)
            cache = KernelCache(function, {"cfunc": True})
            self._compiled = c_function(function, signature, options, cache)
        self._address = self._compiled.address
        kind = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)  # releases the GIL
        call = kind(self._address)
        self.serial = lambda frame_at, workers: call(frame_at, 0)

    @property
    def cold(self):
        """Whether the first parallel call has to compile or load something."""
        return Runner._share is None

    def parallel(self, frame_at, workers):
        if Runner._share is None:
            Runner._share = kernel(share, parallel=True)
        Runner._share(self._address, frame_at, workers)


@functools.cache
def runner(single):
    """The `Runner` in single or double precision; compiles it once."""
    return Runner(work_single if single else work_double)


def open_job(frame, state, claims, job, first, last, tasks):
    """Enter a job into its frame and open its first phase, of so many tasks."""
    if state[GENERATION] > _LAST_GENERATION:
        state[GENERATION], claims[:] = 0, 0
    frame[JOB], frame[FIRST], frame[LAST] = job, first, last
    state[PHASE] = 2 * first if job == TRAIN else first
    state[GENERATION] += 1
    state[OPEN] = state[GENERATION] << _COUNT | tasks if first < last else _END
    state[DONE] = 0
