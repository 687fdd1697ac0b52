"""Gradients of the parameters of a recurrent layer, by what the backward pass left.

dW = sum over points and rows of x delta^T,  dU = that of (states before) delta^T
db = that of delta
"""

from nnjit.core.compiler.jit import inline, viewing
from nnjit.core.jobs.job import work_of
from nnjit.core.jobs.records import view
from nnjit.core.simd import Rows, Strided
from nnjit.layers.recurrence.records import fed_at, plane_at, recurrent_plane
from nnjit.layers.recurrence.rows import (
    active,
    add_product,
    add_to,
    clear,
    lengths_of,
    longest,
    run_from,
)

__all__ = ["add_gradient"]

WEIGHTS, RECURRENT, BIASES, RECURRENT_BIASES = range(4)  # pieces of one direction
SUMMANDS = 1024


@viewing
def factors(job, step, block, direction, piece, first, point, like):
    """What the deltas of some points are multiplied by, from row `first` of a parameter on."""
    work, rows = work_of(job, block, like), block.rows
    if piece == WEIGHTS:
        x = step.input_row * job.stride + (first * step.points + point) * rows
        return Strided(work, x, step.points * rows, 1)
    if piece == RECURRENT:
        fed = fed_at(job, step, block, direction, point)
        return Strided(work, fed + first, 1, step.units)
    return Strided(view(step.one_at, 1, like), 0, 0, 0)


@inline
def partial_at(job, step, block, way, piece, first):
    """Where in the scratch the partial sums of a direction's parameter begin, from a row on.

    Nobody else's are there: threads may compute rows of one parameter at the same time.
    """
    row = way * (step.input_channels + step.units + 2) + first
    if piece != WEIGHTS:
        row += step.input_channels
    if piece >= BIASES:
        row += step.units + piece - BIASES
    return job.scratch_row * job.stride + step.partial * block.lanes + row * step.gates * step.units


@inline
def delta_plane(step, piece, gate):
    """The plane with the deltas by which a gate's part of a parameter has its gradient."""
    if piece == RECURRENT:
        return recurrent_plane(step, gate)
    return step.gates + gate if piece == RECURRENT_BIASES else gate


@inline
def sum_points(job, step, block, direction, piece, first, height, gates, low, high, at, like):
    """Add the gradient of so many rows of a parameter over points low..high-1 to partial sums."""
    work, units, rows = work_of(job, block, like), step.units, block.rows
    lengths, point = lengths_of(job, step, block, like), low
    while point < high:
        run, here = run_from(lengths, point, high), active(lengths, point)
        left = factors(job, step, block, direction, piece, first, point, like)
        for gate in range(gates):
            delta = plane_at(job, step, block, direction, delta_plane(step, piece, gate), point)
            add_product(
                height, units, (run - 1) * rows + here, left, Rows(work, delta, units),
                Rows(work, at + gate * units, gates * units),
            )  # fmt: skip
        point += run


@inline
def add_gradient(job, step, block, way, direction, piece, first, height, row, target, like):
    """Add the gradient of so many rows of a parameter, those of a vector being one row.

    No sum has more than some SUMMANDS terms: in float32 long ones lose digits.
    """
    work, end = work_of(job, block, like), longest(lengths_of(job, step, block, like))
    gates = step.recurrent_gates if piece == RECURRENT_BIASES else step.gates
    at, width = partial_at(job, step, block, way, piece, first), gates * step.units
    points = max(SUMMANDS // block.rows, 1)
    for low in range(0, end, points):
        high = min(low + points, end)
        clear(work[at : at + height * width])
        sum_points(job, step, block, direction, piece, first, height, gates, low, high, at, like)
        for i in range(height):
            partial = work[at + i * width : at + (i + 1) * width]
            add_to(partial, target[i * row : i * row + width])
