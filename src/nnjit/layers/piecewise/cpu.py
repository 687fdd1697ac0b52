"""Numbers encoded by bins, for a block of rows on the CPU; the formulas are in spec.py.

Everything is feature-major: value k of the block's row j lies at ``(row + k) * stride + j``, and
vectors run along the rows. There are no gradients, since nothing is learned.
"""

import functools

import numpy as np

from nnjit.core.compiler.jit import inline, vectorized
from nnjit.core.compiler.units import named_units
from nnjit.core.jobs.job import Step, block_of, job_of, params_of, work_of
from nnjit.core.jobs.records import reader
from nnjit.core.scalar import clip
from nnjit.layers.periodic.cpu import hand_on, of_feature, reads_outputs, row_of

__all__ = ["MASKS_INPUTS", "ROWS_ALONE", "make_step", "reads_outputs", "units"]

ROWS_ALONE = True
MASKS_INPUTS = False  # a ReLU below differentiates itself


class PiecewiseStep(Step):
    """What a piecewise-linear layer has beside that."""

    features: int
    bins: int
    edges: int  # offset of the parameter
    edges_row: int  # elements from one feature to the next
    smallest: float  # width of a bin


piecewise_step_of = reader(PiecewiseStep)


@inline
def _ends(edges, smallest):
    """Numbers of the first and the last bin that have a width; -1 and -1 if none has."""
    first, last = -1, -1
    for k in range(len(edges) - 1):
        if edges[k + 1] - edges[k] >= smallest:
            first, last = k if first < 0 else first, k
    return first, last


@vectorized
def _encode(x, edges, first, last, smallest, rows, stride):
    """rows[k] = (x - edges[k]) / width of bin k, clipped but for the open ends."""
    real, lanes = x.dtype.type, len(x)
    zero, one, infinity = real(0), real(1), real(np.inf)
    for k in range(len(edges) - 1):
        row, low, width = rows[k * stride : k * stride + lanes], edges[k], edges[k + 1] - edges[k]
        factor = one / width if width >= smallest else zero
        least, most = -infinity if k == first else zero, infinity if k == last else one
        for j in range(lanes):
            row[j] = clip((x[j] - low) * factor, least, most)


@vectorized
def _slopes(x, edges, first, last, smallest, deltas, stride, target):
    """target = deltas[k] / width of the bin k that x lies in; the upper edge is the next one's."""
    real, lanes = x.dtype.type, len(x)
    zero, one, infinity = real(0), real(1), real(np.inf)
    for j in range(lanes):
        target[j] = zero
    for k in range(len(edges) - 1):
        width, delta = edges[k + 1] - edges[k], deltas[k * stride : k * stride + lanes]
        factor = one / width if width >= smallest else zero
        low, high = edges[k], edges[k + 1]
        low, high = -infinity if k == first else low, infinity if k == last else high
        for j in range(lanes):
            inside = x[j] >= low and x[j] < high
            target[j] += delta[j] * (factor if inside else zero)


@inline
def forward_piecewise(job, step, block, like):
    """What each value has come through, and the other values behind all that."""
    params, work, stride = params_of(job, like), work_of(job, block, like), job.stride
    lanes, smallest, n = block.lanes, type(like)(step.smallest), step.bins
    for f in range(step.features):
        edges = of_feature(params, step.edges, step.edges_row, f, n + 1)
        first, last = _ends(edges, smallest)
        at = (step.output_row + f * n) * stride
        _encode(
            row_of(work, step.input_row + f, stride, lanes), edges, first, last, smallest,
            work[at : at + n * stride], stride,
        )  # fmt: skip
    source, target = step.input_row + step.features, step.output_row + step.features * n
    hand_on(work, source, target, step.inputs - step.features, stride, lanes)


@inline
def backward_piecewise(job, step, block, like):
    """Delta of the inputs."""
    params, work, stride = params_of(job, like), work_of(job, block, like), job.stride
    lanes, smallest, n = block.lanes, type(like)(step.smallest), step.bins
    for f in range(step.features):
        edges = of_feature(params, step.edges, step.edges_row, f, n + 1)
        first, last = _ends(edges, smallest)
        at = (step.delta_row + f * n) * stride
        _slopes(
            row_of(work, step.input_row + f, stride, lanes), edges, first, last, smallest,
            work[at : at + n * stride], stride,
            row_of(work, step.input_delta_row + f, stride, lanes),
        )  # fmt: skip
    source, target = step.delta_row + step.features * n, step.input_delta_row + step.features
    hand_on(work, source, target, step.inputs - step.features, stride, lanes)


@functools.cache
def units(single):
    """The units of a piecewise-linear layer in one precision, by their fields in a `Step`."""
    like = np.float32(0) if single else np.float64(0)

    def forward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), piecewise_step_of(step_at), block_of(block_at)
        forward_piecewise(job, step, block, like)

    def backward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), piecewise_step_of(step_at), block_of(block_at)
        backward_piecewise(job, step, block, like)

    return named_units("piecewise", single, forward, backward)


def make_step(program, number, layer):
    """The record of a piecewise-linear layer.

    Parameters
    ----------
    program : Program
        Of the network that the layer is part of.
    number : int
        Of the layer.
    layer : nnjit.layers.piecewise.spec.PiecewiseLinear
    """
    step = program.place(PiecewiseStep.table(1), number, units(program.single))
    (edges,) = program.layout.of(number)
    step["features"], step["bins"] = layer.features, layer.bins
    step["edges"], step["edges_row"] = edges.start, edges.row
    step["smallest"] = 2 * np.finfo(program.dtype).smallest_normal  # has a finite inverse
    return step
