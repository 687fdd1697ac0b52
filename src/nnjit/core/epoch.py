"""Training as one compiled call: a run of minibatches of one epoch.

Two parallel regions per minibatch: the slots (groups of blocks of rows, each with its own
gradient buffer), and the ranges of the flat parameter buffer for the update. How many blocks,
slots and ranges there are follows from the shapes alone, so the bits do not depend on threads.
"""

import numpy as np

from nnjit.core.frame import FRAME_SIZE, view
from nnjit.core.jit import inline, prange, twins
from nnjit.core.optimizers import ALPHA, advance
from nnjit.core.task import (
    BATCH_SIZE,
    BLOCK_ROWS,
    FORWARD,
    GRADIENT,
    N_ORDER,
    SLOTS,
    SQUARES,
    UPDATE,
    WEIGHT,
    call_task,
)

__all__ = ["accumulate", "finish", "forward", "train"]

# entries of the float64 report of a call
LOSS, SKIPPED, FINITE = range(3)
REPORT = 3


@inline
def total_of(values, n):
    total = 0.0
    for i in range(n):
        total += values[i]
    return total


@twins
def train(task, frame_at, order_at, first, last, fresh, hyper, clock, slot_loss, squares, report):
    """Minibatches first..last-1 of an epoch.

    Parameters
    ----------
    task : int
        Address of the compiled task (task.py).
    frame_at, order_at : int
        Addresses of the frame and of the epoch's order of samples, int64.
    fresh : int
        1 if the parameters were changed since the last call with these `squares`.
    hyper : IN (HYPER,) float64
    clock : INOUT (CLOCK,) float64
    slot_loss : OUT (slots,) float64 scratch
    squares : INOUT (ranges,) float64, sums of squared weights by range
    report : INOUT (REPORT,) float64
        Added to: sum over batches of loss times rows; batches skipped because their weights
        sum to zero. Set: 1, or 0 if a loss was not finite (the call ends before that batch's
        update). Adding makes the sum the same however an epoch is cut into calls.
    """
    frame = view(frame_at, FRAME_SIZE, np.int64(0))
    batch_size, block_rows, n_order = frame[BATCH_SIZE], frame[BLOCK_ROWS], frame[N_ORDER]
    n_ranges = squares.shape[0]
    if fresh:
        for number in range(n_ranges):
            squares[number] = call_task(task, SQUARES, frame_at, order_at, number, 0, 0, 0, 0.0)
    penalty = total_of(squares, n_ranges)
    report[FINITE] = 1.0
    for batch in range(first, last):
        start = batch * batch_size
        rows = min(batch_size, n_order - start)
        weight = call_task(task, WEIGHT, frame_at, order_at, 0, 0, start, rows, 0.0)
        if weight == 0.0:
            report[SKIPPED] += 1.0
            continue
        slots = min(frame[SLOTS], (rows + block_rows - 1) // block_rows)
        for slot in prange(slots):
            slot_loss[slot] = call_task(
                task, GRADIENT, frame_at, order_at, slot, slots, start, rows, 0.0
            )
        loss = (total_of(slot_loss, slots) + 0.5 * hyper[ALPHA] * penalty) / weight
        report[LOSS] += loss * rows
        if not np.isfinite(loss):
            report[FINITE] = 0.0
            break
        advance(hyper, clock)
        scale = 1.0 / weight
        for number in prange(n_ranges):
            squares[number] = call_task(
                task, UPDATE, frame_at, order_at, number, slots, 0, 0, scale
            )
        penalty = total_of(squares, n_ranges)


@twins
def accumulate(task, frame_at, order_at, slots, start, rows, add, slot_loss):
    """Loss and gradient of the rows start..start+rows-1 of the order, for L-BFGS.

    slot_loss : OUT (slots,) float64
    add : float64, 0 to overwrite the slots' gradients, 1 to add to them
    """
    for slot in prange(slots):
        slot_loss[slot] = call_task(
            task, GRADIENT, frame_at, order_at, slot, slots, start, rows, add
        )


@twins
def finish(task, frame_at, slots, scale, squares):
    """Reduce the slots to the gradient; squares : OUT (ranges,) float64."""
    for number in prange(squares.shape[0]):
        squares[number] = call_task(task, UPDATE, frame_at, 0, number, slots, 0, 0, scale)


@twins
def forward(task, frame_at, order_at, slots, start, rows):
    """Network outputs of the samples start..start+rows-1, `slots` blocks at a time."""
    for slot in prange(slots):
        call_task(task, FORWARD, frame_at, order_at, slot, slots, start, rows, 0.0)
