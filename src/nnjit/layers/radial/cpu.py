"""Gaussian bumps around centres, for a block of rows on the CPU.

Everything is feature-major: value k of the block's row j lies at ``k * stride + j``, and vectors
run along the rows. The formulas are in spec.py; the three parts of the backward pass each start
from what the one before left.
"""

import functools
from typing import NamedTuple

import numpy as np

from nnjit.core.compiler.jit import inline, vectorized
from nnjit.core.compiler.units import Unit, call
from nnjit.core.jobs.job import Step, block_of, chunk_of, job_of, params_of, work_of
from nnjit.core.jobs.records import reader, view
from nnjit.core.maps.outputs import softmax_columns
from nnjit.core.scalar import clip, exp
from nnjit.core.simd import (
    FROM_C,
    FROM_ZERO,
    Prologue,
    Rows,
    Strided,
    dot_product,
    product,
    transpose_into,
)
from nnjit.core.simd import lanes as lanes_of
from nnjit.layers.dense.cpu import prefer_dot

__all__ = [
    "MASKS_INPUTS",
    "ROWS_ALONE",
    "Bumps",
    "Place",
    "RadialStep",
    "centers_gradient",
    "forward_normalized",
    "forward_plain",
    "inputs_delta",
    "log_widths_gradient",
    "make_step",
    "scaled_delta_normalized",
    "scaled_delta_plain",
    "units",
]

ROWS_ALONE = True  # the gradient of some centres can be had without the others
MASKS_INPUTS = False  # a ReLU below differentiates itself
CENTERS, LOG_WIDTHS = range(2)  # pieces


class RadialStep(Step):
    """What a radial layer has beside that."""

    centers: int  # offsets of the parameters
    row: int  # elements from one centre to the next
    log_widths: int
    of_centers: int  # in the scratch, elements of a row
    transposed: int
    transposed_row: int  # of which so many are the inputs' room
    inputs_delta_at: int  # unit (job, step, block), unless nobody asks for it


radial_step_of = reader(RadialStep)


class Bumps(NamedTuple):
    """A radial layer: its sizes, and where its parameters start in a flat array."""

    inputs: int
    centers: int
    centers_at: int
    row: int  # elements from one centre to the next
    log_widths_at: int


class Place(NamedTuple):
    """Where the values of a block of rows start in its workspace.

    The squared distances are `kept`; `spare` is a free row; `of_centers` holds 1 / (2 s_k^2) for
    every centre and then |c_k|^2, or on the way back the sum of g_k over the rows; `transposed`
    has room for the inputs row by row, `transposed_row` apart. The padding of the last vector
    repeats a row in the inputs and is 0 in `delta`.
    """

    inputs: int
    outputs: int
    kept: int
    spare: int
    of_centers: int
    transposed: int
    transposed_row: int
    delta: int
    stride: int
    rows: int


@inline
def _lanes(work, at):
    """Rows in whole vectors."""
    width = lanes_of(work)
    return (at.rows + width - 1) // width * width


@inline
def _largest(array):
    """What distances are clipped to: 0 times it is 0, and 0 times infinity is not."""
    return array.dtype.type(1e30 if array.itemsize == 4 else 1e300)


@vectorized
def _half_inverse_squares(log_widths, largest, factors):
    """factors[k] = 1 / (2 s_k^2)."""
    real = factors.dtype.type
    zero, half, two = real(0), real(0.5), real(2)
    for k in range(len(factors)):
        factors[k] = clip(half * exp(-two * log_widths[k]), zero, largest)


@inline
def _squared_norm(values):
    """|values|^2 in eight sums: a loop over so few would wait for each addition."""
    zero = values.dtype.type(0)
    a, b, c, d, e, f, g, h = zero, zero, zero, zero, zero, zero, zero, zero
    whole = len(values) // 8 * 8
    for i in range(0, whole, 8):
        v = values[i : i + 8]
        a += v[0] * v[0]
        b += v[1] * v[1]
        c += v[2] * v[2]
        d += v[3] * v[3]
        e += v[4] * v[4]
        f += v[5] * v[5]
        g += v[6] * v[6]
        h += v[7] * v[7]
    for i in range(whole, len(values)):
        a += values[i] * values[i]
    return ((a + b) + (c + d)) + ((e + f) + (g + h))


