"""Pooling layers on the CPU, on packed values (see `nnjit.core.jobs.job.Step`).

Loops run along the samples of a point, in vectors; where there is one, along the windows.

The largest value's delta goes to the first point of a window that has it: the points are gone
through in order, and what is left of the delta is 0 from the first on that equals the output.
"""

import functools

import numpy as np

from nnjit.core.compiler.jit import elementwise, inline, vectorized
from nnjit.core.compiler.units import named_units
from nnjit.core.jobs.job import Step, block_of, job_of, step_of, work_of
from nnjit.core.jobs.records import reader
from nnjit.core.maps.lengths import clear_tails
from nnjit.core.maps.points import added, larger, point_of

__all__ = ["MASKS_INPUTS", "ROWS_ALONE", "make_step", "units"]

MASKS_INPUTS = True
ROWS_ALONE = True  # it has no parameters


class PoolStep(Step):
    """What a pooling layer has beside that. Series are images of one row."""

    height: int  # points of the inputs
    width: int
    rows_out: int  # windows along each axis
    columns_out: int
    size_y: int  # points of a window
    size_x: int
    step_y: int  # points from one window to the next
    step_x: int
    share: float  # of a point in a mean
    mask_inputs: int  # 1: delta is multiplied by the derivative of a ReLU below as well


pool_step_of = reader(PoolStep)


# -- forward ----------------------------------------------------------------------------


@inline
def _are_four(step):
    """Whether windows are the most frequent ones, of 2 x 2 points side by side."""
    return step.size_y == 2 and step.size_x == 2 and step.step_y == 2 and step.step_x == 2


@inline
def _row_of_windows(step, block, number):
    """Where row `number` of all rows of windows begins, among values and among outputs."""
    channel, y = divmod(number, step.rows_out)
    values = (channel * step.height + y * step.step_y) * step.width * block.rows
    return values, number * step.columns_out * block.rows


