"""Every piece of work that is shared out among threads, behind one C function.

A task is compiled once per precision and called through its address, so the drivers that
loop over minibatches and threads (epoch.py) stay a few lines, compile fast and serve both
precisions, and the serial and the parallel driver run the very same machine code.
"""

import functools

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core.ccallback import CFunc
from numba.extending import intrinsic

from nnjit.core.block import Data, gradient_block
from nnjit.core.cache import KernelCache
from nnjit.core.frame import FRAME_SIZE, Field, view
from nnjit.core.interrupts import interrupt_afterwards
from nnjit.core.jit import FASTMATH, inline
from nnjit.core.layout import FIELDS
from nnjit.core.optimizers import CLOCK, DELTA_SCALE, EPS, HYPER, sum_of_squares, update_range
from nnjit.core.predict import forward_slot

__all__ = ["call_task", "compile_task"]

# kinds of tasks
GRADIENT, UPDATE, SQUARES, WEIGHT, FORWARD = range(5)

(
    LAYERS_AT, N_LAYERS, PARAMS_AT, N_FLAT, N_WEIGHTS, UNITS_TOTAL, WIDEST, LOSS,
    X_AT, X_SIZE, X_ROW, X_COLUMN, INDICES_AT, INDPTR_AT, N_SAMPLES, TARGETS_AT, LABELS_AT,
    WEIGHTS_AT, WORK_AT, WORK_SIZE, WORK_BYTES, BLOCK_ROWS, STRIDE, GRADS_AT, SLOTS,
    FIRST_AT, SECOND_AT, HYPER_AT, CLOCK_AT, SOLVER, N_ORDER, RANGE_SIZE, BATCH_SIZE,
    OUT_AT, LOGITS,
) = (int(field) for field in Field)  # fmt: skip


@inline
def present(address, n):
    """Length of an optional array: 0 where its address is."""
    return n if address != 0 else 0


@inline
def data_of(frame, units, real):
    n = frame[N_SAMPLES]
    return Data(
        view(frame[X_AT], frame[X_SIZE], real),
        frame[X_ROW],
        frame[X_COLUMN],
        view(frame[INDICES_AT], present(frame[INDICES_AT], frame[X_SIZE]), np.int32(0)),
        view(frame[INDPTR_AT], present(frame[INDPTR_AT], n + 1), np.int64(0)),
        view(frame[TARGETS_AT], present(frame[TARGETS_AT], n * units), real),
        view(frame[LABELS_AT], present(frame[LABELS_AT], n), np.int32(0)),
        view(frame[WEIGHTS_AT], present(frame[WEIGHTS_AT], n), real),
    )


@inline
def workspace(frame, slot, real):
    return view(frame[WORK_AT] + slot * frame[WORK_BYTES], frame[WORK_SIZE], real)


@inline
def gradient_slot(frame, layers, params, data, order, slot, slots, start, rows, add, real):
    """Loss of all blocks of one slot; their gradient replaces, or adds to, the slot's buffer."""
    work = workspace(frame, slot, real)
    grads = view(frame[GRADS_AT], frame[SLOTS] * frame[N_FLAT], real)
    hyper = view(frame[HYPER_AT], HYPER, np.float64(0))
    scale, eps = params.dtype.type(hyper[DELTA_SCALE]), params.dtype.type(hyper[EPS])
    total = 0.0
    first = slot * frame[BLOCK_ROWS]
    while first < rows:
        total += gradient_block(
            layers, frame[LOSS], params, data, order, start + first,
            min(frame[BLOCK_ROWS], rows - first), work, frame[STRIDE],
            frame[UNITS_TOTAL], frame[WIDEST], grads, slot * frame[N_FLAT], add, scale, eps,
        )  # fmt: skip
        add = 1
        first += slots * frame[BLOCK_ROWS]
    return total


@inline
def range_bounds(frame, number):
    """(low, high, is weights) of one range; ranges of weights come first, then biases."""
    size, n_weights = frame[RANGE_SIZE], frame[N_WEIGHTS]
    weight_ranges = (n_weights + size - 1) // size
    if number < weight_ranges:
        low = number * size
        return low, min(low + size, n_weights), True
    low = n_weights + (number - weight_ranges) * size
    return low, min(low + size, frame[N_FLAT]), False


