"""Training as one compiled call: a run of minibatches of one epoch.

Two parallel regions per minibatch: the blocks of rows, each with its own gradient buffer
("slot"), and the ranges of the flat parameter buffer for the update. How many blocks, slots
and ranges there are follows from the shapes alone, so the bits do not depend on threads.
"""

from typing import NamedTuple

import numpy as np

from nnjit.core.block import gradient_block
from nnjit.core.jit import inline, prange, twins
from nnjit.core.optimizers import ALPHA, DELTA_SCALE, advance, sum_of_squares, update_range

__all__ = ["Plan", "State", "train"]

# entries of the float64 report of a call
LOSS, SKIPPED, FINITE = range(3)
REPORT = 3


class Plan(NamedTuple):
    """Fixed shape of the work for one layout, batch size and data set."""

    loss: int
    units_total: int
    widest: int
    n_flat: int
    n_weights: int
    n_samples: int
    batch_size: int
    block_rows: int
    stride: int
    slots: int
    work_size: int  # workspace elements of one slot
    range_size: int


class State(NamedTuple):
    """What training changes."""

    params: np.ndarray  # (n_flat,)
    grads: np.ndarray  # (slots * n_flat,)
    first: np.ndarray  # (n_flat,) Adam's first moment, SGD's velocity, or the gradient
    second: np.ndarray  # (n_flat,) Adam's second moment
    clock: np.ndarray  # step count and powers of beta, float64
    work: np.ndarray  # (slots * work_size,)
    slot_loss: np.ndarray  # (slots,) float64
    range_squares: np.ndarray  # (ranges,) float64


@inline
def run_slot(slot, slots, layers, plan, state, hyper, data, order, start, rows, eps):
    """All blocks of one slot, in order."""
    work = state.work[slot * plan.work_size : (slot + 1) * plan.work_size]
    scale = state.params.dtype.type(hyper[DELTA_SCALE])
    total = 0.0
    add = 0
    first = slot * plan.block_rows
    while first < rows:
        block = min(plan.block_rows, rows - first)
        total += gradient_block(
            layers, plan.loss, state.params, data, order, start + first, block, work, plan.stride,
            plan.units_total, plan.widest, state.grads, slot * plan.n_flat, add, scale, eps,
        )  # fmt: skip
        add = 1
        first += slots * plan.block_rows
    state.slot_loss[slot] = total


@inline
def range_bounds(number, plan):
    """(low, high, is weights) of one range; ranges of weights come first, then biases."""
    weight_ranges = (plan.n_weights + plan.range_size - 1) // plan.range_size
    if number < weight_ranges:
        low = number * plan.range_size
        return low, min(low + plan.range_size, plan.n_weights), True
    low = plan.n_weights + (number - weight_ranges) * plan.range_size
    return low, min(low + plan.range_size, plan.n_flat), False


@inline
def squares_of_range(number, plan, state):
    """Sum of the squares of one range of weights; biases are not penalized."""
    low, high, weights = range_bounds(number, plan)
    return sum_of_squares(state.params[low:high]) if weights else 0.0


@inline
def run_range(number, solver, slots, plan, state, hyper, scale):
    """Update of one range."""
    low, high, weights = range_bounds(number, plan)
    update_range(
        solver, hyper, state.clock, state.params, state.grads, state.first, state.second,
        plan.n_flat, slots, low, high, weights, scale,
    )  # fmt: skip
    state.range_squares[number] = squares_of_range(number, plan, state)


@inline
def total_of(values, n):
    total = 0.0
    for i in range(n):
        total += values[i]
    return total


@inline
def batch_weight(data, order, start, rows):
    if data.weights.shape[0] == 0:
        return float(rows)
    total = 0.0
    for j in range(rows):
        total += float(data.weights[order[start + j]])
    return total


@twins
def train(layers, plan, state, hyper, solver, data, order, first, last, eps, report):
    """Minibatches first..last-1 of an epoch over the samples `order`.

    Parameters
    ----------
    layers : IN (n_layers, FIELDS) layer table
    plan : Plan
    state : State, INOUT
    hyper : IN (HYPER,) float64
    solver : int, a code of `optimizers.SOLVERS`
    data : Data
    order : IN (n_samples,) int64
    eps : real, clipping of probabilities in the log losses
    report : OUT (REPORT,) float64
        Sum over batches of loss times rows; batches skipped because their weights sum to
        zero; 1, or 0 if a loss was not finite (the call ends before that batch's update).
    """
    n_ranges = state.range_squares.shape[0]
    for number in range(n_ranges):
        state.range_squares[number] = squares_of_range(number, plan, state)
    squares = total_of(state.range_squares, n_ranges)
    report[LOSS] = 0.0
    report[SKIPPED] = 0.0
    report[FINITE] = 1.0
    for batch in range(first, last):
        start = batch * plan.batch_size
        rows = min(plan.batch_size, plan.n_samples - start)
        weight = batch_weight(data, order, start, rows)
        if weight == 0.0:
            report[SKIPPED] += 1.0
            continue
        slots = min(plan.slots, (rows + plan.block_rows - 1) // plan.block_rows)
        for slot in prange(slots):
            run_slot(slot, slots, layers, plan, state, hyper, data, order, start, rows, eps)
        loss = (total_of(state.slot_loss, slots) + 0.5 * hyper[ALPHA] * squares) / weight
        report[LOSS] += loss * rows
        if not np.isfinite(loss):
            report[FINITE] = 0.0
            break
        advance(hyper, state.clock)
        scale = 1.0 / weight
        for number in prange(n_ranges):
            run_range(number, solver, slots, plan, state, hyper, scale)
        squares = total_of(state.range_squares, n_ranges)
