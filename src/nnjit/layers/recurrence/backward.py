"""Backpropagation through time: the way of forward.py the other way round.

delta of the states += what the layer above says
deltas of the gates, in place of these, by the cell's own arithmetic
delta of the states before := what goes there straight + U deltas
delta of the inputs = W deltas         of some points in one product
"""

import numpy as np

from nnjit.core.compiler.jit import inline
from nnjit.core.compiler.units import call
from nnjit.core.jobs.job import params_of, work_of
from nnjit.core.simd import Rows, Strided
from nnjit.layers.recurrence.forward import first_of_ends
from nnjit.layers.recurrence.records import (
    DIRECTION_BYTES,
    after,
    before,
    direction_of,
    kept_at,
    plane_at,
    recurrent_plane,
    state_at,
    state_size,
)
from nnjit.layers.recurrence.rows import (
    active,
    add_product,
    add_to,
    clear,
    flush,
    lengths_of,
    longest,
    multiply,
    run_from,
    transpose_whole,
)

__all__ = ["go_back", "input_delta"]

# Deltas below these are 0: far from what a sum of any others would notice, and as far from numbers
# that are not normal.
LEAST_SINGLE, LEAST_DOUBLE = 1e-30, 1e-290


# -- weights, the other way round ---------------------------------------------------------


@inline
def transposed_at(job, step, block, number):
    """Where the transposed weights of the states begin in the scratch, of a direction."""
    size = step.gates * step.units * step.units
    return job.scratch_row * job.stride + step.transposed * block.lanes + number * size


@inline
def transposed_inputs_at(job, step, block, number):
    """Where those of the inputs do."""
    size = step.gates * step.units * step.input_channels
    return job.scratch_row * job.stride + step.transposed_inputs * block.lanes + number * size


@inline
def transpose_weights(job, block, weights, row, inputs, width, at, like):
    """Lay inputs x width weights down as width x inputs."""
    work, params = work_of(job, block, like), params_of(job, like)
    for k in range(width):
        for i in range(inputs):
            work[at + k * inputs + i] = params[weights + i * row + k]


# -- points -------------------------------------------------------------------------------


@inline
def take_delta(job, step, block, direction, point, rows, lengths, like):
    """Add what the layer above says of the states at a point, or of the last ones."""
    work, units = work_of(job, block, like), step.units
    delta, spare = kept_at(job, step, direction.delta), kept_at(job, step, step.spare)
    if step.sequences:
        row = step.points * block.rows
        source = step.delta_row * job.stride + direction.first * row + point * block.rows
        transpose_whole(units, rows, work, source, row, spare, units)
        add_to(work[spare : spare + rows * units], work[delta : delta + rows * units])
        return
    first = first_of_ends(direction, lengths, point, rows) * units
    add_to(work[spare + first : spare + rows * units], work[delta + first : delta + rows * units])


@inline
def flush_deltas(job, step, block, direction, rows, like):
    """Deltas that have vanished are 0.

    Over many points they become numbers so small that processors take a hundred times as long with
    them, and products with what is left of those would be such numbers too.
    """
    work, size = work_of(job, block, like), rows * step.units
    least = work.dtype.type(LEAST_SINGLE if work.itemsize == 4 else LEAST_DOUBLE)
    for kind in range(step.states):
        delta = kept_at(job, step, direction.delta + kind * step.units)
        flush(work[delta : delta + size], least)


@inline
def unpass_point(job, step, block, direction, point, rows, like):
    """Deltas of the gates, and what goes straight to the states before."""
    work, units = work_of(job, block, like), step.units
    itemsize, size = work.itemsize, state_size(job, step)
    gates = plane_at(job, step, block, direction, np.int64(0), point)
    source = state_at(job, step, block, direction, before(direction, point))
    target = state_at(job, step, block, direction, after(direction, point))
    delta = kept_at(job, step, direction.delta)
    call(step.cell_backward_at, (
        block.work_at + gates * itemsize, step.steps * units * job.stride * itemsize,
        block.work_at + source * itemsize, block.work_at + target * itemsize,
        size * itemsize, rows * units,
        block.work_at + delta * itemsize, units * job.stride * itemsize,
    ))  # fmt: skip


