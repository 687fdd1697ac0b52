"""Augmentation on the CPU, on packed values (see `nnjit.core.jobs.job.Step`).

Crop, flip and shift are together, along each axis, one map from the points of a row's result to
places among its own points. It is drawn for every row of a block and laid down as a table: the
point below that place, -1 for what comes in from outside, and how far on it lies. Then all values
of a point are taken by such tables, and noise is added. Everything is drawn from counters by the
row's place in its minibatch, so that it does not depend on blocks or threads.
"""

import functools

import numpy as np

from nnjit.core.compiler.jit import elementwise, inline, vectorized, viewing
from nnjit.core.compiler.units import call, named_units
from nnjit.core.jobs.job import Step, block_of, job_of, order_of, step_of, work_of
from nnjit.core.jobs.records import reader, view
from nnjit.core.jobs.sorting import place_of
from nnjit.core.maps.activations import copy
from nnjit.core.maps.lengths import clear_tails, is_ragged, length_of
from nnjit.core.maps.normals import key_of, normals_adder
from nnjit.core.maps.points import point_of
from nnjit.core.scalar import helper
from nnjit.formulas.random import counters
from nnjit.layers.axes import each_axis

__all__ = ["ROWS_ALONE", "TRAINING_ONLY", "make_step", "units"]

ROWS_ALONE = True
TRAINING_ONLY = True

# What is drawn for an axis, the last one first, and then for the values.
CUT, START, MOVE, FLIP, DRAWS = range(5)
NOISE = 2 * DRAWS

_random = counters(helper)
unit_key, bits = _random.unit_key, _random.bits


class AugmentStep(Step):
    """What an augmentation has beside that. Series are images of one row."""

    number: int  # of the layer, for which it draws
    height: int
    width: int
    moves_at: int  # unit that crops, flips and shifts, if noise comes after; 0 where nothing does
    shift_y: int  # most points
    shift_x: int
    flip: int
    crop: float  # most of an axis that is cut off
    noise: float
    points_y: int  # tables in the scratch, elements of a row
    points_x: int
    parts_y: int
    parts_x: int


augment_step_of = reader(AugmentStep)


@elementwise
def _word(first, second, unit, place):
    """32 bits for a row."""
    a, b = unit_key(first, second, unit)
    return bits(a, b, np.uint32(place))


@elementwise
def _share(word):
    """A number in (0, 1) of 32 bits."""
    return (np.float64(word) + 0.5) * 2.0**-32


@elementwise
def _shift_of(word, most):
    """A whole number from -most to most of 32 bits, each as likely as the others."""
    return np.int64(np.uint64(word) * np.uint64(2 * most + 1) >> np.uint64(32)) - most