def _forward_of(join):
    """Function (job, step, block, like): joins the points of every window, one after the other."""

    @vectorized
    def join_four(upper, lower, rows, windows, target):
        """A row of windows of 2 x 2 points side by side."""
        for w in range(windows):
            found = point_of(target, w, rows)
            a, b = point_of(upper, 2 * w, rows), point_of(upper, 2 * w + 1, rows)
            c, d = point_of(lower, 2 * w, rows), point_of(lower, 2 * w + 1, rows)
            for j in range(rows):
                found[j] = join(join(join(a[j], b[j]), c[j]), d[j])

    @vectorized
    def join_many(values, size_y, size_x, step, width, rows, windows, target):
        """A row of any windows."""
        for w in range(windows):
            found, first = point_of(target, w, rows), point_of(values, w * step, rows)
            for j in range(rows):
                found[j] = first[j]
            for t in range(1, size_y * size_x):
                more = point_of(values, w * step + t // size_x * width + t % size_x, rows)
                for j in range(rows):
                    found[j] = join(found[j], more[j])

    @vectorized
    def join_one(values, size_y, size_x, step, width, windows, target):
        """The same for a single sample, with the points of a window innermost."""
        four = size_y == 2 and size_x == 2
        for w in range(windows):
            at = w * step
            if four:
                upper = join(values[at], values[at + 1])
                found = join(join(upper, values[at + width]), values[at + width + 1])
            else:
                found = values[at]
                for x in range(1, size_x):
                    found = join(found, values[at + x])
                for y in range(1, size_y):
                    for x in range(size_x):
                        found = join(found, values[at + y * width + x])
            target[w] = found

    @inline
    def forward(job, step, block, like):
        work, rows, windows = work_of(job, block, like), block.rows, step.columns_out
        length = step.width * rows
        four = _are_four(step)
        for number in range(step.channels * step.rows_out):
            at, out = _row_of_windows(step, block, number)
            x, h = step.input_row * job.stride + at, step.output_row * job.stride + out
            values, target = work[x : x + step.size_y * length], work[h : h + windows * rows]
            if rows == 1:
                join_one(
                    values, step.size_y, step.size_x, step.step_x, step.width, windows, target
                )  # fmt: skip
            elif four:
                join_four(values[:length], values[length:], rows, windows, target)
            else:
                join_many(
                    values, step.size_y, step.size_x, step.step_x, step.width, rows, windows, target
                )  # fmt: skip

    return forward


_largest_forward, _sum_forward = _forward_of(larger), _forward_of(added)


@vectorized
def _scale(values, factor):
    for i in range(len(values)):
        values[i] = values[i] * factor


# -- backward ---------------------------------------------------------------------------


@vectorized
def _clear(values):
    """Zeros."""
    zero = values.dtype.type(0)
    for i in range(len(values)):
        values[i] = zero


@vectorized
def _mask(delta, values):
    """delta := 0 where the ReLU that gave these values has no slope."""
    zero = delta.dtype.type(0)
    for i in range(len(delta)):
        delta[i] = delta[i] if values[i] > zero else zero


@inline
def _clear_inputs(job, step, block, like):
    """Zeros in the delta of the inputs."""
    at = step.input_delta_row * job.stride
    _clear(work_of(job, block, like)[at : at + step.inputs * block.rows])


@elementwise
def _is_first(value, largest):
    """Whether a value is the largest, of those that come after none that is."""
    return (value == largest) | (value != value)


@vectorized
def _give_four(upper, lower, largest, delta, masks, rows, windows, upper_delta, lower_delta):
    """Windows of 2 x 2 points side by side: the delta of each to one of them, 0 to the others."""
    zero = delta.dtype.type(0)
    for w in range(windows):
        out, left = point_of(largest, w, rows), point_of(delta, w, rows)
        a, b = point_of(upper, 2 * w, rows), point_of(upper, 2 * w + 1, rows)
        c, d = point_of(lower, 2 * w, rows), point_of(lower, 2 * w + 1, rows)
        first, second = point_of(upper_delta, 2 * w, rows), point_of(upper_delta, 2 * w + 1, rows)
        third, fourth = point_of(lower_delta, 2 * w, rows), point_of(lower_delta, 2 * w + 1, rows)
        for j in range(rows):
            most, rest = out[j], left[j]
            rest = rest if (most > zero) | (masks == 0) else zero
            hit = _is_first(a[j], most)
            first[j], rest = rest if hit else zero, zero if hit else rest
            hit = _is_first(b[j], most)
            second[j], rest = rest if hit else zero, zero if hit else rest
            hit = _is_first(c[j], most)
            third[j], rest = rest if hit else zero, zero if hit else rest
            fourth[j] = rest if _is_first(d[j], most) else zero


@vectorized
def _give_first(
    values, largest, delta, masks, size_y, size_x, step, width, rows, windows, rest, target
):
    """The same for a row of any windows: what a point gets is added to what it has."""
    zero = delta.dtype.type(0)
    for w in range(windows):
        out, given = point_of(largest, w, rows), point_of(delta, w, rows)
        for j in range(rows):
            rest[j] = given[j] if (out[j] > zero) | (masks == 0) else zero
        for y in range(size_y):
            for x in range(size_x):
                at = y * width + w * step + x
                value, total = point_of(values, at, rows), point_of(target, at, rows)
                for j in range(rows):
                    left = rest[j]
                    part = left if _is_first(value[j], out[j]) else zero
                    total[j] = total[j] + part
                    rest[j] = left - part


@vectorized
def _share_out(delta, share, size_y, size_x, step, width, rows, windows, target):
    """A row of windows: each point gets an equal share of the delta, beside what it has."""
    for w in range(windows):
        given = point_of(delta, w, rows)
        for y in range(size_y):
            for x in range(size_x):
                at = y * width + w * step + x
                total = point_of(target, at, rows)
                for j in range(rows):
                    total[j] = total[j] + given[j] * share


@inline
def largest_backward(job, step, block, like):
    """The delta of a window to the first point that has its largest value."""
    work, rows, stride = work_of(job, block, like), block.rows, job.stride
    length, windows = step.width * rows, step.columns_out
    four = _are_four(step)
    if not (four and step.width == 2 * windows and step.height == 2 * step.rows_out):
        _clear_inputs(job, step, block, like)
    for number in range(step.channels * step.rows_out):
        at, out = _row_of_windows(step, block, number)
        x, dx = step.input_row * stride + at, step.input_delta_row * stride + at
        h, dh = step.output_row * stride + out, step.delta_row * stride + out
        largest, delta = work[h : h + windows * rows], work[dh : dh + windows * rows]
        if four:
            _give_four(
                work[x : x + length], work[x + length : x + 2 * length], largest, delta,
                step.mask_inputs, rows, windows, work[dx : dx + length],
                work[dx + length : dx + 2 * length],
            )  # fmt: skip
        else:
            n, rest = step.size_y * length, job.spare_row * stride
            _give_first(
                work[x : x + n], largest, delta, step.mask_inputs, step.size_y, step.size_x,
                step.step_x, step.width, rows, windows, work[rest : rest + rows], work[dx : dx + n],
            )  # fmt: skip


@inline
def shared_backward(job, step, block, like):
    """The delta of a window in equal shares to its points."""
    work, rows, stride = work_of(job, block, like), block.rows, job.stride
    n, windows = step.size_y * step.width * rows, step.columns_out
    _clear_inputs(job, step, block, like)
    for number in range(step.channels * step.rows_out):
        at, out = _row_of_windows(step, block, number)
        dx, dh = step.input_delta_row * stride + at, step.delta_row * stride + out
        _share_out(
            work[dh : dh + windows * rows], type(like)(step.share), step.size_y, step.size_x,
            step.step_x, step.width, rows, windows, work[dx : dx + n],
        )  # fmt: skip
    if step.mask_inputs:
        n, x, dx = step.inputs * rows, step.input_row * stride, step.input_delta_row * stride
        _mask(work[dx : dx + n], work[x : x + n])


# -- units ------------------------------------------------------------------------------


@functools.cache
def units(single):
    """The units of pooling layers in one precision, by name; a layer takes what it needs."""
    like = np.float32(0) if single else np.float64(0)

    def max_forward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), pool_step_of(step_at), block_of(block_at)
        _largest_forward(job, step, block, like)
        clear_tails(job, step_of(step_at), block, step.output_row, like)

    def mean_forward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), pool_step_of(step_at), block_of(block_at)
        _sum_forward(job, step, block, like)
        at = step.output_row * job.stride
        outputs = work_of(job, block, like)[at : at + step.outputs * block.rows]
        _scale(outputs, type(like)(step.share))
        clear_tails(job, step_of(step_at), block, step.output_row, like)

    def max_backward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), pool_step_of(step_at), block_of(block_at)
        clear_tails(job, step_of(step_at), block, step.delta_row, like)
        if step.input_delta_row >= 0:
            largest_backward(job, step, block, like)

    def mean_backward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), pool_step_of(step_at), block_of(block_at)
        clear_tails(job, step_of(step_at), block, step.delta_row, like)
        if step.input_delta_row >= 0:
            shared_backward(job, step, block, like)

    return named_units("pooling", single, max_forward, mean_forward, max_backward, mean_backward)


def make_step(program, number, layer):
    """The record of a pooling layer.

    Parameters
    ----------
    program : Program
        Of the network that the layer is part of.
    number : int
        Of the layer.
    layer : nnjit.layers.pooling.spec.Pool
    """
    made = units(program.single)
    passes = {name: made[f"{layer.method}_{name}"] for name in ("forward", "backward")}
    step = program.place(PoolStep.table(1), number, passes)
    axes = layer.axes(program.shapes[number])
    (height, size_y, step_y), (width, size_x, step_x) = [(1, 1, 1), *axes][-2:]
    step["height"], step["size_y"], step["step_y"] = height, size_y, step_y
    step["width"], step["size_x"], step["step_x"] = width, size_x, step_x
    step["rows_out"], step["columns_out"] = (1, *program.shapes[number + 1][1:])[-2:]
    step["share"] = 1.0 / (size_y * size_x)
    step["mask_inputs"] = program.training and program.masks_below(number)
    return step
