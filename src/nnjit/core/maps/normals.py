"""Normal numbers added to the values of a layer.

They are drawn from counters by the row's place in its minibatch, so that they do not depend on
blocks or threads.
"""

import numpy as np

from nnjit.core.compiler.jit import inline, wide
from nnjit.core.jobs.job import STEPS, row_lanes, row_length, work_of
from nnjit.core.jobs.records import view
from nnjit.core.jobs.sorting import place_of
from nnjit.core.scalar import helper
from nnjit.formulas.library import library
from nnjit.formulas.random import counters, normals

__all__ = ["key_of", "normals_adder"]

_random = counters(helper)
key, unit_key, bits = _random.key, _random.unit_key, _random.bits


@inline
def key_of(job, number):
    """What a layer draws with in this step of the solver."""
    step_number = np.int64(view(job.clock_at, STEPS + 1, np.float64(0))[STEPS])
    return key(job.seed, step_number, number)


@inline
def _enter_places(job, block, places):
    """Places of the rows of a block in their minibatch; 0 for what fills up the last vector."""
    for j in range(len(places)):
        places[j] = place_of(job, block, j) if j < block.rows else 0


def normals_adder(single):
    """Function (job, step, block, deviation, unit, like): normal numbers are added to all values.

    They are those of the units from number `unit` on, point by point with the channels innermost:
    so those of a series do not depend on how many points it is filled up with. The step has the
    `number` of its layer; one of vectors has them as the points of a single channel.
    """
    normal_pair = normals(library(single, helper), helper)

    @wide
    def add_pair(a, b, c, d, places, deviation, even, odd):
        for j in range(len(even)):
            x, y = normal_pair(bits(a, b, places[j]), bits(c, d, places[j]))
            even[j] += deviation * x
            odd[j] += deviation * y

    @inline
    def add_normals(job, step, block, deviation, unit, like):
        work, n = work_of(job, block, like), step.outputs
        length, lanes = row_length(job, block, step.packed), row_lanes(block, step.packed)
        at, row_bytes = step.output_row * job.stride, job.stride * work.itemsize
        places = view(block.work_at + (job.spare_row + 1) * row_bytes, lanes, np.uint32(0))
        _enter_places(job, block, places)
        first, second = key_of(job, step.number)
        for k in range(0, n, 2):
            p, c = divmod(k, step.channels)
            even = at + (c * step.points + p) * length
            p, c = divmod(k + 1, step.channels)
            odd = at + (c * step.points + p) * length if k + 1 < n else job.spare_row * job.stride
            a, b = unit_key(first, second, unit + k)
            c, d = unit_key(first, second, unit + k + 1)
            add_pair(
                a, b, c, d, places, type(like)(deviation), work[even : even + lanes],
                work[odd : odd + lanes],
            )  # fmt: skip

    return add_normals
