"""Gaussian bumps around centres, for a block of rows on the CPU.

Everything is feature-major: value k of the block's row j lies at ``k * stride + j``, and vectors
run along the rows. The formulas are in spec.py; the three parts of the backward pass each start
from what the one before left.
"""

import functools
from typing import NamedTuple

import numpy as np

from nnjit.core.compiler.jit import inline, vectorized
from nnjit.core.compiler.units import Unit
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
    "forward",
    "inputs_delta",
    "log_widths_gradient",
    "make_step",
    "scaled_delta",
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
    normalized: int  # 0 or 1
    of_centers: int  # in the scratch, elements of a row
    transposed: int
    across: int  # of which so many are the inputs' room


radial_step_of = reader(RadialStep)


class Bumps(NamedTuple):
    """A radial layer: its sizes, and where its parameters start in a flat array."""

    inputs: int
    centers: int
    centers_at: int
    row: int  # elements from one centre to the next
    log_widths_at: int
    normalized: int  # 0 or 1


class Place(NamedTuple):
    """Where the values of a block of rows start in its workspace.

    The squared distances are `kept`; `spare` is a free row; `of_centers` holds 1 / (2 s_k^2) for
    every centre and then |c_k|^2, or on the way back the sum of g_k over the rows; `transposed`
    has room for the inputs row by row, `across` apart. The padding of the last vector repeats a
    row in the inputs and is 0 in `delta`.
    """

    inputs: int
    outputs: int
    kept: int
    spare: int
    of_centers: int
    transposed: int
    across: int
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
def forward(params, bumps, work, at):
    """Outputs h of a block, and the squared distances, from its inputs.

    params : IN flat parameters
    bumps : Bumps
    work : INOUT workspace: `at.inputs` IN, `at.outputs`, `at.kept` and `at.of_centers`
        OUT; `at.spare` is overwritten
    at : Place
    """
    lanes, stride = _lanes(work, at), at.stride
    norms = work[at.spare : at.spare + lanes]
    _squared_norms(work, at.inputs, bumps.inputs, stride, norms)
    centers = Strided(params, bumps.centers_at, bumps.row, 1)
    inputs, kept = Rows(work, at.inputs, stride), Rows(work, at.kept, stride)
    product(bumps.centers, lanes, bumps.inputs, centers, inputs, kept, None, None, None)
    _prepare(params, bumps, work, at)
    n, z = bumps.centers, at.outputs
    factors = work[at.of_centers : at.of_centers + n]
    center_norms = work[at.of_centers + n : at.of_centers + 2 * n]
    if bumps.normalized:
        _exponents(
            work, at.kept, z, n, stride, norms, factors, center_norms, _largest(work)
        )  # fmt: skip
        softmax_columns(work, z, n, lanes, stride, at.spare)
    else:
        _bumps(work, at.kept, z, n, stride, norms, factors, center_norms, _largest(work))


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
def scaled_delta(bumps, work, at):
    """Delta by the outputs, in place, becomes g: delta by the exponents divided by s^2.

    What the gradients need beside it is made as well.

    bumps : Bumps
    work : INOUT workspace: `at.inputs` and `at.outputs` IN, `at.of_centers` and `at.delta` INOUT,
        `at.transposed` OUT; `at.spare` is overwritten
    at : Place
    """
    n, lanes, stride = bumps.centers, _lanes(work, at), at.stride
    factors = work[at.of_centers : at.of_centers + n]
    if bumps.normalized:
        mean = work[at.spare : at.spare + lanes]
        _weighted_sums(work, at.delta, at.outputs, n, stride, mean)
        _scale_normalized(work, at.delta, at.outputs, n, stride, mean, factors)
    else:
        _scale_plain(work, at.delta, at.outputs, n, stride, lanes, factors)
    totals = work[at.of_centers + n : at.of_centers + 2 * n]
    for k in range(n):
        totals[k] = _total(work[at.delta + k * stride : at.delta + k * stride + lanes])
    if not prefer_dot(n, bumps.inputs, at.rows, lanes_of(work)):
        transpose_into(
            bumps.inputs, lanes, Rows(work, at.inputs, stride), None,
            Rows(work, at.transposed, at.across),
        )  # fmt: skip


@vectorized
def _subtract_products(target, x, sums):
    for j in range(len(sums)):
        target[j] -= x[j] * sums[j]


@inline
def inputs_delta(params, bumps, work, at, target):
    """Delta by the inputs, sum_k g_k c_k - x sum_k g_k, to `target`.

    params : IN flat parameters
    bumps : Bumps
    work : INOUT workspace: `at.inputs` IN, `at.delta` IN as `scaled_delta` leaves it, `target`
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
    work : IN workspace: `at.inputs`, and the rest as `scaled_delta` leaves it
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
            Rows(work, at.transposed, at.across), out,
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

    work : IN workspace: `at.kept`, and `at.delta` as `scaled_delta` leaves it
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
    return Bumps(
        step.inputs, step.outputs, step.centers, step.row, step.log_widths, step.normalized
    )


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
        step.across,
        step.delta_row * stride,
        stride,
        block.rows,
    )


@functools.cache
def units(single):
    """The units of a radial layer in one precision, by their fields in a `Step`."""
    like = np.float32(0) if single else np.float64(0)

    def forward_radial(job_at, step_at, block_at):
        job, step, block = job_of(job_at), radial_step_of(step_at), block_of(block_at)
        work = work_of(job, block, like)
        forward(params_of(job, like), _bumps_of(step), work, _place_of(job, step, block))

    def backward_radial(job_at, step_at, block_at):
        job, step, block = job_of(job_at), radial_step_of(step_at), block_of(block_at)
        params, work = params_of(job, like), work_of(job, block, like)
        bumps, at = _bumps_of(step), _place_of(job, step, block)
        scaled_delta(bumps, work, at)
        if step.input_delta_row >= 0:
            inputs_delta(params, bumps, work, at, step.input_delta_row * job.stride)

    def gradient_radial(job_at, step_at, block_at, chunk_at, target_at, add, ahead):
        job, step, block = job_of(job_at), radial_step_of(step_at), block_of(block_at)
        chunk, work = chunk_of(chunk_at), work_of(job, block, like)
        target, at = view(target_at, chunk.high - chunk.low, like), _place_of(job, step, block)
        if chunk.piece == CENTERS:
            params, bumps = params_of(job, like), _bumps_of(step)
            centers_gradient(params, bumps, work, at, chunk.first, chunk.rows, target, add)
        else:
            log_widths_gradient(work, at, 0, step.outputs, target, add)

    suffix = "single" if single else "double"
    functions = {
        "forward": forward_radial,
        "backward": backward_radial,
        "gradient": gradient_radial,
    }
    return {name: Unit(function, f"radial_{name}_{suffix}") for name, function in functions.items()}


def make_step(program, number, layer):
    """The record of a radial layer.

    Parameters
    ----------
    program : Program
        Of the network that the layer is part of.
    number : int
        Of the layer.
    layer : nnjit.layers.radial.spec.Radial
    """
    step = program.place(RadialStep.table(1), number, units(program.single))
    centers, log_widths = program.layout.of(number)
    step["centers"], step["row"] = centers.start, centers.row
    step["log_widths"], step["normalized"] = log_widths.start, layer.normalized
    step["of_centers"], _ = program.take_scratch(layer.centers)
    if program.training:
        step["transposed"], step["across"] = program.take_scratch(program.sizes[number])
    return step
