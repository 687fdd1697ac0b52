"""Gaussian noise on the CPU: values in place, where the layer below reads them no more.

forward    h := x + scale n
backward   the delta is that of the inputs as it stands
"""

import functools

import numpy as np

from nnjit.core.compiler.units import Unit
from nnjit.core.jobs.job import Step, block_of, job_of, step_of
from nnjit.core.jobs.records import reader
from nnjit.core.maps.lengths import clear_tails
from nnjit.core.maps.normals import normals_adder
from nnjit.layers.dropout.cpu import copy_inputs

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
