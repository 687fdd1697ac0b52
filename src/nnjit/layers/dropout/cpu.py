"""Dropout on the CPU: values and deltas in place.

    forward    h := m h / (1 - rate)
    backward   delta := m delta / (1 - rate)

The mask m is drawn unit by unit along the rows of a block, so that the bits come in whole vectors.
Above a ReLU nothing is drawn twice: m phi'(z) is 1 where h is above 0, since dropped values are 0
as those are whose derivative is 0. Elsewhere the backward pass draws the same bits again, which
costs less than to keep them.
"""

import functools

import numpy as np

from nnjit.core.compiler.jit import inline, vectorized
from nnjit.core.compiler.units import named_units
from nnjit.core.jobs.job import (
    STEPS,
    Step,
    block_of,
    job_of,
    row_lanes,
    row_length,
    work_of,
)
from nnjit.core.jobs.records import reader, view
from nnjit.core.jobs.sorting import follow_rows
from nnjit.core.maps.activations import copy
from nnjit.core.scalar import helper
from nnjit.formulas.random import counters, threshold_of

__all__ = ["IN_PLACE", "MASKS_INPUTS", "ROWS_ALONE", "TRAINING_ONLY", "make_step", "units"]

IN_PLACE = True
MASKS_INPUTS = True
ROWS_ALONE = True
TRAINING_ONLY = True

_random = counters(helper)
key, unit_key, bits = _random.key, _random.unit_key, _random.bits


class DropoutStep(Step):
    """What a dropout layer has beside that."""

    number: int  # of the layer, for which its bits are drawn
    threshold: int  # values whose bits are below are dropped
    scale: float  # of the others
    mask_inputs: int  # 1: delta is multiplied by the derivative of a ReLU below as well


dropout_step_of = reader(DropoutStep)


@vectorized
def draw(drawn, first, second, place):
    """32 bits for each row from number `place` on."""
    for j in range(len(drawn)):
        drawn[j] = bits(first, second, np.uint32(place + np.uint32(j)))


@vectorized
def drop_row(row, drawn, threshold, scale, zero):
    """One unit's values, or deltas, of all rows."""
    for j in range(len(row)):
        row[j] = zero if drawn[j] < threshold else row[j] * scale


@vectorized
def mask_row(delta, values, scale, zero):
    """The same for deltas above a ReLU, by the values that were not dropped."""
    for j in range(len(delta)):
        delta[j] = delta[j] * scale if values[j] > zero else zero


@inline
def drop(job, step, block, at, like):
    """Drop some of the values, or deltas, of which the first unit's begin at `at`."""
    work = work_of(job, block, like)
    real, row_bytes = work.dtype.type, job.stride * work.itemsize
    # apart from the values, whose vectors may hold other numbers of elements
    spare_at = block.work_at + job.spare_row * row_bytes
    drawn = view(spare_at, row_lanes(block, step.packed), np.uint32(0))
    spare = view(spare_at + row_bytes, row_lanes(block, step.packed), np.uint32(0))
    step_number = np.int64(view(job.clock_at, STEPS + 1, np.float64(0))[STEPS])
    first, second = key(job.seed, step_number, step.number)
    length, lanes = row_length(job, block, step.packed), row_lanes(block, step.packed)
    for k in range(step.outputs):
        a, b = unit_key(first, second, k)
        draw(drawn, a, b, np.uint32(block.first))
        follow_rows(job, block, drawn, spare)
        row = work[at + k * length : at + k * length + lanes]
        drop_row(row, drawn, np.uint32(step.threshold), real(step.scale), real(0))


@inline
def mask(job, step, block, like):
    """Multiply delta by the mask and by the derivative of the ReLU below."""
    work, length = work_of(job, block, like), row_length(job, block, step.packed)
    real, lanes = work.dtype.type, row_lanes(block, step.packed)
    for k in range(step.outputs):
        delta = step.delta_row * job.stride + k * length
        values = step.output_row * job.stride + k * length
        mask_row(
            work[delta : delta + lanes], work[values : values + lanes], real(step.scale), real(0)
        )


@inline
def copy_inputs(job, step, block, like):
    """Where the layer below reads its outputs later, this one has rows of its own."""
    work, length = work_of(job, block, like), row_length(job, block, step.packed)
    lanes = row_lanes(block, step.packed)
    for k in range(step.outputs):
        source = step.input_row * job.stride + k * length
        target = step.output_row * job.stride + k * length
        copy(work[source : source + lanes], work[target : target + lanes])


@functools.cache
def units(single):
    """The units of a dropout layer in one precision, by their fields in a `Step`."""
    like = np.float32(0) if single else np.float64(0)

    def forward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), dropout_step_of(step_at), block_of(block_at)
        if step.output_row != step.input_row:
            copy_inputs(job, step, block, like)
        drop(job, step, block, step.output_row * job.stride, like)

    def backward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), dropout_step_of(step_at), block_of(block_at)
        if step.mask_inputs:
            mask(job, step, block, like)
        else:
            drop(job, step, block, step.delta_row * job.stride, like)

    return named_units("dropout", single, forward, backward)


def make_step(program, number, layer):
    """The record of a dropout layer.

    Parameters
    ----------
    program : Program
        Of the network that the layer is part of.
    number : int
        Of the layer.
    layer : nnjit.layers.dropout.spec.Dropout
    """
    step = program.place(DropoutStep.table(1), number, units(program.single))
    step["number"] = number
    step["threshold"] = threshold_of(layer.rate)
    step["scale"] = 1.0 / (1.0 - layer.rate)
    step["mask_inputs"] = program.training and program.masks_below(number)
    return step
