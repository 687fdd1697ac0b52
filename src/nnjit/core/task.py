"""The pieces of work that threads share: blocks of rows and ranges of parameters.

A task reads and writes what its number says and nothing else, so it does not matter who runs
it. A range of parameters comes in two kinds: either it takes the gradient from buffers that
the slots (groups of blocks) filled before, or, fused, it computes the gradient of its own
rows of a weight matrix from the activations and deltas that the slots left, and moves these
rows while the gradient is still in the cache. The second spares a large network one write and
one read of a whole gradient for every slot.
"""

import numpy as np

from nnjit.core.block import (
    Data,
    backward_block,
    bias_gradient,
    gradient_block,
    offsets_of,
    row_gradient,
)
from nnjit.core.compiler.jit import inline, viewing
from nnjit.core.frame import Field, view
from nnjit.core.layout import FAN_OUT, FIELDS
from nnjit.core.layout import STRIDE as ROW_STRIDE
from nnjit.core.optimizers import (
    CLOCK,
    DELTA_SCALE,
    EPS,
    HYPER,
    add_slots,
    sum_of_squares,
    update_range,
)
from nnjit.core.predict import predict_block
from nnjit.core.simd import Prefetch
from nnjit.core.simd import lanes as lanes_of

__all__ = ["RANGE_FIELDS", "predict_task", "slot_task", "squares_task", "update_task"]

# columns of the table of ranges: elements, whether they are penalized, and for fused ranges
# the layer with the first row and the number of rows (none for the biases)
LOW, HIGH, PENALIZED, LAYER, ROW, ROWS = range(6)
RANGE_FIELDS = 6

(
    LAYERS_AT, N_LAYERS, PARAMS_AT, N_FLAT, UNITS_TOTAL, LOSS,
    X_AT, X_SIZE, X_ROW, X_COLUMN, INDICES_AT, INDPTR_AT, N_SAMPLES, TARGETS_AT, LABELS_AT,
    WEIGHTS_AT, ORDER_AT, N_ORDER, EPOCHS, EPOCH_BATCHES, JOB, FIRST, LAST, STATE_AT,
    CLAIMS_AT, N_CLAIMS, WORKERS, REPORT_AT, EPOCH_LOSSES_AT,
    WORK_AT, WORK_SIZE, WORK_BYTES, BLOCK_ROWS, STRIDE, BATCH_SIZE, SLOTS, LOSSES_AT,
    RANGES_AT, N_RANGES, SQUARES_AT, FUSED, SCRATCH_AT, SCRATCH_SIZE, SCRATCH_BYTES, GRADS_AT,
    FIRST_AT, SECOND_AT, HYPER_AT, CLOCK_AT, SOLVER, OUT_AT, LOGITS,
) = (int(field) for field in Field)  # fmt: skip


@inline
def present(address, n):
    """Length of an optional array: 0 where its address is."""
    return n if address != 0 else 0


@viewing
def layers_of(frame):
    layers = view(frame[LAYERS_AT], frame[N_LAYERS] * FIELDS, np.int64(0))
    return layers.reshape((frame[N_LAYERS], FIELDS))


@viewing
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


@viewing
def workspace(frame, number, real):
    return view(frame[WORK_AT] + number * frame[WORK_BYTES], frame[WORK_SIZE], real)


@inline
def slot_task(frame, slot, slots, start, rows, add, worker, real):
    """Loss of all blocks of one slot among the rows start..start+rows-1 of the orders.

    Their gradient replaces (add = 0), or is added to, the slot's buffer, unless the ranges
    compute it; the slot then has a single block.
    """
    layers = layers_of(frame)
    params = view(frame[PARAMS_AT], frame[N_FLAT], real)
    data = data_of(frame, layers[frame[N_LAYERS] - 1, FAN_OUT], real)
    order = view(frame[ORDER_AT], frame[EPOCHS] * frame[N_ORDER], np.int64(0))
    # whoever runs the slot next may be on another core: only what others read moves with it
    work = workspace(frame, slot if frame[FUSED] else worker, real)
    hyper = view(frame[HYPER_AT], HYPER, np.float64(0))
    scale, eps = params.dtype.type(hyper[DELTA_SCALE]), params.dtype.type(hyper[EPS])
    total = 0.0
    first = slot * frame[BLOCK_ROWS]
    while first < rows:
        n = min(frame[BLOCK_ROWS], rows - first)
        total += backward_block(
            layers, frame[LOSS], params, data, order, start + first, n, work, frame[STRIDE],
            frame[UNITS_TOTAL], scale, eps,
        )  # fmt: skip
        if not frame[FUSED]:
            grads = view(frame[GRADS_AT], frame[SLOTS] * frame[N_FLAT], real)
            gradient_block(
                layers, data, order, start + first, n, work, frame[STRIDE], frame[UNITS_TOTAL],
                grads, slot * frame[N_FLAT], add,
            )  # fmt: skip
        add = 1
        first += slots * frame[BLOCK_ROWS]
    return total


@viewing
def range_of(frame, number):
    """The row of the table of ranges."""
    return view(frame[RANGES_AT] + number * RANGE_FIELDS * 8, RANGE_FIELDS, np.int64(0))


