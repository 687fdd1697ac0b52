"""Numbers embedded by cosines, for a block of rows on the CPU; the formulas are in spec.py.

Everything is feature-major: value k of the block's row j lies at ``(row + k) * stride + j``, and
vectors run along the rows. The values are gone through one by one. The cosines of one are laid down
in the scratch, and a product makes outputs of them. On the way back cosines and sines are computed
anew, and the gradients of all parameters at once, since what they need is at hand only then: they
stay in the scratch, and `gradient` hands them out.
"""

import functools
import math

import numpy as np

from nnjit.core.compiler.jit import inline, viewing, wide
from nnjit.core.compiler.units import named_units
from nnjit.core.jobs.job import Step, block_of, chunk_of, job_of, params_of, work_of
from nnjit.core.jobs.records import reader, view
from nnjit.core.maps.activations import copy
from nnjit.core.scalar import cos_2pi, sin_2pi
from nnjit.core.simd import (
    FROM_BIAS,
    FROM_C,
    Prologue,
    Rows,
    Strided,
    dot_product,
    product,
)
from nnjit.core.simd import lanes as lanes_of

__all__ = [
    "MASKS_INPUTS",
    "ROWS_ALONE",
    "PeriodicStep",
    "hand_on",
    "make_step",
    "of_feature",
    "reads_outputs",
    "row_of",
    "units",
]

ROWS_ALONE = True  # the gradient of some rows is part of that of all
MASKS_INPUTS = False  # a ReLU below differentiates itself
_IN_TURNS = 1 / (2 * math.pi)


class PeriodicStep(Step):
    """What a periodic layer has beside that."""

    features: int
    cosines: int  # of each feature
    units: int
    frequencies: int  # offsets of the parameters
    frequencies_row: int  # elements from one feature to the next
    phases: int
    phases_row: int
    amplitudes: int
    amplitudes_row: int  # elements from one cosine to the next
    offsets: int
    offsets_row: int
    cosine_rows: int  # in the scratch, elements of a row: the cosines of one feature
    slope_rows: int  # what becomes of their sines, in training
    gradients: int  # those of all parameters, in training


periodic_step_of = reader(PeriodicStep)


@wide
def _cosines(x, frequencies, phases, target):
    """target[k] = cos(2 pi frequencies[k] x + phases[k]) for all rows x."""
    turns, lanes = x.dtype.type(_IN_TURNS), len(x)
    for k in range(len(frequencies)):
        row, w, b = target[k * lanes : k * lanes + lanes], frequencies[k], phases[k] * turns
        for j in range(lanes):
            row[j] = cos_2pi(w * x[j] + b)


@wide
def _slopes(x, frequencies, phases, cosines, slopes):
    """The same, and slopes[k] *= -2 pi sin(2 pi frequencies[k] x + phases[k])."""
    real, lanes = x.dtype.type, len(x)
    turns, factor = real(_IN_TURNS), real(-2 * math.pi)
    for k in range(len(frequencies)):
        row, w, b = cosines[k * lanes : k * lanes + lanes], frequencies[k], phases[k] * turns
        slope = slopes[k * lanes : k * lanes + lanes]
        for j in range(lanes):
            t = w * x[j] + b
            row[j] = cos_2pi(t)
            slope[j] *= factor * sin_2pi(t)


@viewing
def _scratch(job, block, work, start, columns):
    """Scratch of some columns for each row."""
    at = job.scratch_row * job.stride + start * block.lanes
    return work[at : at + columns * block.lanes]


@viewing
def row_of(work, row, stride, lanes):
    """A row of the workspace."""
    return work[row * stride : row * stride + lanes]


@viewing
def of_feature(params, start, row, feature, n):
    """The first elements of a feature's row of a matrix."""
    return params[start + feature * row : start + feature * row + n]


@inline
def forward_periodic(job, step, block, like):
    """The embedded values and what is made of each, and the other values behind them."""
    params, work, stride = params_of(job, like), work_of(job, block, like), job.stride
    lanes, n, each = block.lanes, step.cosines, 1 + step.units
    cosines = _scratch(job, block, work, step.cosine_rows, n)
    for f in range(step.features):
        x, target = row_of(work, step.input_row + f, stride, lanes), step.output_row + f * each
        copy(x, row_of(work, target, stride, lanes))
        frequencies = of_feature(params, step.frequencies, step.frequencies_row, f, n)
        phases = of_feature(params, step.phases, step.phases_row, f, n)
        _cosines(x, frequencies, phases, cosines)
        amplitudes = step.amplitudes + f * n * step.amplitudes_row
        product(
            step.units, lanes, n, Strided(params, amplitudes, 1, step.amplitudes_row),
            Rows(cosines, 0, lanes), Rows(work, (target + 1) * stride, stride),
            Prologue(FROM_BIAS, params, step.offsets + f * step.offsets_row), None, None,
        )  # fmt: skip
    source, target = step.input_row + step.features, step.output_row + step.features * each
    hand_on(work, source, target, step.inputs - step.features, stride, lanes)


@inline
def hand_on(work, source, target, count, stride, lanes):
    """Copy some rows of the workspace: values that are not embedded, or their deltas."""
    for k in range(count):
        copy(row_of(work, source + k, stride, lanes), row_of(work, target + k, stride, lanes))


