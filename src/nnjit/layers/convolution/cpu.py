"""Convolutions on the CPU: forward, backward and gradient of one block of rows.

Values are packed (see `nnjit.core.jobs.job.Step`): value c of point p of row j of a block lies at
``(c * points + p) * rows + j`` behind the layer's start, so that the same sum over the taps of a
kernel is one long vector for neighbouring points and all rows. Nothing is copied or padded: the
tables of tables.py tell where taps read, and which points have which.

    forward    h = phi(W^T x + b), x being the inputs that the taps of a point read
    backward   delta := delta phi'(z);  delta of the inputs = W delta, taps reading the deltas
    gradient   dW = sum over points and rows of x delta^T,  db = that of delta

A register tile does ReLU as the last thing of the product, and its derivative as the last thing
of the product that makes the delta of the inputs; other activations are units of their own.
"""

import functools

import numpy as np

from nnjit.core.compiler.jit import inline, viewing
from nnjit.core.compiler.units import named_units
from nnjit.core.jobs.job import block_of, chunk_of, job_of, params_of, step_of, work_of
from nnjit.core.jobs.records import reader, view
from nnjit.core.maps.lengths import clear_tails
from nnjit.core.simd import (
    FROM_BIAS,
    MASK,
    PLAIN,
    RELU,
    Epilogue,
    Prologue,
    Rows,
    Segments,
    Strided,
    Taps,
    Vector,
    gathered_dot,
    gathered_product,
)
from nnjit.formulas import find_activation
from nnjit.layers.activation import (
    ActivatedStep,
    activate,
    differentiate,
    enter_activation,
    reads_outputs,
)
from nnjit.layers.convolution.tables import Run, Window, make_tables
from nnjit.layers.layer import size_of

__all__ = [
    "MASKS_INPUTS",
    "ROWS_ALONE",
    "ConvolutionStep",
    "make_step",
    "reads_outputs",
    "units",
]

WEIGHTS, BIASES = range(2)  # pieces
ROWS_ALONE = True  # some rows of the weights' gradient can be had without the others
MASKS_INPUTS = True  # backward can end in the derivative of a ReLU below
# Bytes of a filter's delta that gradients go over at once: few enough for the values and deltas
# there to stay in the second-level cache while all weights need them, and many beside a horizontal
# sum. No more than a gathered dot product takes in one piece, which begin at the same points then,
# however many there are: a series' gradient does not depend on how long others are.
STREAM = 4096
RUN_BYTES, WINDOW_BYTES = Run.dtype.itemsize, Window.dtype.itemsize


class ConvolutionStep(ActivatedStep):
    """What a convolution has beside that."""

    weights: int  # offsets of the parameters
    row: int  # elements from one row of the weights to the next
    biases: int
    epilogue: int  # of the product: PLAIN or RELU
    mask_inputs: int  # 1: the delta of the inputs is masked by ReLU's derivative
    groups: int
    group_channels: int  # that go into a group, and its filters
    group_filters: int
    input_points: int  # of a channel
    ones_at: int  # (stream,)
    stream: int  # elements of a filter's delta that the gradient goes over at once
    height: int  # rows of points that come out, and points of one
    width: int
    window_step: int  # points from what a row of points reads to what the next one reads
    # see tables.py
    runs_at: int  # (n_runs,) Run records
    n_runs: int
    delta_runs_at: int  # (n_delta_runs,) Run records, of the delta of the inputs
    n_delta_runs: int
    windows_at: int  # (n_windows,) Window records
    n_windows: int
    table_at: int  # (table_size,) int64, with the taps and segments
    table_size: int


convolution_step_of = reader(ConvolutionStep)
run_of, window_of = reader(Run), reader(Window)


@viewing
def _table_of(step):
    return view(step.table_at, step.table_size, np.int64(0))


