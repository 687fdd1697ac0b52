"""Scaling of a block of rows on the CPU: a few passes over the values of each unit.

forward    h = s x
backward   delta of the inputs = s delta
gradient   ds = sum over the unit's values of delta x
"""

import functools

import numpy as np

from nnjit.core.compiler.jit import inline, vectorized
from nnjit.core.compiler.units import named_units
from nnjit.core.jobs.job import Step, block_of, job_of, params_of, work_of
from nnjit.core.jobs.records import reader, view
from nnjit.layers.channels import PIECE, unit_lanes, unit_length, unit_values, values_of
from nnjit.layers.layer import units_of

__all__ = ["ROWS_ALONE", "make_step", "reads_outputs", "units"]

ROWS_ALONE = True  # it has no matrix


class ScalingStep(Step):
    """What a scaling layer has beside that."""

    factors: int  # offset of the parameter
    units: int  # values of a row, or channels


scaling_step_of = reader(ScalingStep)


@vectorized
def _times(x, factor, h):
    """h[j] = factor x[j]."""
    for j in range(len(h)):
        h[j] = factor * x[j]


@inline
def scale_units(job, step, block, source, target, like):
    """Each unit's values from workspace row `source` on, times its factor, to those of `target`."""
    work, params = work_of(job, block, like), params_of(job, like)
    length, lanes = unit_length(job, block, step), unit_lanes(block, step)
    for k in range(step.units):
        x = values_of(work, source, length, k, lanes, job.stride)
        h = values_of(work, target, length, k, lanes, job.stride)
        _times(x, params[step.factors + k], h)


@inline
def _dot(delta, x):
    """sum_j delta[j] x[j] in the values' precision."""
    total = x.dtype.type(0)
    for j in range(len(x)):
        total += delta[j] * x[j]
    return total


@inline
def _long_dot(delta, x):
    """The same of very many values."""
    total = np.float64(0)
    for first in range(0, len(x), PIECE):
        last = min(first + PIECE, len(x))
        total += np.float64(_dot(delta[first:last], x[first:last]))
    return total


@inline
def factor_gradient(job, step, block, target, add, like):
    """Gradient by the factors replaces (add = 0), or is added to, `target`."""
    work, real = work_of(job, block, like), type(like)
    length, values = unit_length(job, block, step), unit_values(block, step)
    for k in range(step.units):
        x = values_of(work, step.input_row, length, k, values, job.stride)
        delta = values_of(work, step.delta_row, length, k, values, job.stride)
        total = real(_long_dot(delta, x))
        target[k] = target[k] + total if add else total


@functools.cache
def units(single):
    """The units of a scaling layer in one precision, by their fields in a `Step`."""
    like = np.float32(0) if single else np.float64(0)

    def forward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), scaling_step_of(step_at), block_of(block_at)
        scale_units(job, step, block, step.input_row, step.output_row, like)

    def backward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), scaling_step_of(step_at), block_of(block_at)
        if step.input_delta_row >= 0:
            scale_units(job, step, block, step.delta_row, step.input_delta_row, like)

    def gradient(job_at, step_at, block_at, chunk_at, target_at, add, ahead):
        job, step, block = job_of(job_at), scaling_step_of(step_at), block_of(block_at)
        factor_gradient(job, step, block, view(target_at, step.units, like), add, like)

    return named_units("scaling", single, forward, backward, gradient)


def reads_outputs(layer):
    """Whether the backward pass reads the outputs: it reads the inputs."""
    return False


def make_step(program, number, layer):
    """The record of a scaling layer.

    Parameters
    ----------
    program : Program
        Of the network that the layer is part of.
    number : int
        Of the layer.
    layer : nnjit.layers.scaling.spec.Scaling
    """
    step = program.place(ScalingStep.table(1), number, units(program.single))
    (factors,) = program.layout.of(number)
    step["factors"], step["units"] = factors.start, units_of(program.shapes[number])
    return step
