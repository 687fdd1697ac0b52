"""Flatten layers on the CPU: packed values are set as far apart as those of vectors, and back."""

import functools

import numpy as np

from nnjit.core.compiler.jit import inline
from nnjit.core.compiler.units import named_units
from nnjit.core.jobs.job import Step, block_of, job_of, work_of
from nnjit.core.jobs.records import reader
from nnjit.core.maps.activations import copy

__all__ = ["ROWS_ALONE", "make_step", "units"]

ROWS_ALONE = True  # it has no parameters

flatten_step_of = reader(Step)


@inline
def move(work, n, lanes, source, source_row, target, target_row):
    """Copy n values of `lanes` rows each, which lie so many elements apart."""
    for k in range(n):
        x, y = source + k * source_row, target + k * target_row
        copy(work[x : x + lanes], work[y : y + lanes])


@inline
def clear_padding(work, n, rows, lanes, start, stride):
    """Zeros behind the last row: what an earlier block left there might be no number."""
    for k in range(n):
        for j in range(start + k * stride + rows, start + k * stride + lanes):
            work[j] = 0


@functools.cache
def units(single):
    """The units of a flatten layer in one precision, by their fields in a `Step`."""
    like = np.float32(0) if single else np.float64(0)

    def forward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), flatten_step_of(step_at), block_of(block_at)
        stride, work, start = job.stride, work_of(job, block, like), step.output_row * job.stride
        move(work, step.outputs, block.rows, step.input_row * stride, block.rows, start, stride)
        if block.rows < block.lanes:
            clear_padding(work, step.outputs, block.rows, block.lanes, start, stride)

    def backward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), flatten_step_of(step_at), block_of(block_at)
        stride = job.stride
        if step.input_delta_row >= 0:
            move(
                work_of(job, block, like), step.outputs, block.rows, step.delta_row * stride,
                stride, step.input_delta_row * stride, block.rows,
            )  # fmt: skip

    return named_units("flatten", single, forward, backward)


def make_step(program, number, layer):
    """The record of a flatten layer.

    Parameters
    ----------
    program : Program
        Of the network that the layer is part of.
    number : int
        Of the layer.
    layer : nnjit.layers.flatten.spec.Flatten
    """
    return program.place(Step.table(1), number, units(program.single))