@vectorized
def _lay_down(first, second, axis, place, n, crop, shift, flip, rows, j, points, parts):
    """Entries of row j in the tables of one axis, of which it has n points."""
    unit, last, zero = axis * DRAWS, max(n - 1, 0), parts.dtype.type(0)
    cut = crop * _share(_word(first, second, unit + CUT, place))
    start = _share(_word(first, second, unit + START, place)) * (cut * last)
    moved = _shift_of(_word(first, second, unit + MOVE, place), min(shift, last))
    flipped = flip != 0 and _word(first, second, unit + FLIP, place) < np.uint32(2**31)
    for i in range(len(points) // rows):
        source = i - moved
        if i < n and 0 <= source < n:
            where = start + (1.0 - cut) * (last - source if flipped else source)
            below = min(np.int64(where), last)
            points[i * rows + j] = below
            parts[i * rows + j] = min(max(where - below, 0.0), 1.0) if below < last else zero
        else:
            points[i * rows + j] = -1
            parts[i * rows + j] = zero


@elementwise
def _between(a, b, part):
    """Linear interpolation."""
    return a + part * (b - a)


@vectorized
def _take(values, points_y, points_x, height, width, rows, target):
    """Values of one channel at whole points, 0 outside."""
    zero = target.dtype.type(0)
    for y in range(height):
        source_y = point_of(points_y, y, rows)
        for x in range(width):
            source_x, out = point_of(points_x, x, rows), point_of(target, y * width + x, rows)
            for j in range(rows):
                p, q = np.int64(source_y[j]), np.int64(source_x[j])
                value = values[(max(p, 0) * width + max(q, 0)) * rows + j]
                out[j] = value if min(p, q) >= 0 else zero


@vectorized
def _blend(values, points_y, points_x, parts_y, parts_x, height, width, rows, target):
    """Values of one channel at places between points."""
    zero = target.dtype.type(0)
    for y in range(height):
        source_y, part_y = point_of(points_y, y, rows), point_of(parts_y, y, rows)
        for x in range(width):
            source_x, part_x = point_of(points_x, x, rows), point_of(parts_x, x, rows)
            out = point_of(target, y * width + x, rows)
            for j in range(rows):
                p, q, s, t = np.int64(source_y[j]), np.int64(source_x[j]), part_y[j], part_x[j]
                if min(p, q) < 0:
                    out[j] = zero
                    continue
                at = (p * width + q) * rows + j
                right = rows if t > zero else 0
                value = _between(values[at], values[at + right], t)
                if s > zero:
                    at += width * rows
                    value = _between(value, _between(values[at], values[at + right], t), s)
                out[j] = value


@viewing
def _table(work, start, columns, job, block, like):
    """A table of one axis in the scratch, of whole numbers of four bytes or of reals."""
    at = job.scratch_row * job.stride + start * block.lanes
    return view(block.work_at + at * work.itemsize, columns * block.rows, like)


@inline
def draw_maps(job, step, plain, block, like):
    """The tables of both axes, for every row of the block."""
    work, order, rows = work_of(job, block, like), order_of(block), block.rows
    points_y = _table(work, step.points_y, step.height, job, block, np.int32(0))
    points_x = _table(work, step.points_x, step.width, job, block, np.int32(0))
    parts_y = _table(work, step.parts_y, step.height, job, block, like)
    parts_x = _table(work, step.parts_x, step.width, job, block, like)
    ragged = is_ragged(job, plain)
    first, second = key_of(job, step.number)
    for j in range(rows):
        n = length_of(job, plain, block.start + order[j]) if ragged else step.width
        place = place_of(job, block, j)
        _lay_down(
            first, second, 0, place, n, step.crop, step.shift_x, step.flip, rows, j,
            points_x, parts_x,
        )  # fmt: skip
        _lay_down(
            first, second, 1, place, step.height, step.crop, step.shift_y, 0, rows, j,
            points_y, parts_y,
        )  # fmt: skip


@inline
def take_points(job, step, block, like):
    """Every channel by the tables, at whole points."""
    work, rows, n = work_of(job, block, like), block.rows, step.points * block.rows
    points_y = _table(work, step.points_y, step.height, job, block, np.int32(0))
    points_x = _table(work, step.points_x, step.width, job, block, np.int32(0))
    for c in range(step.channels):
        x, h = step.input_row * job.stride + c * n, step.output_row * job.stride + c * n
        _take(
            work[x : x + n], points_y, points_x, step.height, step.width, rows, work[h : h + n]
        )  # fmt: skip


@inline
def blend_points(job, step, block, like):
    """Every channel by the tables, between points."""
    work, rows, n = work_of(job, block, like), block.rows, step.points * block.rows
    points_y = _table(work, step.points_y, step.height, job, block, np.int32(0))
    points_x = _table(work, step.points_x, step.width, job, block, np.int32(0))
    parts_y = _table(work, step.parts_y, step.height, job, block, like)
    parts_x = _table(work, step.parts_x, step.width, job, block, like)
    for c in range(step.channels):
        x, h = step.input_row * job.stride + c * n, step.output_row * job.stride + c * n
        _blend(
            work[x : x + n], points_y, points_x, parts_y, parts_x, step.height, step.width, rows,
            work[h : h + n],
        )  # fmt: skip


@inline
def copy_points(job, step, block, like):
    """All values as they are."""
    work, n = work_of(job, block, like), step.outputs * block.rows
    x, h = step.input_row * job.stride, step.output_row * job.stride
    copy(work[x : x + n], work[h : h + n])


@functools.cache
def units(single):
    """The units of augmentations in one precision, by name; a layer takes the one it needs."""
    like = np.float32(0) if single else np.float64(0)
    add_normals = normals_adder(single)

    def whole_forward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), augment_step_of(step_at), block_of(block_at)
        draw_maps(job, step, step_of(step_at), block, like)
        take_points(job, step, block, like)

    def cropped_forward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), augment_step_of(step_at), block_of(block_at)
        draw_maps(job, step, step_of(step_at), block, like)
        blend_points(job, step, block, like)

    def noisy_forward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), augment_step_of(step_at), block_of(block_at)
        if step.moves_at != 0:
            call(step.moves_at, (job_at, step_at, block_at))
        else:
            copy_points(job, step, block, like)
        add_normals(job, step, block, step.noise, NOISE, like)
        clear_tails(job, step_of(step_at), block, step.output_row, like)

    return named_units("augmentation", single, whole_forward, cropped_forward, noisy_forward)


def make_step(program, number, layer):
    """The record of an augmentation.

    Parameters
    ----------
    program : Program
        Of the network that the layer is part of.
    number : int
        Of the layer.
    layer : nnjit.layers.augmentation.spec.Augment
    """
    made = units(program.single)
    moved, moves = made["cropped_forward" if layer.crop else "whole_forward"], layer.moves
    forward = made["noisy_forward"] if layer.noise else moved
    step = program.place(AugmentStep.table(1), number, {"forward": forward})
    _, *axes = program.shapes[number]
    height, width = (1, *axes)[-2:]
    step["number"], step["height"], step["width"] = number, height, width
    step["shift_y"], step["shift_x"] = (0, *each_axis(layer.shift, len(axes), "shift"))[-2:]
    step["flip"], step["crop"], step["noise"] = layer.flip, layer.crop, layer.noise
    if moves and layer.noise:
        step["moves_at"] = moved.address
    tables = moves or not layer.noise
    for axis, points in (("y", height), ("x", width)):
        step[f"points_{axis}"], _ = program.take_scratch(points if tables else 0)
        step[f"parts_{axis}"], _ = program.take_scratch(points if tables else 0)
    return step