@inline
def forward_convolution(job, step, block, like):
    """Weighted sums of all filters, run by run, and ReLU if the product does it."""
    params, work, rows = params_of(job, like), work_of(job, block, like), block.rows
    table, filters, points = _table_of(step), step.group_filters, step.points * rows
    for group in range(step.groups):
        first = group * filters
        source = step.input_row * job.stride
        source += group * step.group_channels * step.input_points * rows
        target = step.output_row * job.stride + first * points
        for number in range(step.n_runs):
            run = run_of(step.runs_at + number * RUN_BYTES)
            gathered_product(
                filters, run.points * rows, run.depth,
                Strided(params, step.weights + first, 1, 0),
                Vector(work, source + run.reads * rows), Taps(table, run.taps, rows),
                Rows(work, target + run.point * rows, points),
                Prologue(FROM_BIAS, params, step.biases + first), Epilogue(step.epilogue, 0),
            )  # fmt: skip


@inline
def backward_convolution(job, step, block, like):
    """Delta of the inputs, run by run, masked by the derivative of a ReLU below."""
    params, work, rows = params_of(job, like), work_of(job, block, like), block.rows
    table, channels, points = _table_of(step), step.group_channels, step.input_points * rows
    mask = (step.input_row - step.input_delta_row) * job.stride
    for group in range(step.groups):
        first = group * step.group_filters
        source = step.delta_row * job.stride + first * step.points * rows
        target = step.input_delta_row * job.stride + group * channels * points
        for number in range(step.n_delta_runs):
            run = run_of(step.delta_runs_at + number * RUN_BYTES)
            gathered_product(
                channels, run.points * rows, run.depth,
                Strided(params, step.weights + first, step.row, 0),
                Vector(work, source + run.reads * rows), Taps(table, run.taps, rows),
                Rows(work, target + run.point * rows, points),
                None, Epilogue(MASK if step.mask_inputs else PLAIN, mask),
            )  # fmt: skip


@inline
def window_gradient(job, step, block, window, low, high, top, bottom, target, at, add, like):
    """dW (+)= x delta^T for rows low..high-1 of those of a window.

    The sums are over rows top..bottom-1 of its points, of which there is one at least; row `at` of
    `target` is row `low`.
    """
    work, rows = work_of(job, block, like), block.rows
    reads = window.reads + (top - window.top) * step.window_step + low * window.step
    point = window.point + (top - window.top) * step.width
    count, scale = (bottom - top) * window.row_segments, rows
    if window.joined:
        count, scale = np.int64(1), (bottom - top) * step.width * rows
    segments, filters = Segments(_table_of(step), window.segments, count, scale), step.group_filters
    for group in range(step.groups):
        channel, filter = group * step.group_channels, group * filters
        x = step.input_row * job.stride + (channel * step.input_points + reads) * rows
        delta = step.delta_row * job.stride + (filter * step.points + point) * rows
        gathered_dot(
            high - low, filters, segments, Rows(work, x, window.step * rows),
            Rows(work, delta, step.points * rows), Rows(target, at * step.row + filter, step.row),
            add,
        )  # fmt: skip


@inline
def clear_rows(target, at, rows, row, columns):
    """Set rows of a matrix to 0."""
    for i in range(at, at + rows):
        for j in range(columns):
            target[i * row + j] = 0


