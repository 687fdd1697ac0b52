"""Residual layers on the CPU.

    forward    H = X + X', X' being the inputs of the block's first layer
    backward   delta of X := delta of H;  delta of X' += delta of H

Every layer's backward pass writes the delta of its inputs anew. So the second addition is a step of
its own in front of the block's first layer, which on the way back comes right after it.
"""

import functools

import numpy as np

from nnjit.core.compiler.jit import inline, vectorized
from nnjit.core.compiler.units import named_units
from nnjit.core.jobs.job import (
    Step,
    block_of,
    job_of,
    order_of,
    row_lanes,
    row_length,
    work_of,
)
from nnjit.core.jobs.records import reader, view
from nnjit.core.maps.activations import copy

__all__ = ["ROWS_ALONE", "ResidualStep", "make_join", "make_step", "units"]

ROWS_ALONE = True  # it has no parameters


class ResidualStep(Step):
    """What a residual layer has beside that."""

    source_row: int  # of the values, or deltas, that are added


residual_step_of = reader(ResidualStep)


@vectorized
def _add(x, y, total):
    """total[j] = x[j] + y[j]."""
    for j in range(len(total)):
        total[j] = x[j] + y[j]


@vectorized
def _add_to(x, total):
    """total[j] += x[j]."""
    for j in range(len(total)):
        total[j] += x[j]


@inline
def add_rows(job, step, block, like):
    """Outputs = inputs + the values from `source_row` on."""
    work, length = work_of(job, block, like), row_length(job, block, step.packed)
    lanes, stride = row_lanes(block, step.packed), job.stride
    for k in range(step.outputs):
        x, y = step.input_row * stride + k * length, step.source_row * stride + k * length
        h = step.output_row * stride + k * length
        _add(work[x : x + lanes], work[y : y + lanes], work[h : h + lanes])


@inline
def add_csr_rows(job, step, block, like):
    """Outputs = inputs + the block's CSR rows, which are in no workspace."""
    work, stride, order = work_of(job, block, like), job.stride, order_of(block)
    x = view(job.x_at, job.x_size, like)
    indices = view(job.indices_at, job.x_size, np.int32(0))
    indptr = view(job.indptr_at, job.n_samples + 1, np.int64(0))
    copy_rows(work, step.input_row, step.output_row, step.outputs, stride, stride, block.lanes)
    for j in range(block.rows):
        sample = block.start + order[j]
        for p in range(indptr[sample], indptr[sample + 1]):
            work[(step.output_row + indices[p]) * stride + j] += x[p]


@inline
def copy_rows(work, source, target, n, stride, length, lanes):
    """Copy n values of a block, which lie `length` elements apart, to other rows."""
    for k in range(n):
        x, y = source * stride + k * length, target * stride + k * length
        copy(work[x : x + lanes], work[y : y + lanes])


@functools.cache
def units(single):
    """The units of residual layers in one precision, by name; a layer takes what it needs."""
    like = np.float32(0) if single else np.float64(0)

    def forward(job_at, step_at, block_at):
        add_rows(job_of(job_at), residual_step_of(step_at), block_of(block_at), like)

    def csr_forward(job_at, step_at, block_at):
        add_csr_rows(job_of(job_at), residual_step_of(step_at), block_of(block_at), like)

    def backward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), residual_step_of(step_at), block_of(block_at)
        if step.input_delta_row >= 0:
            copy_rows(
                work_of(job, block, like), step.delta_row, step.input_delta_row, step.outputs,
                job.stride, row_length(job, block, step.packed), row_lanes(block, step.packed),
            )  # fmt: skip

    def join_forward(job_at, step_at, block_at):
        pass

    def join_backward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), residual_step_of(step_at), block_of(block_at)
        work, length = work_of(job, block, like), row_length(job, block, step.packed)
        lanes = row_lanes(block, step.packed)
        for k in range(step.outputs):
            x = step.source_row * job.stride + k * length
            total = step.input_delta_row * job.stride + k * length
            _add_to(work[x : x + lanes], work[total : total + lanes])

    return named_units(
        "residual", single, forward, csr_forward, backward, join_forward, join_backward
    )


def make_step(program, number, layer):
    """The record of a residual layer.

    Parameters
    ----------
    program : Program
        Of the network that the layer is part of.
    number : int
        Of the layer.
    layer : nnjit.layers.residual.spec.Residual
    """
    made, first = units(program.single), number - layer.span
    csr = program.sparse and first <= program.first  # nothing below changes the rows
    step = program.place(ResidualStep.table(1), number, _passes(made, csr))
    step["source_row"] = program.input_row(first)
    return step


def _passes(made, csr):
    return {"forward": made["csr_forward" if csr else "forward"], "backward": made["backward"]}


def make_join(program, first, number):
    """The record that adds a residual layer's delta to that of the inputs of its first layer.

    It stands in front of the first layer, whose number is `first`.
    """
    made, step = units(program.single), ResidualStep.table(1)
    step["forward_at"] = made["join_forward"].address
    step["backward_at"] = made["join_backward"].address
    step["outputs"] = program.sizes[first]
    program.enter_shape(step, first)
    step["source_row"] = program.delta_row(number + 1)
    step["input_delta_row"] = program.delta_row(first)
    return step