@inline
def _sums(slopes, x):
    """sum_j slopes[j] x[j], and sum_j slopes[j]."""
    total, plain = x.dtype.type(0), x.dtype.type(0)
    for j in range(len(x)):
        total += slopes[j] * x[j]
        plain += slopes[j]
    return total, plain


@inline
def _total(values):
    total = values.dtype.type(0)
    for j in range(len(values)):
        total += values[j]
    return total


@inline
def backward_periodic(job, step, block, like):
    """Gradients of all parameters, to the scratch, and the delta of the inputs if it is wanted."""
    params, work, stride = params_of(job, like), work_of(job, block, like), job.stride
    lanes, n, units, real = block.lanes, step.cosines, step.units, type(like)
    cosines = _scratch(job, block, work, step.cosine_rows, n)
    slopes = _scratch(job, block, work, step.slope_rows, n)
    count, size = step.features * n, step.features * (n * (2 + units) + units)
    at = job.scratch_row * stride + step.gradients * lanes
    gradients = work[at : at + size]
    for f in range(step.features):
        x = row_of(work, step.input_row + f, stride, lanes)
        delta = step.delta_row + f * (1 + units)
        frequencies = of_feature(params, step.frequencies, step.frequencies_row, f, n)
        phases = of_feature(params, step.phases, step.phases_row, f, n)
        above, amplitudes = Rows(work, (delta + 1) * stride, stride), step.amplitudes_row
        product(
            n, lanes, units, Strided(params, step.amplitudes + f * n * amplitudes, amplitudes, 1),
            above, Rows(slopes, 0, lanes), None, None, None,
        )  # fmt: skip
        _slopes(x, frequencies, phases, cosines, slopes)
        dot_product(
            n, units, lanes // lanes_of(work), Rows(cosines, 0, lanes), above,
            Rows(gradients, 2 * count + f * n * units, units), 0,
        )  # fmt: skip
        for k in range(n):
            total, plain = _sums(slopes[k * lanes : k * lanes + lanes], x)
            gradients[f * n + k], gradients[count + f * n + k] = total, plain * real(_IN_TURNS)
        for o in range(units):
            total = _total(row_of(work, delta + 1 + o, stride, lanes))
            gradients[(2 + units) * count + f * units + o] = total
        if step.input_delta_row >= 0:
            target = (step.input_delta_row + f) * stride
            copy(row_of(work, delta, stride, lanes), work[target : target + lanes])
            product(
                1, lanes, n, Strided(frequencies, 0, 0, 1), Rows(slopes, 0, lanes),
                Rows(work, target, stride), Prologue(FROM_C, work, 0), None, None,
            )  # fmt: skip
    if step.input_delta_row >= 0:
        source = step.delta_row + step.features * (1 + units)
        count = step.inputs - step.features
        hand_on(work, source, step.input_delta_row + step.features, count, stride, lanes)


@inline
def periodic_gradient(job, step, block, chunk, target, add, like):
    """Gradient of some rows of a parameter replaces (add = 0), or is added to, `target`."""
    work, count = work_of(job, block, like), step.features * step.cosines
    # in the order of the parameters: those before are as many as the cosines, the amplitudes more
    before = chunk.piece * count if chunk.piece < 3 else (2 + step.units) * count
    at = job.scratch_row * job.stride + step.gradients * block.lanes + before
    for i in range(chunk.rows):
        source = at + (chunk.first + i) * chunk.columns
        for j in range(chunk.columns):
            before = target[i * chunk.row + j] if add else type(like)(0)
            target[i * chunk.row + j] = before + work[source + j]


def reads_outputs(layer):
    """Return False: nothing of the backward pass is seen from the outputs."""
    return False


@functools.cache
def units(single):
    """The units of a periodic layer in one precision, by their fields in a `Step`."""
    like = np.float32(0) if single else np.float64(0)

    def forward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), periodic_step_of(step_at), block_of(block_at)
        forward_periodic(job, step, block, like)

    def backward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), periodic_step_of(step_at), block_of(block_at)
        backward_periodic(job, step, block, like)

    def gradient(job_at, step_at, block_at, chunk_at, target_at, add, ahead):
        job, step, block = job_of(job_at), periodic_step_of(step_at), block_of(block_at)
        chunk = chunk_of(chunk_at)
        target = view(target_at, chunk.high - chunk.low, like)
        periodic_gradient(job, step, block, chunk, target, add, like)

    return named_units("periodic", single, forward, backward, gradient)


def make_step(program, number, layer):
    """The record of a periodic layer.

    Parameters
    ----------
    program : Program
        Of the network that the layer is part of.
    number : int
        Of the layer.
    layer : nnjit.layers.periodic.spec.PeriodicEmbedding
    """
    step = program.place(PeriodicStep.table(1), number, units(program.single))
    step["features"], step["cosines"], step["units"] = (
        layer.features, layer.frequencies, layer.units,
    )  # fmt: skip
    places = program.layout.of(number)
    for place, name in zip(places, ("frequencies", "phases", "amplitudes", "offsets")):
        step[name], step[f"{name}_row"] = place.start, place.row
    step["cosine_rows"], _ = program.take_scratch(layer.frequencies)
    if program.training:
        step["slope_rows"], _ = program.take_scratch(layer.frequencies)
        elements = sum(place.rows * place.shape[-1] for place in places)
        # a block has whole vectors of rows at least
        step["gradients"], _ = program.take_scratch(-(-elements // program.lanes))
    return step
