"""The units of recurrent layers on the CPU, whatever their cells; see records.py."""

import functools

import numpy as np

from nnjit.core.compiler.units import call, named_units
from nnjit.core.jobs.job import block_of, chunk_of, job_of, step_of
from nnjit.core.jobs.records import view
from nnjit.layers.recurrence.backward import go_back, input_delta
from nnjit.layers.recurrence.forward import go_forward
from nnjit.layers.recurrence.gradient import BIASES, add_gradient
from nnjit.layers.recurrence.mask import mask_unit
from nnjit.layers.recurrence.records import (
    DIRECTION_BYTES,
    direction_of,
    make_step,
    recurrent_step_of,
)
from nnjit.layers.recurrence.rows import clear, find_lengths

__all__ = ["make_recurrent", "reads_outputs", "units"]


@functools.cache
def units(single):
    """The units of any recurrent layer in one precision, by their fields in a `Step`."""
    like = np.float32(0) if single else np.float64(0)

    def forward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), recurrent_step_of(step_at), block_of(block_at)
        find_lengths(job, step_of(step_at), step, block, like)
        if step.mask_at != 0:
            call(step.mask_at, (job_at, step_at, block_at))
        for number in range(step.n_directions):
            direction = direction_of(step.directions_at + number * DIRECTION_BYTES)
            go_forward(job, step, block, direction, like)

    def backward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), recurrent_step_of(step_at), block_of(block_at)
        for number in range(step.n_directions):
            direction = direction_of(step.directions_at + number * DIRECTION_BYTES)
            go_back(job, step, block, direction, number, like)
        if step.input_delta_row >= 0:
            input_delta(job, step, block, like)

    def gradient(job_at, step_at, block_at, chunk_at, target_at, add, ahead):
        job, step, block = job_of(job_at), recurrent_step_of(step_at), block_of(block_at)
        chunk = chunk_of(chunk_at)
        target = view(target_at, chunk.high - chunk.low, like)
        if add == 0:
            clear(target)
        way, piece = divmod(chunk.piece, 4 if step.recurrent_gates > 0 else 3)
        direction = direction_of(step.directions_at + way * DIRECTION_BYTES)
        first, height = (np.int64(0), np.int64(1)) if piece >= BIASES else (chunk.first, chunk.rows)
        add_gradient(
            job, step, block, way, direction, piece, first, height, chunk.row, target, like
        )

    return named_units("recurrence", single, forward, backward, gradient)


def reads_outputs(layer):
    """The backward pass of no recurrent layer does: states are kept apart."""
    return False


def make_recurrent(program, number, layer, cells):
    """The record of a recurrent layer whose cells have these units; see `records.make_step`."""
    step = make_step(program, number, layer, units(program.single), cells)
    if step["threshold"] > 0:
        step["mask_at"] = mask_unit(program.single).address
    return step