@inline
def return_deltas(job, step, block, direction, point, rows, transposed, like):
    """delta of the states before += U deltas of the gates."""
    work, units = work_of(job, block, like), step.units
    delta, n = kept_at(job, step, direction.delta), rows * units
    target = delta if step.threshold == 0 else kept_at(job, step, step.spare)
    if step.threshold > 0:
        clear(work[target : target + n])
    for gate in range(step.gates):
        plane = plane_at(job, step, block, direction, recurrent_plane(step, gate), point)
        add_product(
            rows, units, units, Strided(work, plane, units, 1),
            Rows(work, transposed + gate * units * units, units), Rows(work, target, units),
        )  # fmt: skip
    if step.threshold > 0:
        mask = kept_at(job, step, direction.mask)
        multiply(work[target : target + n], work[mask : mask + n], work[target : target + n])
        add_to(work[target : target + n], work[delta : delta + n])


@inline
def clear_deltas(job, step, block, direction, like):
    """No delta goes on."""
    work, size = work_of(job, block, like), block.rows * step.units
    for kind in range(step.states):
        delta = kept_at(job, step, direction.delta + kind * step.units)
        clear(work[delta : delta + size])


@inline
def go_back(job, step, block, direction, number, like):
    """All points in one direction, the last one first."""
    work, units, rows = work_of(job, block, like), step.units, block.rows
    lengths = lengths_of(job, step, block, like)
    transposed = transposed_at(job, step, block, number)
    transpose_weights(
        job, block, direction.recurrent, direction.recurrent_row, units, step.gates * units,
        transposed, like,
    )  # fmt: skip
    clear_deltas(job, step, block, direction, like)
    if step.sequences == 0:
        source = (step.delta_row + direction.first) * job.stride
        spare = kept_at(job, step, step.spare)
        transpose_whole(units, rows, work, source, job.stride, spare, units)
    points = longest(lengths)
    for k in range(points):
        point = k if direction.reverse else points - 1 - k
        here = active(lengths, point)
        take_delta(job, step, block, direction, point, here, lengths, like)
        flush_deltas(job, step, block, direction, here, like)
        unpass_point(job, step, block, direction, point, here, like)
        if step.truncate > 0 and point % step.truncate == 0:
            clear_deltas(job, step, block, direction, like)
        else:
            return_deltas(job, step, block, direction, point, here, transposed, like)


# -- inputs -------------------------------------------------------------------------------


@inline
def add_inputs(job, step, block, direction, low, high, transposed, lengths, like):
    """Delta of the inputs at points low..high-1 += W deltas, in rows x channels."""
    work, units, rows = work_of(job, block, like), step.units, block.rows
    channels, staged = step.input_channels, kept_at(job, step, step.staged)
    point = low
    while point < high:
        run, here = run_from(lengths, point, high), active(lengths, point)
        target = Rows(work, staged + (point - low) * rows * channels, channels)
        for gate in range(step.gates):
            plane = plane_at(job, step, block, direction, gate, point)
            add_product(
                (run - 1) * rows + here, channels, units, Strided(work, plane, units, 1),
                Rows(work, transposed + gate * units * channels, channels), target,
            )  # fmt: skip
        point += run


@inline
def input_delta(job, step, block, like):
    """Delta of the inputs, some points at a time; 0 behind the ends of the rows."""
    work, rows, channels = work_of(job, block, like), block.rows, step.input_channels
    lengths, staged = lengths_of(job, step, block, like), kept_at(job, step, step.staged)
    row = step.points * rows
    for number in range(step.n_directions):
        direction = direction_of(step.directions_at + number * DIRECTION_BYTES)
        transpose_weights(
            job, block, direction.weights, direction.weights_row, channels,
            step.gates * step.units, transposed_inputs_at(job, step, block, number), like,
        )  # fmt: skip
    for low in range(0, step.points, step.chunk):
        high = min(low + step.chunk, step.points)
        clear(work[staged : staged + (high - low) * rows * channels])
        for number in range(step.n_directions):
            direction = direction_of(step.directions_at + number * DIRECTION_BYTES)
            transposed = transposed_inputs_at(job, step, block, number)
            add_inputs(
                job, step, block, direction, low, min(high, longest(lengths)), transposed,
                lengths, like,
            )  # fmt: skip
        target = step.input_delta_row * job.stride + low * rows
        transpose_whole((high - low) * rows, channels, work, staged, channels, target, row)
