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
from nnjit.core.simd import PLAIN, dot_product, product
from nnjit.core.simd import lanes as lanes_of

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

CENTERS, LOG_WIDTHS = range(2)  # pieces
ROWS_ALONE = True  # the gradient of some centres can be had without the others
MASKS_INPUTS = False  # backward does not end in the derivative of a ReLU below


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

    The squared distances are `kept`; `spare` is a free row. The padding of the last vector
    repeats a row in the inputs and is 0 in `delta`.
    """

    inputs: int
    outputs: int
    kept: int
    spare: int
    delta: int
    stride: int
    vectors: int


@inline
def _largest(array):
    """What distances are clipped to: 0 times it is 0, and 0 times infinity is not."""
    return array.dtype.type(1e30 if array.itemsize == 4 else 1e300)


@inline
def _half_inverse_square(params, bumps, k):
    """1 / (2 s_k^2)."""
    real = params.dtype.type
    value = real(0.5) * exp(real(-2) * params[bumps.log_widths_at + k])
    return clip(value, real(0), _largest(params))


@inline
def _squared_norm(values):
    total = values.dtype.type(0)
    for i in range(len(values)):
        total += values[i] * values[i]
    return total


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
def _exponents(distances, norms, center_norm, factor, largest, z):
    """Distances |x_j|^2 + |c|^2 - 2 x_j.c of the products x_j.c, in place, and z = -factor d."""
    zero, two = distances.dtype.type(0), distances.dtype.type(2)
    for j in range(len(norms)):
        distances[j] = clip(norms[j] + center_norm - two * distances[j], zero, largest)
    for j in range(len(norms)):
        z[j] = clip(-(factor * distances[j]), -largest, zero)


@vectorized
def _exponentials(z):
    for i in range(len(z)):
        z[i] = exp(z[i])


@inline
def forward(params, bumps, work, at):
    """Outputs h of a block, and the squared distances, from its inputs.

    params : IN flat parameters
    bumps : Bumps
    work : INOUT workspace: `at.inputs` IN, `at.outputs` and `at.kept` OUT; `at.spare` is
        overwritten
    at : Place
    """
    lanes, stride = at.vectors * lanes_of(work), at.stride
    norms = work[at.spare : at.spare + lanes]
    _squared_norms(work, at.inputs, bumps.inputs, stride, norms)
    product(
        bumps.centers, lanes, bumps.inputs, params, bumps.centers_at, bumps.row, 1,
        work, at.inputs, stride, work, at.kept, stride, params, 0, 0, 0, PLAIN, 0,
    )  # fmt: skip
    for k in range(bumps.centers):
        c, d, h = bumps.centers_at + k * bumps.row, at.kept + k * stride, at.outputs + k * stride
        _exponents(
            work[d : d + lanes],
            norms,
            _squared_norm(params[c : c + bumps.inputs]),
            _half_inverse_square(params, bumps, k),
            _largest(work),
            work[h : h + lanes],
        )
    if bumps.normalized:
        softmax_columns(work, at.outputs, bumps.centers, lanes, stride, at.spare)
    else:
        _exponentials(work[at.outputs : at.outputs + (bumps.centers - 1) * stride + lanes])


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
def _scale_plain(delta, h, factor):
    for j in range(len(delta)):
        delta[j] = delta[j] * h[j] * factor


@vectorized
def _scale_normalized(delta, h, mean, factor):
    for j in range(len(delta)):
        delta[j] = (delta[j] - mean[j]) * h[j] * factor


@inline
def scaled_delta(params, bumps, work, at):
    """Delta by the outputs, in place, becomes g: delta by the exponents divided by s^2.

    params : IN flat parameters
    bumps : Bumps
    work : INOUT workspace: `at.outputs` IN, `at.delta` INOUT; `at.spare` is overwritten
    at : Place
    """
    lanes, stride = at.vectors * lanes_of(work), at.stride
    mean = work[at.spare : at.spare + lanes]
    if bumps.normalized:
        _weighted_sums(work, at.delta, at.outputs, bumps.centers, stride, mean)
    two = params.dtype.type(2)
    for k in range(bumps.centers):
        delta = work[at.delta + k * stride : at.delta + k * stride + lanes]
        h = work[at.outputs + k * stride : at.outputs + k * stride + lanes]
        factor = two * _half_inverse_square(params, bumps, k)
        if bumps.normalized:
            _scale_normalized(delta, h, mean, factor)
        else:
            _scale_plain(delta, h, factor)


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
    lanes, stride = at.vectors * lanes_of(work), at.stride
    total = work[at.spare : at.spare + lanes]
    _sums(work, at.delta, bumps.centers, stride, total)
    product(
        bumps.inputs, lanes, bumps.centers, params, bumps.centers_at, 1, bumps.row,
        work, at.delta, stride, work, target, stride, params, 0, 0, 0, PLAIN, 0,
    )  # fmt: skip
    for k in range(bumps.inputs):
        x, t = at.inputs + k * stride, target + k * stride
        _subtract_products(work[t : t + lanes], work[x : x + lanes], total)


@vectorized
def _subtract_scaled(target, values, factor):
    for i in range(len(target)):
        target[i] -= factor * values[i]


@inline
def centers_gradient(params, bumps, work, at, first, n, target, add):
    """Gradient by n centres from `first` on: sum over the rows of g_k (x - c_k).

    params : IN flat parameters; no others than these centres are read
    bumps : Bumps
    work : IN workspace: `at.inputs`, and `at.delta` as `scaled_delta` leaves it
    at : Place
    target : OUT or, with `add`, INOUT (n, row)
    """
    lanes, stride = at.vectors * lanes_of(work), at.stride
    dot_product(
        n, bumps.inputs, at.vectors, work, at.delta + first * stride, stride,
        work, at.inputs, stride, target, 0, bumps.row, add,
    )  # fmt: skip
    for k in range(n):
        g = at.delta + (first + k) * stride
        c = bumps.centers_at + (first + k) * bumps.row
        _subtract_scaled(
            target[k * bumps.row : k * bumps.row + bumps.inputs],
            params[c : c + bumps.inputs],
            _total(work[g : g + lanes]),
        )


@inline
def log_widths_gradient(work, at, first, n, target, add):
    """Gradient by n log-widths from `first` on: sum over the rows of g_k |x - c_k|^2.

    work : IN workspace: `at.kept`, and `at.delta` as `scaled_delta` leaves it
    at : Place
    target : OUT or, with `add`, INOUT (n,)
    """
    lanes = at.vectors * lanes_of(work)
    for k in range(n):
        g, d = at.delta + (first + k) * at.stride, at.kept + (first + k) * at.stride
        total = _dot(work[g : g + lanes], work[d : d + lanes])
        target[k] = target[k] + total if add else total


class RadialStep(Step):
    """What a radial layer has beside that."""

    centers: int  # offsets of the parameters
    row: int  # elements from one centre to the next
    log_widths: int
    normalized: int


radial_step_of = reader(RadialStep)


@inline
def _bumps_of(step):
    return Bumps(
        step.inputs, step.outputs, step.centers, step.row, step.log_widths, step.normalized
    )


@inline
def _place_of(job, step, block, work):
    stride = job.stride
    return Place(
        step.input_row * stride,
        step.output_row * stride,
        step.kept_row * stride,
        job.spare_row * stride,
        step.delta_row * stride,
        stride,
        block.lanes // lanes_of(work),
    )


@functools.cache
def units(single):
    """The units of a radial layer in one precision, by their fields in a `Step`."""
    like = np.float32(0) if single else np.float64(0)

    def radial_forward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), radial_step_of(step_at), block_of(block_at)
        work = work_of(job, block, like)
        forward(params_of(job, like), _bumps_of(step), work, _place_of(job, step, block, work))

    def radial_backward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), radial_step_of(step_at), block_of(block_at)
        params, work, bumps = params_of(job, like), work_of(job, block, like), _bumps_of(step)
        place = _place_of(job, step, block, work)
        scaled_delta(params, bumps, work, place)
        if step.input_delta_row >= 0:
            inputs_delta(params, bumps, work, place, step.input_delta_row * job.stride)

    def radial_gradient(job_at, step_at, block_at, chunk_at, target_at, add, ahead):
        job, step, block = job_of(job_at), radial_step_of(step_at), block_of(block_at)
        work, chunk = work_of(job, block, like), chunk_of(chunk_at)
        place = _place_of(job, step, block, work)
        target = view(target_at, chunk.high - chunk.low, like)
        if chunk.piece == LOG_WIDTHS:
            log_widths_gradient(work, place, 0, step.outputs, target, add)
        else:
            centers_gradient(
                params_of(job, like), _bumps_of(step), work, place, chunk.first, chunk.rows,
                target, add,
            )  # fmt: skip

    suffix = "single" if single else "double"
    return {
        function.__name__.removeprefix("radial_"): Unit(function, f"{function.__name__}_{suffix}")
        for function in (radial_forward, radial_backward, radial_gradient)
    }


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
    if program.sparse and number == 0:
        raise ValueError("A radial layer reads dense rows.")
    step = program.place(RadialStep.table(1), number, units(program.single))
    centers, log_widths = program.layout.of(number)
    step["centers"], step["row"], step["log_widths"] = centers.start, centers.row, log_widths.start
    step["normalized"] = layer.normalized
    return step