@inline
def _total(values):
    total = values.dtype.type(0)
    for i in range(len(values)):
        total += values[i]
    return total


@inline
def _dot(left, right):
    total = left.dtype.type(0)
    for i in range(len(left)):
        total += left[i] * right[i]
    return total


@vectorized
def _squared_norms(work, at, n, stride, norms):
    """norms[j] = |x_j|^2 of rows of n values."""
    lanes = len(norms)
    first = work[at : at + lanes]
    for j in range(lanes):
        norms[j] = first[j] * first[j]
    for k in range(1, n):
        row = work[at + k * stride : at + k * stride + lanes]
        for j in range(lanes):
            norms[j] += row[j] * row[j]


@vectorized
def _exponents(work, products, z, n, stride, norms, factors, center_norms, largest):
    """Distances |x_j|^2 + |c_k|^2 - 2 x_j.c_k of the products, in place, and z = -factor d."""
    zero, two = work.dtype.type(0), work.dtype.type(2)
    lanes = len(norms)
    for k in range(n):
        distances = work[products + k * stride : products + k * stride + lanes]
        exponents = work[z + k * stride : z + k * stride + lanes]
        factor, center_norm = factors[k], center_norms[k]
        for j in range(lanes):
            d = clip(norms[j] + center_norm - two * distances[j], zero, largest)
            distances[j] = d
            exponents[j] = clip(-(factor * d), -largest, zero)


@vectorized
def _bumps(work, products, h, n, stride, norms, factors, center_norms, largest):
    """The same with h = exp(z)."""
    zero, two = work.dtype.type(0), work.dtype.type(2)
    lanes = len(norms)
    for k in range(n):
        distances = work[products + k * stride : products + k * stride + lanes]
        values = work[h + k * stride : h + k * stride + lanes]
        factor, center_norm = factors[k], center_norms[k]
        for j in range(lanes):
            d = clip(norms[j] + center_norm - two * distances[j], zero, largest)
            distances[j] = d
            values[j] = exp(-(factor * d))


@inline
def _prepare(params, bumps, work, at):
    """Fill in `at.of_centers`."""
    n, widths = bumps.centers, bumps.log_widths_at
    factors = work[at.of_centers : at.of_centers + n]
    _half_inverse_squares(params[widths : widths + n], _largest(work), factors)
    norms = work[at.of_centers + n : at.of_centers + 2 * n]
    for k in range(n):
        c = bumps.centers_at + k * bumps.row
        norms[k] = _squared_norm(params[c : c + bumps.inputs])


@inline
def _products(params, bumps, work, at):
    """x.c_k of every centre to `at.kept`, |x|^2 to `at.spare`, and `at.of_centers`."""
    lanes, stride = _lanes(work, at), at.stride
    _squared_norms(
        work, at.inputs, bumps.inputs, stride, work[at.spare : at.spare + lanes]
    )  # fmt: skip
    centers = Strided(params, bumps.centers_at, bumps.row, 1)
    inputs, kept = Rows(work, at.inputs, stride), Rows(work, at.kept, stride)
    product(bumps.centers, lanes, bumps.inputs, centers, inputs, kept, None, None, None)
    _prepare(params, bumps, work, at)


@inline
def forward_plain(params, bumps, work, at):
    """Outputs h of a block, and the squared distances, from its inputs.

    params : IN flat parameters
    bumps : Bumps
    work : INOUT workspace: `at.inputs` IN, `at.outputs`, `at.kept` and `at.of_centers`
        OUT; `at.spare` is overwritten
    at : Place
    """
    _products(params, bumps, work, at)
    n, norms = bumps.centers, work[at.spare : at.spare + _lanes(work, at)]
    factors = work[at.of_centers : at.of_centers + n]
    center_norms = work[at.of_centers + n : at.of_centers + 2 * n]
    _bumps(
        work, at.kept, at.outputs, n, at.stride, norms, factors, center_norms, _largest(work)
    )  # fmt: skip