@inline
def update_task(frame, params, number, slots, scale, moving, real):
    """Step of one range (if moving); sum of its squared weights, 0 for biases."""
    low, high, weights = range_bounds(frame, number)
    if moving:
        grads = view(frame[GRADS_AT], frame[SLOTS] * frame[N_FLAT], real)
        first = view(frame[FIRST_AT], frame[N_FLAT], real)
        second = view(frame[SECOND_AT], present(frame[SECOND_AT], frame[N_FLAT]), real)
        hyper = view(frame[HYPER_AT], HYPER, np.float64(0))
        clock = view(frame[CLOCK_AT], CLOCK, np.float64(0))
        update_range(
            frame[SOLVER], hyper, clock, params, grads, first, second, frame[N_FLAT],
            slots, low, high, weights, scale,
        )  # fmt: skip
    return sum_of_squares(params[low:high]) if weights else 0.0


@inline
def weight_of(data, order, start, rows):
    """Sum of the weights of a minibatch."""
    if data.weights.shape[0] == 0:
        return float(rows)
    total = 0.0
    for j in range(rows):
        total += float(data.weights[order[start + j]])
    return total


@inline
def run_task(real, kind, frame_at, order_at, number, count, start, rows, scale):
    """One task; the meaning of the numbers depends on its kind (see `call_task`)."""
    frame = view(frame_at, FRAME_SIZE, np.int64(0))
    layers = view(frame[LAYERS_AT], frame[N_LAYERS] * FIELDS, np.int64(0))
    layers = layers.reshape((frame[N_LAYERS], FIELDS))
    params = view(frame[PARAMS_AT], frame[N_FLAT], real)
    if kind == UPDATE or kind == SQUARES:
        return update_task(frame, params, number, count, scale, kind == UPDATE, real)
    units = layers[frame[N_LAYERS] - 1, 2]
    data = data_of(frame, units, real)
    if kind == FORWARD:
        work = workspace(frame, number, real)
        order = view(order_at, frame[BLOCK_ROWS], np.int64(0))
        out = view(frame[OUT_AT], frame[N_SAMPLES] * units, real)
        forward_slot(
            number, count, layers, frame[LOGITS], params, data, start, rows, order,
            frame[BLOCK_ROWS], frame[STRIDE], frame[UNITS_TOTAL], work, out,
        )  # fmt: skip
        return 0.0
    order = view(order_at, frame[N_ORDER], np.int64(0))
    if kind == WEIGHT:
        return weight_of(data, order, start, rows)
    add = 1 if scale != 0.0 else 0
    return gradient_slot(frame, layers, params, data, order, number, count, start, rows, add, real)


def task_single(kind, frame_at, order_at, number, count, start, rows, scale):
    return run_task(np.float32(0), kind, frame_at, order_at, number, count, start, rows, scale)


def task_double(kind, frame_at, order_at, number, count, start, rows, scale):
    return run_task(np.float64(0), kind, frame_at, order_at, number, count, start, rows, scale)


_SIGNATURE = types.float64(*[types.int64] * 7, types.float64)
_PYTHON = {0: task_single, 1: task_double}


@functools.cache
def compile_task(single):
    """Address of the task function in single or double precision; compiles it once."""
    function = task_single if single else task_double
    if numba.config.DISABLE_JIT:
        return 0 if single else 1
    options = {"nopython": True, "fastmath": set(FASTMATH), "error_model": "numpy"}
    with interrupt_afterwards():
        compiled = CFunc(function, (_SIGNATURE.args, _SIGNATURE.return_type), {}, options)
        compiled._cache = KernelCache(function, {"cfunc": True})
        compiled.compile()
    _KEEP.append(compiled)
    return compiled.address


_KEEP = []


@intrinsic
def _call_task(typingctx, address, kind, frame_at, order_at, number, count, start, rows, scale):
    def codegen(context, builder, signature, args):
        real, integer = ir.DoubleType(), ir.IntType(64)
        kind_of = ir.FunctionType(real, [integer] * 7 + [real])
        function = builder.inttoptr(args[0], kind_of.as_pointer())
        return builder.call(function, args[1:])

    return types.float64(*[types.int64] * 8, types.float64), codegen


def _python_call_task(address, *arguments):
    return _PYTHON[address](*arguments)


call_task = _python_call_task if numba.config.DISABLE_JIT else _call_task
