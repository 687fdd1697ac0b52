"""Gaussian noise on the CPU: values in place, where the layer below reads them no more.

forward    h := x + scale n
backward   the delta is that of the inputs as it stands
"""

import functools

import numpy as np

from nnjit.core.compiler.jit import inline
from nnjit.core.compiler.units import Unit
from nnjit.core.jobs.job import Step, block_of, job_of, row_lanes, row_length, step_of, work_of
from nnjit.core.jobs.records import reader
from nnjit.core.maps.activations import copy
from nnjit.core.maps.lengths import clear_tails
from nnjit.core.maps.normals import normals_adder

__all__ = ["CHANGES_SIGNS", "IN_PLACE", "ROWS_ALONE", "TRAINING_ONLY", "make_step", "units"]

IN_PLACE = True
CHANGES_SIGNS = True
ROWS_ALONE = True
TRAINING_ONLY = True


class NoiseStep(Step):
    """What a noise layer has beside that. Vectors are points of a single channel."""

    number: int  # of the layer, for which its numbers are drawn
    scale: float


noise_step_of = reader(NoiseStep)


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
    """The unit of a noise layer in one precision, by its field in a `Step`."""
    like = np.float32(0) if single else np.float64(0)
    add_normals = normals_adder(single)

    def forward(job_at, step_at, block_at):
        job, step, block = job_of(job_at), noise_step_of(step_at), block_of(block_at)
        if step.output_row != step.input_row:
            copy_inputs(job, step, block, like)
        add_normals(job, step, block, step.scale, 0, like)
        clear_tails(job, step_of(step_at), block, step.output_row, like)

    return {"forward": Unit(forward, f"noise_forward_{'single' if single else 'double'}")}


def make_step(program, number, layer):
    """The record of a noise layer.

    Parameters
    ----------
    program : Program
        Of the network that the layer is part of.
    number : int
        Of the layer.
    layer : nnjit.layers.noise.spec.GaussianNoise
    """
    step = program.place(NoiseStep.table(1), number, units(program.single))
    step["number"], step["scale"] = number, layer.scale
    if not step["packed"]:
        step["channels"], step["points"] = 1, program.sizes[number]
    return step