@inline
def squares_task(frame, number, real):
    """Sum of the squared weights of a range, 0 for biases."""
    part = range_of(frame, number)
    params = view(frame[PARAMS_AT], frame[N_FLAT], real)
    return sum_of_squares(params[part[LOW] : part[HIGH]]) if part[PENALIZED] else 0.0


@inline
def slots_of(frame, rows):
    """How many slots a batch of so many rows keeps busy."""
    block = frame[BLOCK_ROWS]
    return min(frame[SLOTS], (rows + block - 1) // block)


@viewing
def summed_gradient(frame, part, rows, real):
    """Gradient of a range, added up over the slots in the first slot's buffer."""
    grads = view(frame[GRADS_AT], frame[SLOTS] * frame[N_FLAT], real)
    add_slots(grads, frame[N_FLAT], slots_of(frame, rows), part[LOW], part[HIGH])
    return grads[part[LOW] : part[HIGH]]


@viewing
def own_gradient(frame, part, start, rows, worker, real):
    """Gradient of a range of a weight matrix's rows, or of biases, in the worker's scratch."""
    layers = layers_of(frame)
    data = data_of(frame, layers[frame[N_LAYERS] - 1, FAN_OUT], real)
    order = view(frame[ORDER_AT], frame[EPOCHS] * frame[N_ORDER], np.int64(0))
    target = view(frame[SCRATCH_AT] + worker * frame[SCRATCH_BYTES], frame[SCRATCH_SIZE], real)
    layer, stride, zero = part[LAYER], frame[STRIDE], np.int64(0)
    # wanted when the gradient is there: both moments, then the parameters
    params = view(frame[PARAMS_AT], frame[N_FLAT], real)
    first = view(frame[FIRST_AT], frame[N_FLAT], real)
    both = 1 if frame[SECOND_AT] != 0 else 0
    gap, size = (frame[SECOND_AT] - frame[FIRST_AT]) // params.itemsize, part[HIGH] - part[LOW]
    at = offsets_of(layers, frame[UNITS_TOTAL], stride)
    for slot in range(slots_of(frame, rows)):
        work = workspace(frame, slot, real)
        n = min(frame[BLOCK_ROWS], rows - slot * frame[BLOCK_ROWS])
        width = lanes_of(work)
        vectors = (n + width - 1) // width
        if part[ROWS] > 0:
            row_gradient(
                layer, part[ROW], part[ROWS], layers, data, order,
                start + slot * frame[BLOCK_ROWS], n, work, stride, at.delta, at.across, vectors,
                target, zero, min(slot, 1),
                Prefetch(
                    first if slot == 0 else params, part[LOW], size if slot < 2 else 0, gap,
                    1 + both if slot == 0 else 1,
                ),
            )  # fmt: skip
        else:
            bias_gradient(
                layer, layers, work, stride, at.delta, at.ones, vectors, target, zero, min(slot, 1)
            )
    clear_padding(target, part[ROWS], layers[layer, FAN_OUT], layers[layer, ROW_STRIDE])
    return target[: part[HIGH] - part[LOW]]


@inline
def clear_padding(matrix, rows, columns, stride):
    """Zeros between the rows: the padding of the parameters has to stay zero."""
    for i in range(rows):
        for j in range(columns, stride):
            matrix[i * stride + j] = 0


@inline
def update_task(frame, number, start, rows, worker, scale, real):
    """Step of one range after the batch of rows from `start`; sum of its squared weights."""
    part = range_of(frame, number)
    low, high = part[LOW], part[HIGH]
    if frame[FUSED]:
        g = own_gradient(frame, part, start, rows, worker, real)
    else:
        g = summed_gradient(frame, part, rows, real)
    params = view(frame[PARAMS_AT], frame[N_FLAT], real)
    first = view(frame[FIRST_AT], frame[N_FLAT], real)
    second = view(frame[SECOND_AT], present(frame[SECOND_AT], frame[N_FLAT]), real)
    hyper = view(frame[HYPER_AT], HYPER, np.float64(0))
    clock = view(frame[CLOCK_AT], CLOCK, np.float64(0))
    update_range(
        frame[SOLVER], hyper, clock, params[low:high], g, first[low:high], second[low:high],
        part[PENALIZED], scale,
    )  # fmt: skip
    return squares_task(frame, number, real)


@inline
def predict_task(frame, number, worker, real):
    """Network outputs of one block of rows; whether its inputs are surely finite."""
    layers = layers_of(frame)
    units = layers[frame[N_LAYERS] - 1, FAN_OUT]
    start = number * frame[BLOCK_ROWS]
    rows = min(frame[BLOCK_ROWS], frame[N_SAMPLES] - start)
    return predict_block(
        layers, frame[LOGITS], view(frame[PARAMS_AT], frame[N_FLAT], real),
        data_of(frame, units, real), start, rows,
        view(frame[ORDER_AT], frame[BLOCK_ROWS], np.int64(0)), frame[STRIDE], frame[UNITS_TOTAL],
        workspace(frame, worker, real), view(frame[OUT_AT], frame[N_SAMPLES] * units, real),
    )  # fmt: skip
