"""Recurrent dropout: which states are dropped in front of the recurrent weights.

They are the same ones at all points of a row, and follow from its place in the minibatch. A unit of
its own, which is compiled where a layer drops some.
"""

import functools

import numpy as np

from nnjit.core.compiler.jit import inline
from nnjit.core.compiler.units import Unit
from nnjit.core.jobs.job import STEPS, block_of, job_of, work_of
from nnjit.core.jobs.records import view
from nnjit.core.jobs.sorting import place_of
from nnjit.core.scalar import helper
from nnjit.formulas.random import counters
from nnjit.layers.recurrence.records import (
    DIRECTION_BYTES,
    direction_of,
    kept_at,
    recurrent_step_of,
)

__all__ = ["mask_unit"]

_random = counters(helper)
key, unit_key, bits = _random.key, _random.unit_key, _random.bits


@inline
def draw_mask(job, step, block, direction, like):
    """Which states are dropped in front of the recurrent weights: the same at all points."""
    work, units, real = work_of(job, block, like), step.units, type(like)
    number = np.int64(view(job.clock_at, STEPS + 1, np.float64(0))[STEPS])
    first, second = key(job.seed, number, step.number)
    mask, threshold = kept_at(job, step, direction.mask), np.uint32(step.threshold)
    for u in range(units):
        a, b = unit_key(first, second, direction.first + u)
        for j in range(block.rows):
            drawn = bits(a, b, np.uint32(place_of(job, block, j)))
            work[mask + j * units + u] = real(0) if drawn < threshold else real(step.scale)


@functools.cache
def mask_unit(single):
    """Unit (job, step, block): draws the factors on the states of all directions."""
    like = np.float32(0) if single else np.float64(0)

    def mask(job_at, step_at, block_at):
        job, step, block = job_of(job_at), recurrent_step_of(step_at), block_of(block_at)
        for number in range(step.n_directions):
            direction = direction_of(step.directions_at + number * DIRECTION_BYTES)
            draw_mask(job, step, block, direction, like)

    return Unit(mask, f"recurrence_mask_{'single' if single else 'double'}")