@inline
def weight_gradient(job, step, block, chunk, target, add, like):
    """dW (+)= x delta^T for the chunk's rows, over so many rows of points after another."""
    height = max(1, step.stream // (step.width * block.rows))
    for first in range(0, step.height, height):
        for number in range(step.n_windows):
            window = window_of(step.windows_at + number * WINDOW_BYTES)
            low = max(chunk.first - window.row, 0)
            high = min(chunk.first + chunk.rows - window.row, window.rows)
            top, bottom = max(first, window.top), min(first + height, window.bottom)
            if low >= high:
                continue
            at = window.row + low - chunk.first
            if top < bottom:
                begins = top == window.top and window.adds == 0
                window_gradient(
                    job, step, block, window, low, high, top, bottom, target, at,
                    add if begins else 1, like,
                )  # fmt: skip
            elif window.top == window.bottom and add == 0 and window.adds == 0:
                clear_rows(target, at, high - low, step.row, chunk.columns)


@inline
def bias_gradient(job, step, block, target, add, like):
    """db (+)= sum of delta over points and rows."""
    work, size = work_of(job, block, like), step.points * block.rows
    ones, table = view(step.ones_at, step.stream, like), _table_of(step)
    for first in range(0, size, step.stream):
        delta = Rows(work, step.delta_row * job.stride + first, size)
        segments = Segments(table, 0, 1, min(step.stream, size - first))
        gathered_dot(
            step.channels, 1, segments, delta, Rows(ones, 0, 0), Rows(target, 0, 1),
            add if first == 0 else 1,
        )  # fmt: skip


@functools.cache
def units(single):
    """The units of a convolution in one precision, by their fields in a `Step`."""
    like = np.float32(0) if single else np.float64(0)

    def forward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), convolution_step_of(step_at), block_of(block_at)
        forward_convolution(job, step, block, like)
        activate(job, step, block, like)
        clear_tails(job, step_of(step_at), block, step.output_row, like)

    def backward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), convolution_step_of(step_at), block_of(block_at)
        differentiate(job, step, block, like)
        clear_tails(job, step_of(step_at), block, step.delta_row, like)
        if step.input_delta_row >= 0:
            backward_convolution(job, step, block, like)

    def gradient(job_at, step_at, block_at, chunk_at, target_at, add, ahead):
        job, step, block = job_of(job_at), convolution_step_of(step_at), block_of(block_at)
        chunk = chunk_of(chunk_at)
        target = view(target_at, chunk.high - chunk.low, like)
        if chunk.piece == BIASES:
            bias_gradient(job, step, block, target, add, like)
        else:
            weight_gradient(job, step, block, chunk, target, add, like)

    return named_units("convolution", single, forward, backward, gradient)


@functools.cache
def _ones(dtype):
    return np.ones(STREAM // dtype.itemsize, dtype)


def make_step(program, number, layer):
    """The record of a convolution.

    Parameters
    ----------
    program : Program
        Of the network that the layer is part of.
    number : int
        Of the layer.
    layer : nnjit.layers.convolution.spec.Conv
    """
    step = program.place(ConvolutionStep.table(1), number, units(program.single))
    weights, biases = program.layout.of(number)
    step["weights"], step["row"], step["biases"] = weights.start, weights.row, biases.start
    in_product = find_activation(layer.activation).epilogue == "relu"
    step["epilogue"] = RELU if in_product else PLAIN
    enter_activation(program, number, layer, step, done=in_product)
    _enter_sizes(step, layer, program.shapes[number])
    _enter_tables(
        program, step, make_tables(layer, program.shapes[number], weights.row, program.training)
    )
    if program.training:
        step["stream"] = STREAM // program.dtype.itemsize
        step["ones_at"] = program.keep(_ones(program.dtype))
        step["mask_inputs"] = program.masks_below(number)
    return step


def _enter_sizes(step, layer, inputs):
    """Numbers of channels and points; a series is a column of points."""
    step["groups"], step["group_channels"] = layer.groups, layer.channels_of_group(inputs)
    step["group_filters"] = layer.filters // layer.groups
    step["input_points"] = size_of(inputs[1:])
    axes = layer.axes(inputs)
    step["height"], step["width"] = (*layer.outputs(inputs)[1:], 1)[:2]
    _, _, stride, _ = axes[0]
    step["window_step"] = stride * size_of(inputs[2:])


def _enter_tables(program, step, tables):
    at = program.keep(tables.values)
    step["table_at"], step["table_size"] = at, tables.values.size
    for name in ("runs", "delta_runs", "windows"):
        step[f"{name}_at"] = at + getattr(tables, name) * tables.values.itemsize
        step[f"n_{name}"] = getattr(tables, f"n_{name}")
