"""The way through time, point by point.

    gates = W^T x + b                      of some points in one product
    gates += U^T (states before a point)   point by point, then the cell's own arithmetic

Rows of a block stand by their lengths, the longest first: at each point the first so many are there
and the others cost nothing. What rows leave at their own end is noted there.
"""

import numpy as np

from nnjit.core.compiler.jit import inline
from nnjit.core.compiler.units import call
from nnjit.core.jobs.job import order_of, params_of, work_of
from nnjit.core.jobs.records import view
from nnjit.core.maps.activations import copy
from nnjit.core.simd import Rows, Strided, product, transpose_into
from nnjit.layers.recurrence.records import (
    after,
    before,
    fed_at,
    kept_at,
    plane_at,
    recurrent_plane,
    state_at,
    state_size,
)
from nnjit.layers.recurrence.rows import (
    active,
    add_product,
    clear,
    lengths_of,
    longest,
    multiply,
    run_from,
    transpose_whole,
)

__all__ = ["first_of_ends", "go_forward"]

POSITIONS = 256  # points of rows whose inputs go through the weights at once


# -- the beginning ------------------------------------------------------------------------


@inline
def begin_states(job, step, block, direction, slot, like):
    """States in front of the first point: zeros, or what a window before this one has left.

    Those are the last ones of a row without a single point.
    """
    work, size = work_of(job, block, like), block.rows * step.units
    at, apart = state_at(job, step, block, direction, slot), state_size(job, step)
    for kind in range(step.states):
        clear(work[at + kind * apart : at + kind * apart + size])
    if job.states_at != 0:
        carry_states(job, step, block, at, apart, np.int64(0), like)
    last = kept_at(job, step, direction.last)
    for kind in range(step.states):
        here, there = at + kind * apart, last + kind * step.units * job.stride
        copy(work[here : here + size], work[there : there + size])


@inline
def carry_states(job, step, block, at, apart, leaves, like):
    """Read the states that rows go on from, or (leaves = 1) write those that they leave.

    In a block these begin at `at`, one kind of them `apart` from the next. A row without a single
    point leaves nothing.
    """
    lengths, units = lengths_of(job, step, block, like), step.units
    numbers = view(job.state_rows_at, job.n_samples, np.int64(0))
    work, order = work_of(job, block, like), order_of(block)
    for j in range(block.rows):
        number = numbers[block.start + order[j]]
        row = number if number >= 0 else -1 - number
        if (number < 0 and leaves == 0) or (lengths[j] == 0 and leaves):
            continue
        row_at = job.states_at + (row * job.state_size + step.carried) * work.itemsize
        states = view(row_at, step.states * units, like)
        for kind in range(step.states):
            here, there = at + kind * apart + j * units, kind * units
            for u in range(units):
                if leaves:
                    states[there + u] = work[here + u]
                else:
                    work[here + u] = states[there + u]


# -- points -------------------------------------------------------------------------------


@inline
def project(job, step, block, direction, low, high, base, lengths, like):
    """gates = W^T x + b at points low..high-1, and the biases of what comes from the states.

    What is kept of these begins with point `base`.
    """
    work, params, rows = work_of(job, block, like), params_of(job, like), block.rows
    one, units = view(step.one_at, 1, like), step.units
    point = low
    while point < high:
        run, here = run_from(lengths, point, high), active(lengths, point)
        count = (run - 1) * rows + here
        for plane in range(step.gates + step.recurrent_gates):
            target = Rows(work, plane_at(job, step, block, direction, plane, point - base), units)
            bias = direction.biases + plane * units
            if plane >= step.gates:
                bias = direction.recurrent_biases + (plane - step.gates) * units
            product(
                count, units, 1, Strided(one, 0, 0, 0), Rows(params, bias, 0), target,
                None, None, None,
            )  # fmt: skip
            if plane < step.gates:
                x = step.input_row * job.stride + point * rows
                add_product(
                    count, units, step.input_channels, Strided(work, x, 1, step.points * rows),
                    Rows(params, direction.weights + plane * units, direction.weights_row), target,
                )  # fmt: skip
        point += run


@inline
def feed(job, step, block, direction, point, rows, like):
    """What enters the recurrent product, where not all states do."""
    work, n = work_of(job, block, like), rows * step.units
    states = state_at(job, step, block, direction, before(direction, point))
    mask, target = kept_at(job, step, direction.mask), fed_at(job, step, block, direction, point)
    multiply(work[states : states + n], work[mask : mask + n], work[target : target + n])


