"""Global pooling on the CPU: of packed values (see `nnjit.core.jobs.job.Step`) to a vector.

Points are joined in rounds of `_TOGETHER` neighbours, each of which has a result of its own, and
these are then joined by halves. So vectors are long whatever the number of samples, no sum has many
terms, and zeros behind the end of a series change no bit of its sum.
"""

import functools
import math

import numpy as np

from nnjit.core.compiler.jit import inline, vectorized, viewing
from nnjit.core.compiler.units import named_units
from nnjit.core.jobs.job import Step, block_of, job_of, order_of, step_of, work_of
from nnjit.core.jobs.records import address_of, reader
from nnjit.core.maps.lengths import clear_tails, is_ragged, length_of
from nnjit.core.maps.points import added, larger, point_of

__all__ = ["MASKS_INPUTS", "ROWS_ALONE", "make_step", "units"]

MASKS_INPUTS = True
ROWS_ALONE = True  # it has no parameters
_TOGETHER = 32  # a power of 2


class GlobalPoolStep(Step):
    """What global pooling has beside that. `channels`, `points`, `lengths_at` are its inputs'."""

    results: int  # those of the points of a round, in the scratch, elements of a row
    mask_inputs: int  # 1: delta is multiplied by the derivative of a ReLU below as well


pool_step_of = reader(GlobalPoolStep)


@viewing
def _points_of(work, row, channel, step, job, block):
    """Values of one channel in packed inputs, or their deltas, that begin at a workspace row."""
    n = step.points * block.rows
    return work[row * job.stride + channel * n : row * job.stride + (channel + 1) * n]


@viewing
def _counts(job, step, block, like):
    """Points of every row, in the first free row of the workspace.

    step : the record as a plain `Step` (`step_of`)
    """
    work, at, real = work_of(job, block, like), job.spare_row * job.stride, type(like)
    counts, order = work[at : at + block.rows], order_of(block)
    ragged = is_ragged(job, step)
    for j in range(block.rows):
        n = length_of(job, step, block.start + order[j]) if ragged else step.points
        counts[j] = real(n)
    return counts