@inline
def forward_normalized(params, bumps, work, at):
    """The same, divided by their sum over the centres."""
    _products(params, bumps, work, at)
    n, norms = bumps.centers, work[at.spare : at.spare + _lanes(work, at)]
    factors = work[at.of_centers : at.of_centers + n]
    center_norms = work[at.of_centers + n : at.of_centers + 2 * n]
    _exponents(
        work, at.kept, at.outputs, n, at.stride, norms, factors, center_norms, _largest(work)
    )  # fmt: skip
    softmax_columns(work, at.outputs, n, len(norms), at.stride, at.spare)


@vectorized
def _weighted_sums(work, left, right, n, stride, sums):
    """sums[j] = sum_k left[k, j] right[k, j]."""
    lanes = len(sums)
    for j in range(lanes):
        sums[j] = 0
    for k in range(n):
        a = work[left + k * stride : left + k * stride + lanes]
        b = work[right + k * stride : right + k * stride + lanes]
        for j in range(lanes):
            sums[j] += a[j] * b[j]


@vectorized
def _sums(work, at, n, stride, sums):
    """sums[j] = sum_k work[k, j]."""
    lanes = len(sums)
    for j in range(lanes):
        sums[j] = 0
    for k in range(n):
        row = work[at + k * stride : at + k * stride + lanes]
        for j in range(lanes):
            sums[j] += row[j]


@vectorized
def _scale_plain(work, delta, h, n, stride, lanes, factors):
    """delta = 2 factor h delta."""
    two = work.dtype.type(2)
    for k in range(n):
        target = work[delta + k * stride : delta + k * stride + lanes]
        source = work[h + k * stride : h + k * stride + lanes]
        factor = two * factors[k]
        for j in range(lanes):
            target[j] = target[j] * source[j] * factor


@vectorized
def _scale_normalized(work, delta, h, n, stride, mean, factors):
    """delta = 2 factor h (delta - mean)."""
    two, lanes = work.dtype.type(2), len(mean)
    for k in range(n):
        target = work[delta + k * stride : delta + k * stride + lanes]
        source = work[h + k * stride : h + k * stride + lanes]
        factor = two * factors[k]
        for j in range(lanes):
            target[j] = (target[j] - mean[j]) * source[j] * factor


@inline
def _for_gradients(bumps, work, at):
    """Sums of g_k over the rows, and the inputs row by row if a product is to read them."""
    n, lanes, stride = bumps.centers, _lanes(work, at), at.stride
    totals = work[at.of_centers + n : at.of_centers + 2 * n]
    for k in range(n):
        totals[k] = _total(work[at.delta + k * stride : at.delta + k * stride + lanes])
    if not prefer_dot(n, bumps.inputs, at.rows, lanes_of(work)):
        transpose_into(
            bumps.inputs, lanes, Rows(work, at.inputs, stride), None,
            Rows(work, at.transposed, at.transposed_row),
        )  # fmt: skip


@inline
def scaled_delta_plain(bumps, work, at):
    """Delta by the outputs, in place, becomes g: delta by the exponents divided by s^2.

    What the gradients need beside it is made as well.

    bumps : Bumps
    work : INOUT workspace: `at.inputs` and `at.outputs` IN, `at.of_centers` and `at.delta` INOUT,
        `at.transposed` OUT; `at.spare` is overwritten
    at : Place
    """
    n, factors = bumps.centers, work[at.of_centers : at.of_centers + bumps.centers]
    _scale_plain(work, at.delta, at.outputs, n, at.stride, _lanes(work, at), factors)
    _for_gradients(bumps, work, at)