@inline
def pass_point(job, step, block, direction, point, rows, like):
    """The states behind a point, for the first so many rows; those of the others are 0."""
    work, params, units = work_of(job, block, like), params_of(job, like), step.units
    itemsize, size = work.itemsize, state_size(job, step)
    if step.threshold > 0:
        feed(job, step, block, direction, point, rows, like)
    fed = Strided(work, fed_at(job, step, block, direction, point), units, 1)
    for gate in range(step.gates):
        plane = plane_at(job, step, block, direction, recurrent_plane(step, gate), point)
        add_product(
            rows, units, units, fed,
            Rows(params, direction.recurrent + gate * units, direction.recurrent_row),
            Rows(work, plane, units),
        )  # fmt: skip
    target = state_at(job, step, block, direction, after(direction, point))
    source = state_at(job, step, block, direction, before(direction, point))
    gates = plane_at(job, step, block, direction, np.int64(0), point)
    call(step.cell_forward_at, (
        block.work_at + gates * itemsize, step.steps * units * job.stride * itemsize,
        block.work_at + source * itemsize, block.work_at + target * itemsize,
        size * itemsize, rows * units,
    ))  # fmt: skip
    for kind in range(step.states):
        at = target + kind * size
        clear(work[at + rows * units : at + block.rows * units])


@inline
def first_of_ends(direction, lengths, point, rows):
    """The first of the active rows whose last point on a way this is; all behind it are that."""
    if direction.reverse:
        return 0 if point == 0 else rows
    return active(lengths, point + 1)


@inline
def note_last(job, step, block, direction, slot, point, rows, lengths, like):
    """Keep the states of rows that end at a point, which are the last ones of those active."""
    work, units = work_of(job, block, like), step.units
    first = first_of_ends(direction, lengths, point, rows)
    n = (rows - first) * units
    for kind in range(step.states):
        at = state_at(job, step, block, direction, slot) + kind * state_size(job, step)
        last = kept_at(job, step, direction.last + kind * units)
        at, last = at + first * units, last + first * units
        copy(work[at : at + n], work[last : last + n])


@inline
def give_out(job, step, block, direction, slot, point, like):
    """The states of all rows at a point, as packed outputs."""
    work, units, rows = work_of(job, block, like), step.units, block.rows
    row = step.points * rows
    target = step.output_row * job.stride + direction.first * row + point * rows
    source = state_at(job, step, block, direction, slot)
    transpose_whole(rows, units, work, source, units, target, row)


@inline
def give_last(job, step, block, direction, like):
    """The last states as outputs."""
    work, units = work_of(job, block, like), step.units
    last = kept_at(job, step, direction.last)
    target = (step.output_row + direction.first) * job.stride
    transpose_into(block.rows, units, Rows(work, last, units), None, Rows(work, target, job.stride))


# -- all of it ----------------------------------------------------------------------------


@inline
def roll(job, step, block, direction, source, target, like):
    """Have the states in one slot be those in another."""
    work, size = work_of(job, block, like), block.rows * step.units
    for kind in range(step.states):
        a = state_at(job, step, block, direction, source) + kind * state_size(job, step)
        b = state_at(job, step, block, direction, target) + kind * state_size(job, step)
        copy(work[a : a + size], work[b : b + size])


@inline
def pass_points(job, step, block, direction, low, high, base, lengths, like):
    """Go through points low..high-1; what is kept of them begins with point `base`."""
    lasts = step.sequences == 0 or job.states_at != 0
    for k in range(high - low):
        point = high - 1 - k if direction.reverse else low + k
        here, rows = point - base, active(lengths, point)
        slot = after(direction, here)
        pass_point(job, step, block, direction, here, rows, like)
        if lasts:
            note_last(job, step, block, direction, slot, point, rows, lengths, like)
        if step.sequences:
            give_out(job, step, block, direction, slot, point, like)


@inline
def clear_outputs(job, step, block, direction, first, like):
    """No row has points from one on."""
    work, rows = work_of(job, block, like), block.rows
    for u in range(step.units):
        at = step.output_row * job.stride + (direction.first + u) * step.points * rows
        clear(work[at + first * rows : at + step.points * rows])


@inline
def go_forward(job, step, block, direction, like):
    """All points in one direction, some at a time."""
    lengths, zero = lengths_of(job, step, block, like), np.int64(0)
    points, keeps_all = longest(lengths), step.steps >= step.points
    most = max(min(POSITIONS // block.rows, step.steps), 1)
    runs = (points + most - 1) // most
    slot = points if keeps_all else points - (runs - 1) * most
    begin_states(job, step, block, direction, slot if direction.reverse else zero, like)
    for number in range(runs):
        low = (runs - 1 - number if direction.reverse else number) * most
        high, base = min(low + most, points), zero if keeps_all else low
        if number > 0 and not keeps_all:  # what the points before have left
            left = zero if direction.reverse else most
            roll(job, step, block, direction, left, most - left, like)
        project(job, step, block, direction, low, high, base, lengths, like)
        pass_points(job, step, block, direction, low, high, base, lengths, like)
    if step.sequences:
        clear_outputs(job, step, block, direction, points, like)
    else:
        give_last(job, step, block, direction, like)
    if job.states_at != 0:
        last = kept_at(job, step, direction.last)
        carry_states(job, step, block, last, step.units * job.stride, np.int64(1), like)