def _rounds_of(join, neutral):
    """Function (job, step, block, channel, like): all points joined, a vector of the rows."""

    @vectorized
    def begin(results):
        value = results.dtype.type(neutral)
        for i in range(len(results)):
            results[i] = value

    @vectorized
    def join_rounds(values, results):
        for number in range(len(values) // len(results)):
            part = point_of(values, number, len(results))
            for i in range(len(results)):
                results[i] = join(results[i], part[i])

    @vectorized
    def join_to(values, results):
        for i in range(len(values)):
            results[i] = join(results[i], values[i])

    @viewing
    def joined(job, step, block, channel, like):
        work, rows = work_of(job, block, like), block.rows
        at, n = job.scratch_row * job.stride + step.results * block.lanes, _TOGETHER * rows
        results = work[at : at + n]
        values = _points_of(work, step.input_row, channel, step, job, block)
        begin(results)
        join_rounds(values, results)
        join_to(values[len(values) // n * n :], results)
        while n > rows:
            n //= 2
            join_to(results[n : 2 * n], results[:n])
        return results[:rows]

    return joined


_sum_of, _largest_of = _rounds_of(added, 0.0), _rounds_of(larger, -math.inf)


# -- forward ----------------------------------------------------------------------------


@vectorized
def _divide(total, counts, out):
    """Means; the mean of no points is 0."""
    zero, one = out.dtype.type(0), out.dtype.type(1)
    for j in range(len(total)):
        out[j] = total[j] / max(counts[j], one)
    for j in range(len(total), len(out)):
        out[j] = zero


@vectorized
def _write_largest(largest, counts, out):
    """Largest values; that of no points is 0, and there is one 0 only."""
    zero = out.dtype.type(0)
    for j in range(len(largest)):
        out[j] = largest[j] + zero if counts[j] > zero else zero
    for j in range(len(largest), len(out)):
        out[j] = zero


@vectorized
def _largest_present(values, counts, points, largest):
    """Largest values of the points that the rows have."""
    zero, rows = largest.dtype.type(0), len(largest)
    for j in range(rows):
        largest[j] = largest.dtype.type(-math.inf)
    left = zero
    for p in range(points):
        part = point_of(values, p, rows)
        for j in range(rows):
            more = larger(largest[j], part[j])
            largest[j] = more if left < counts[j] else largest[j]
        left += largest.dtype.type(1)


@viewing
def _out(job, step, block, channel, work):
    """Outputs of one channel, in whole vectors."""
    at = (step.output_row + channel) * job.stride
    return work[at : at + block.lanes]


@inline
def mean_outputs(job, step, block, counts, like):
    """The mean of every channel, 0 behind the last row."""
    work = work_of(job, block, like)
    for c in range(step.outputs):
        total = _sum_of(job, step, block, c, like)
        _divide(total, counts, _out(job, step, block, c, work))


@inline
def largest_outputs(job, step, block, counts, ragged, like):
    """The largest value of every channel, 0 behind the last row."""
    work = work_of(job, block, like)
    at = (job.spare_row + 1) * job.stride
    for c in range(step.outputs):
        out = _out(job, step, block, c, work)
        if ragged:
            largest = work[at : at + block.rows]
            values = _points_of(work, step.input_row, c, step, job, block)
            _largest_present(values, counts, step.points, largest)
            _write_largest(largest, counts, out)
        else:
            _write_largest(_largest_of(job, step, block, c, like), counts, out)


# -- backward ---------------------------------------------------------------------------


@vectorized
def _share_out(delta, counts, values, masks, points, shares, target):
    """Every point gets an equal share of the delta."""
    zero, one, rows = delta.dtype.type(0), delta.dtype.type(1), len(shares)
    for j in range(rows):
        shares[j] = delta[j] / max(counts[j], one)
    for p in range(points):
        given, part = point_of(target, p, rows), point_of(values, p, rows)
        for j in range(rows):
            given[j] = shares[j] if (part[j] > zero) | (masks == 0) else zero


@vectorized
def _give_first(delta, counts, values, largest, masks, points, rest, target):
    """The first point that has the largest value gets the delta, the others 0."""
    zero, rows = delta.dtype.type(0), len(rest)
    for j in range(rows):
        passes = ((largest[j] > zero) | (masks == 0)) & (counts[j] > zero)
        rest[j] = delta[j] if passes else zero
    for p in range(points):
        given, part = point_of(target, p, rows), point_of(values, p, rows)
        for j in range(rows):
            left = rest[j]
            hit = (part[j] == largest[j]) | (part[j] != part[j])
            given[j] = left if hit else zero
            rest[j] = zero if hit else left


@inline
def mean_delta(job, step, block, counts, like):
    """Delta of the inputs below a mean; what is behind the end of a series is cleared later."""
    work, rows = work_of(job, block, like), block.rows
    spare = (job.spare_row + 1) * job.stride
    for c in range(step.outputs):
        dh = (step.delta_row + c) * job.stride
        _share_out(
            work[dh : dh + rows], counts, _points_of(work, step.input_row, c, step, job, block),
            step.mask_inputs, step.points, work[spare : spare + rows],
            _points_of(work, step.input_delta_row, c, step, job, block),
        )  # fmt: skip


@inline
def largest_delta(job, step, block, counts, like):
    """Delta of the inputs below a largest value."""
    work = work_of(job, block, like)
    rest, rows = (job.spare_row + 1) * job.stride, block.rows
    for c in range(step.outputs):
        dh = (step.delta_row + c) * job.stride
        values = _points_of(work, step.input_row, c, step, job, block)
        target = _points_of(work, step.input_delta_row, c, step, job, block)
        _give_first(
            work[dh : dh + rows], counts, values, _out(job, step, block, c, work),
            step.mask_inputs, step.points, work[rest : rest + rows], target,
        )  # fmt: skip


# -- units ------------------------------------------------------------------------------


@functools.cache
def units(single):
    """The units of global pooling in one precision, by name; a layer takes what it needs."""
    like = np.float32(0) if single else np.float64(0)

    def mean_forward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), pool_step_of(step_at), block_of(block_at)
        mean_outputs(job, step, block, _counts(job, step_of(step_at), block, like), like)

    def max_forward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), pool_step_of(step_at), block_of(block_at)
        counts, ragged = (
            _counts(job, step_of(step_at), block, like),
            is_ragged(job, step_of(step_at)),
        )
        largest_outputs(job, step, block, counts, ragged, like)

    def mean_backward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), pool_step_of(step_at), block_of(block_at)
        if step.input_delta_row >= 0:
            mean_delta(job, step, block, _counts(job, step_of(step_at), block, like), like)
            clear_tails(job, step_of(step_at), block, step.input_delta_row, like)

    def max_backward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), pool_step_of(step_at), block_of(block_at)
        if step.input_delta_row >= 0:
            largest_delta(job, step, block, _counts(job, step_of(step_at), block, like), like)

    return named_units(
        "global_pooling", single, mean_forward, max_forward, mean_backward, max_backward
    )


def make_step(program, number, layer):
    """The record of a global pooling layer.

    Parameters
    ----------
    program : Program
        Of the network that the layer is part of.
    number : int
        Of the layer.
    layer : nnjit.layers.global_pooling.spec.GlobalPool
    """
    made = units(program.single)
    passes = {name: made[f"{layer.method}_{name}"] for name in ("forward", "backward")}
    step = program.place(GlobalPoolStep.table(1), number, passes)
    channels, *axes = program.shapes[number]
    step["channels"], step["points"] = channels, math.prod(axes)
    lengths = program.network.lengths[number]
    if lengths is not None:
        step["lengths_at"] = address_of(lengths)  # of an array that the network keeps
    step["results"], _ = program.take_scratch(_TOGETHER)
    step["mask_inputs"] = program.training and program.masks_below(number)
    return step