@inline
def scaled_delta_normalized(bumps, work, at):
    """The same for outputs that are divided by their sum."""
    n, factors = bumps.centers, work[at.of_centers : at.of_centers + bumps.centers]
    mean = work[at.spare : at.spare + _lanes(work, at)]
    _weighted_sums(work, at.delta, at.outputs, n, at.stride, mean)
    _scale_normalized(work, at.delta, at.outputs, n, at.stride, mean, factors)
    _for_gradients(bumps, work, at)


@vectorized
def _subtract_products(target, x, sums):
    for j in range(len(sums)):
        target[j] -= x[j] * sums[j]


@inline
def inputs_delta(params, bumps, work, at, target):
    """Delta by the inputs, sum_k g_k c_k - x sum_k g_k, to `target`.

    params : IN flat parameters
    bumps : Bumps
    work : INOUT workspace: `at.inputs` IN, `at.delta` IN as the scaling leaves it, `target`
        OUT (inputs, stride); `at.spare` is overwritten
    at : Place
    target : offset in `work`
    """
    lanes, stride = _lanes(work, at), at.stride
    total = work[at.spare : at.spare + lanes]
    _sums(work, at.delta, bumps.centers, stride, total)
    centers = Strided(params, bumps.centers_at, 1, bumps.row)
    delta = Rows(work, at.delta, stride)
    product(
        bumps.inputs, lanes, bumps.centers, centers, delta, Rows(work, target, stride),
        None, None, None,
    )  # fmt: skip
    for k in range(bumps.inputs):
        x, t = at.inputs + k * stride, target + k * stride
        _subtract_products(work[t : t + lanes], work[x : x + lanes], total)


@vectorized
def _subtract_scaled(target, centers, n, row, inputs, totals):
    """target[k] -= totals[k] centers[k], for n rows `row` apart."""
    for k in range(n):
        own = target[k * row : k * row + inputs]
        center = centers[k * row : k * row + inputs]
        total = totals[k]
        for i in range(inputs):
            own[i] -= total * center[i]


@inline
def centers_gradient(params, bumps, work, at, first, n, target, add):
    """Gradient by n centres from `first` on: sum over the rows of g_k (x - c_k).

    params : IN flat parameters; no others than these centres are read
    bumps : Bumps
    work : IN workspace: `at.inputs`, and the rest as the scaling leaves it
    at : Place
    target : OUT or, with `add`, INOUT (n, row)
    """
    lanes, stride = _lanes(work, at), at.stride
    g, out = at.delta + first * stride, Rows(target, 0, bumps.row)
    if prefer_dot(bumps.centers, bumps.inputs, at.rows, lanes_of(work)):
        delta, inputs = Rows(work, g, stride), Rows(work, at.inputs, stride)
        dot_product(n, bumps.inputs, lanes // lanes_of(work), delta, inputs, out, add)
    else:
        product(
            n, bumps.inputs, at.rows, Strided(work, g, stride, 1),
            Rows(work, at.transposed, at.transposed_row), out,
            Prologue(FROM_C if add else FROM_ZERO, target, 0), None, None,
        )  # fmt: skip
    c = bumps.centers_at + first * bumps.row
    totals = at.of_centers + bumps.centers + first
    _subtract_scaled(
        target, params[c : c + n * bumps.row], n, bumps.row, bumps.inputs, work[totals : totals + n]
    )


@inline
def log_widths_gradient(work, at, first, n, target, add):
    """Gradient by n log-widths from `first` on: sum over the rows of g_k |x - c_k|^2.

    work : IN workspace: `at.kept`, and `at.delta` as the scaling leaves it
    at : Place
    target : OUT or, with `add`, INOUT (n,)
    """
    lanes = _lanes(work, at)
    for k in range(n):
        g, d = at.delta + (first + k) * at.stride, at.kept + (first + k) * at.stride
        total = _dot(work[g : g + lanes], work[d : d + lanes])
        target[k] = target[k] + total if add else total


@inline
def _bumps_of(step):
    return Bumps(step.inputs, step.outputs, step.centers, step.row, step.log_widths)


@inline
def _place_of(job, step, block):
    stride = job.stride
    return Place(
        step.input_row * stride,
        step.output_row * stride,
        step.kept_row * stride,
        job.spare_row * stride,
        job.scratch_row * stride + step.of_centers * block.lanes,
        job.scratch_row * stride + step.transposed * block.lanes,
        step.transposed_row,
        step.delta_row * stride,
        stride,
        block.rows,
    )


@functools.cache
def units(single):
    """The units of radial layers in one precision, by name; a layer takes what it needs."""
    suffix = "single" if single else "double"
    plain = _passes(forward_plain, scaled_delta_plain, single)
    normalized = _passes(forward_normalized, scaled_delta_normalized, single)
    return {
        "forward": Unit(plain[0], f"radial_forward_{suffix}"),
        "backward": Unit(plain[1], f"radial_backward_{suffix}"),
        "normalized_forward": Unit(normalized[0], f"radial_normalized_forward_{suffix}"),
        "normalized_backward": Unit(normalized[1], f"radial_normalized_backward_{suffix}"),
        "gradient": Unit(_gradient(single), f"radial_gradient_{suffix}"),
        "inputs_delta": Unit(_inputs_delta(single), f"radial_inputs_delta_{suffix}"),
    }


def _passes(forward, scaled_delta, single):
    """Functions (job, step, block) of one form of the layer: forward and backward."""
    like = np.float32(0) if single else np.float64(0)

    def radial_forward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), radial_step_of(step_at), block_of(block_at)
        work = work_of(job, block, like)
        forward(params_of(job, like), _bumps_of(step), work, _place_of(job, step, block))

    def radial_backward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), radial_step_of(step_at), block_of(block_at)
        scaled_delta(_bumps_of(step), work_of(job, block, like), _place_of(job, step, block))
        if step.inputs_delta_at != 0:
            call(step.inputs_delta_at, (job_at, step_at, block_at))

    return radial_forward, radial_backward


