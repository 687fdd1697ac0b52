"""Targets at every point of series: the end of a network for the points in turn.

A point of a series is a sample of the loss. So the end of a block is that of a job of its own, a
record like the whole job's, whose samples are the points and whose values are the logits of some
hundred of them at a time, in a small workspace behind the block's. Only points that series have
come there, so that nothing is read of a target behind an end, and the units for one target of a
row do for many. A block of points is entered behind the block's own record.
"""

import functools

import numpy as np

from nnjit.core.compiler.jit import inline, vectorized, viewing
from nnjit.core.compiler.units import Unit, call, call_for_real
from nnjit.core.jobs.job import Block, Job, block_of, job_of, order_of, step_at, step_of, work_of
from nnjit.core.jobs.records import reader, view
from nnjit.core.maps.activations import copy
from nnjit.core.maps.lengths import is_ragged, length_of

__all__ = [
    "PointsJob",
    "point_losses_unit",
    "point_outputs_unit",
]

BLOCK_BYTES = Block.dtype.itemsize


class PointsJob(Job):
    """The job of the points, whose `block_rows` is how many come at a time.

    Its workspace has logits, deltas and what losses need, all of whole vectors, and then for each
    of the points its number among all (int64) and its place in the block's values (int64).
    """

    offset_bytes: int  # from a block's workspace to that of its points
    numbers_bytes: int  # from there to the numbers


points_job_of = reader(PointsJob)


@viewing
def places_of(points, inner):
    """Where the points of a block of points lie in each channel of the values."""
    return view(inner.order_at + 8 * points.block_rows, inner.rows, np.int64(0))


@inline
def enter_points(job, block, block_at):
    """Have a block of points be the one of this block; its address."""
    points, inner_at = points_job_of(job.points_at), block_at + BLOCK_BYTES
    inner = block_of(inner_at)
    inner.work_at = block.work_at + points.offset_bytes
    inner.order_at = inner.work_at + points.numbers_bytes
    inner.start = inner.first = inner.next_size = 0
    return inner_at


@inline
def take_points(job, step, block, points, inner, first):
    """Enter points from place `first` on, so many as come at a time; the place behind the last.

    Points that a series does not have are passed over.

    step : of the last layer, as a plain `Step`; points : as a plain `Job`
    """
    rows, steps, most = block.rows, step.points, points.block_rows
    order, ragged = order_of(block), is_ragged(job, step)
    numbers = view(inner.order_at, 2 * most, np.int64(0))
    place, found = first, 0
    point, row = first // rows, first % rows
    while place < steps * rows and found < most:
        sample = block.start + order[row]
        if not ragged or point < length_of(job, step, sample):
            numbers[found] = sample * steps + point
            numbers[most + found] = place
            found += 1
        place += 1
        row += 1
        if row == rows:
            point, row = point + 1, 0
    inner.rows = inner.lanes = found
    return place


@vectorized
def gather(source, places, target):
    """target[j] = source[places[j]]."""
    for j in range(len(target)):
        target[j] = source[places[j]]


@vectorized
def scatter(source, places, target):
    """target[places[j]] = source[j]."""
    for j in range(len(source)):
        target[places[j]] = source[j]


@inline
def take_values(work, at, length, points, inner, like):
    """Copy the points' values, channels being `length` elements apart, to their own workspace."""
    own, stride, n = work_of(points, inner, like), points.stride, inner.rows
    places = places_of(points, inner)
    first = places[0]
    for k in range(points.outputs):
        target, channel = own[k * stride : k * stride + n], at + k * length
        if places[n - 1] - first == n - 1:
            copy(work[channel + first : channel + first + n], target)
        else:
            gather(work[channel : channel + length], places, target)


@inline
def put_values(row, work, at, length, points, inner, like):
    """Copy values from row `row` of the points' workspace on back to where they belong."""
    own, stride, n = work_of(points, inner, like), points.stride, inner.rows
    places = places_of(points, inner)
    first = places[0]
    for k in range(points.outputs):
        source, channel = own[(row + k) * stride : (row + k) * stride + n], at + k * length
        if places[n - 1] - first == n - 1:
            copy(source, work[channel + first : channel + first + n])
        else:
            scatter(source, places, work[channel : channel + length])


@inline
def points_finite(points, inner, like):
    """Whether the sum of the points' values is finite."""
    own, total = work_of(points, inner, like), type(like)(0)
    for k in range(points.outputs):
        for j in range(inner.rows):
            total += own[k * points.stride + j]
    return np.isfinite(total)


@inline
def write_points(points, inner, out, like):
    """out[number, k] = value k of each of the points."""
    own, stride, units = work_of(points, inner, like), points.stride, points.outputs
    order = order_of(inner)
    for j in range(inner.rows):
        row = out[order[j] * units : order[j] * units + units]
        for k in range(units):
            row[k] = own[k * stride + j]


@inline
def clear_ends(job, step, block, points, out):
    """Set what is behind the ends of the series to 0."""
    if not is_ragged(job, step):
        return
    order, units, steps = order_of(block), points.outputs, step.points
    for j in range(block.rows):
        sample = block.start + order[j]
        first, last = length_of(job, step, sample), (sample + 1) * steps * units
        for i in range((sample * steps + first) * units, last):
            out[i] = 0


@functools.cache
def point_losses_unit(single):
    """Unit (job, block): output activation, delta of the logits and loss of each point; the sum.

    Deltas behind the end of a series are left as they are: the last layer sets them to 0.
    """
    like = np.float32(0) if single else np.float64(0)

    def point_losses(job_at, block_at):
        job, block = job_of(job_at), block_of(block_at)
        step, points = step_of(step_at(job, job.n_steps - 1)), job_of(job.points_at)
        inner_at = enter_points(job, block, block_at)
        inner, work = block_of(inner_at), work_of(job, block, like)
        delta, length = step_of(step_at(points, 0)).delta_row, step.points * block.rows
        total, place = 0.0, 0
        while place < length:
            place = take_points(job, step, block, points, inner, place)
            if inner.rows == 0:  # what is left lies behind the ends
                break
            take_values(work, step.output_row * job.stride, length, points, inner, like)
            total += call_for_real(points.loss_at, (job.points_at, inner_at))
            put_values(delta, work, step.delta_row * job.stride, length, points, inner, like)
        return total

    return Unit(point_losses, f"point_losses_{'single' if single else 'double'}", real=True)


@functools.cache
def point_outputs_unit(single):
    """Unit (job, block): the outputs of each point, written to where predictions go.

    Returns 1 if they are surely finite, as far as finite logits do not say so already; else 0.
    """
    like = np.float32(0) if single else np.float64(0)

    def point_outputs(job_at, block_at):
        job, block = job_of(job_at), block_of(block_at)
        step, points = step_of(step_at(job, job.n_steps - 1)), job_of(job.points_at)
        inner_at = enter_points(job, block, block_at)
        inner, work = block_of(inner_at), work_of(job, block, like)
        out = view(job.out_at, job.n_samples * job.outputs, like)
        finite, place, length = 1.0, 0, step.points * block.rows
        while place < length:
            place = take_points(job, step, block, points, inner, place)
            if inner.rows == 0:
                break
            take_values(work, step.output_row * job.stride, length, points, inner, like)
            if not job.logits and points.output_at != 0:
                call(points.output_at, (job.points_at, inner_at))
                if job.output_overflows and not points_finite(points, inner, like):
                    finite = 0.0
            write_points(points, inner, out, like)
        clear_ends(job, step, block, points, out)
        return finite

    return Unit(point_outputs, f"point_outputs_{'single' if single else 'double'}", real=True)
