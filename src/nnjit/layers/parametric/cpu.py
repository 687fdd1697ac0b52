"""Parametric activations of a block of rows on the CPU: a few passes over each unit's values.

forward    u = phi(x), which is kept; h = u + (1 - a) (x - u)
backward   delta of the inputs = v + (1 - a) (delta - v) with v = delta phi'(x)
gradient   da = sum over the unit's values of delta (u - x)

phi and v are those of the activation's own units, called for one unit's values after the other,
which are in the nearest cache; there the backward pass takes the sums as well, and leaves them in
the scratch. So written a mix can be contracted in one way alone, and the
remainder of its loop has the bits of its vectors; and h is u exactly while a is 1.
"""

import functools

import numpy as np

from nnjit.core.compiler.jit import inline, vectorized, viewing
from nnjit.core.compiler.units import call, named_units
from nnjit.core.jobs.job import Step, block_of, job_of, params_of, step_of, work_of
from nnjit.core.jobs.records import reader, view
from nnjit.core.maps import activations
from nnjit.core.maps.activations import copy
from nnjit.core.maps.lengths import clear_tails
from nnjit.layers.channels import PIECE, unit_lanes, unit_length, unit_values, values_of
from nnjit.layers.layer import units_of

__all__ = ["OWN_DERIVATIVE", "ROWS_ALONE", "make_step", "reads_outputs", "units"]

ROWS_ALONE = True  # it has no matrix
OWN_DERIVATIVE = True


class ParametricStep(Step):
    """What a parametric activation has beside that."""

    shares: int  # offset of the parameter
    units: int  # values of a row, or channels
    sums: int  # in the scratch, elements of a row: the gradient by the shares
    value_at: int  # unit (h, n): the activation in place
    derivative_at: int  # unit (z, h, delta, n) in place on delta


parametric_step_of = reader(ParametricStep)


@vectorized
def _mix(x, u, rest, h):
    """h[j] = u[j] + rest (x[j] - u[j])."""
    for j in range(len(h)):
        h[j] = u[j] + rest * (x[j] - u[j])


@vectorized
def _mix_in(x, rest, h):
    """The same in place of u."""
    for j in range(len(h)):
        h[j] = h[j] + rest * (x[j] - h[j])


@inline
def activate_units(job, step, block, like):
    """Outputs of the block; phi of its inputs is kept where somebody reads it later."""
    work, params, stride = work_of(job, block, like), params_of(job, like), job.stride
    length, lanes = unit_length(job, block, step), unit_lanes(block, step)
    place = step.kept_row if step.kept_row >= 0 else step.output_row
    for k in range(step.units):
        x = values_of(work, step.input_row, length, k, lanes, stride)
        u = values_of(work, place, length, k, lanes, stride)
        h = values_of(work, step.output_row, length, k, lanes, stride)
        rest = type(like)(1) - params[step.shares + k]
        copy(x, u)
        call(step.value_at, (block.work_at + (place * stride + k * length) * work.itemsize, lanes))
        if step.kept_row >= 0:
            _mix(x, u, rest, h)
        else:
            _mix_in(x, rest, h)


@inline
def _dot_of_difference(delta, u, x):
    """sum_j delta[j] (u[j] - x[j]) in the values' precision."""
    total = x.dtype.type(0)
    for j in range(len(x)):
        total += delta[j] * (u[j] - x[j])
    return total


@inline
def _long_dot(delta, u, x):
    """The same of very many values."""
    total = np.float64(0)
    for first in range(0, len(x), PIECE):
        last = min(first + PIECE, len(x))
        total += np.float64(_dot_of_difference(delta[first:last], u[first:last], x[first:last]))
    return total


@viewing
def _sums(job, step, block, work):
    """The gradient by the shares, between the backward pass and whoever asks for it."""
    at = job.scratch_row * job.stride + step.sums * block.lanes
    return work[at : at + step.units]


@inline
def sum_differences(job, step, block, k, like):
    """Take the sum over a unit's values; those that fill up the last vector are none."""
    work, stride = work_of(job, block, like), job.stride
    length, values = unit_length(job, block, step), unit_values(block, step)
    x = values_of(work, step.input_row, length, k, values, stride)
    u = values_of(work, step.kept_row, length, k, values, stride)
    delta = values_of(work, step.delta_row, length, k, values, stride)
    _sums(job, step, block, work)[k] = _long_dot(delta, u, x)


@inline
def differentiate_unit(job, step, block, k, like):
    """Delta of a unit's inputs."""
    work, row = work_of(job, block, like), job.stride * params_of(job, like).itemsize
    length, lanes = unit_length(job, block, step), unit_lanes(block, step)
    delta = values_of(work, step.delta_row, length, k, lanes, job.stride)
    target = values_of(work, step.input_delta_row, length, k, lanes, job.stride)
    copy(delta, target)
    start = block.work_at + k * length * work.itemsize
    call(
        step.derivative_at,
        (
            start + step.input_row * row,
            start + step.kept_row * row,
            start + step.input_delta_row * row,
            lanes,
        ),
    )
    _mix_in(delta, type(like)(1) - params_of(job, like)[step.shares + k], target)


@functools.cache
def units(single):
    """The units of a parametric activation in one precision, by their fields in a `Step`."""
    like = np.float32(0) if single else np.float64(0)

    def forward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), parametric_step_of(step_at), block_of(block_at)
        activate_units(job, step, block, like)
        clear_tails(job, step_of(step_at), block, step.output_row, like)

    def backward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), parametric_step_of(step_at), block_of(block_at)
        clear_tails(job, step_of(step_at), block, step.delta_row, like)
        for k in range(step.units):
            if step.input_delta_row >= 0:
                differentiate_unit(job, step, block, k, like)
            sum_differences(job, step, block, k, like)

    def gradient(job_at, step_at, block_at, chunk_at, target_at, add, ahead):
        job, step, block = job_of(job_at), parametric_step_of(step_at), block_of(block_at)
        sums = _sums(job, step, block, work_of(job, block, like))
        target = view(target_at, step.units, like)
        for k in range(step.units):
            target[k] = target[k] + sums[k] if add else sums[k]

    return named_units("parametric", single, forward, backward, gradient)


def reads_outputs(layer):
    """Whether the backward pass reads the outputs: it reads the inputs, and phi of these."""
    return False


def make_step(program, number, layer):
    """The record of a parametric activation.

    Parameters
    ----------
    program : Program
        Of the network that the layer is part of.
    number : int
        Of the layer.
    layer : nnjit.layers.parametric.spec.ParametricActivation
    """
    step = program.place(ParametricStep.table(1), number, units(program.single))
    (shares,) = program.layout.of(number)
    step["shares"], step["units"] = shares.start, units_of(program.shapes[number])
    step["value_at"] = activations.value_unit(layer.activation, program.single).address
    if program.training:
        # a block has one vector of rows at least
        step["sums"], _ = program.take_scratch(-(-int(step["units"][0]) // program.lanes))
        backward = activations.backward_unit(layer.activation, program.single)
        step["derivative_at"] = backward.address
    return step