def _gradient(single):
    """Function (job, step, block, chunk, target, add, ahead): gradient of a chunk."""
    like = np.float32(0) if single else np.float64(0)

    def radial_gradient(job_at, step_at, block_at, chunk_at, target_at, add, ahead):
        job, step, block = job_of(job_at), radial_step_of(step_at), block_of(block_at)
        chunk, work = chunk_of(chunk_at), work_of(job, block, like)
        target, at = view(target_at, chunk.high - chunk.low, like), _place_of(job, step, block)
        if chunk.piece == CENTERS:
            params, bumps = params_of(job, like), _bumps_of(step)
            centers_gradient(params, bumps, work, at, chunk.first, chunk.rows, target, add)
        else:
            log_widths_gradient(work, at, 0, step.outputs, target, add)

    return radial_gradient


def _inputs_delta(single):
    """Function (job, step, block): the delta of the layer below."""
    like = np.float32(0) if single else np.float64(0)

    def radial_inputs_delta(job_at, step_at, block_at):
        job, step, block = job_of(job_at), radial_step_of(step_at), block_of(block_at)
        bumps, at = _bumps_of(step), _place_of(job, step, block)
        target = step.input_delta_row * job.stride
        inputs_delta(params_of(job, like), bumps, work_of(job, block, like), at, target)

    return radial_inputs_delta


def make_step(program, number, layer):
    """The record of a radial layer.

    Parameters
    ----------
    program : Program
        Of the network that the layer is part of.
    number : int
        Of the layer.
    layer : nnjit.layers.radial.spec.RadialBasis
    """
    made, form = units(program.single), "normalized_" if layer.normalized else ""
    passes = {name: made[form + name] for name in ("forward", "backward")}
    step = program.place(RadialStep.table(1), number, {**passes, "gradient": made["gradient"]})
    centers, log_widths = program.layout.of(number)
    step["centers"], step["row"], step["log_widths"] = centers.start, centers.row, log_widths.start
    step["of_centers"], _ = program.take_scratch(layer.centers)
    if program.training:
        step["transposed"], step["transposed_row"] = program.take_scratch(program.sizes[number])
        if step["input_delta_row"] >= 0:
            step["inputs_delta_at"] = made["inputs_delta"].address
    return step
