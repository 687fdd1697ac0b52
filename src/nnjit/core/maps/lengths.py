"""Series of unequal length: points behind the end of a series are 0, and so are their deltas.

A layer that makes values of points which did not exist (a convolution reaches over the end) has
them set to 0 again, and its backward pass begins by doing so with its delta. Then what comes out
for a series does not depend on how many points it was filled up with.
"""

import numpy as np

from nnjit.core.compiler.jit import inline
from nnjit.core.jobs.job import order_of, work_of
from nnjit.core.jobs.records import view

__all__ = ["clear_tails", "is_ragged", "length_of"]


@inline
def is_ragged(job, step):
    """Whether series of a job may be shorter than others, where a layer gives out series."""
    return job.lengths_at != 0 and step.lengths_at != 0


@inline
def length_of(job, step, sample):
    """Points of a sample behind a layer, for `is_ragged`."""
    given = view(job.lengths_at, job.n_samples, np.int64(0))[sample]
    return view(step.lengths_at, given + 1, np.int64(0))[given]


@inline
def clear_tails(job, step, block, row, like):
    """Set points behind the ends of the series to 0, in packed values from workspace row `row` on.

    Nothing is done where all series have all points.

    step : the record as a plain `Step` (`step_of`)
    """
    if not is_ragged(job, step):
        return
    work, order, rows = work_of(job, block, like), order_of(block), block.rows
    zero = type(like)(0)
    for j in range(rows):
        first = length_of(job, step, block.start + order[j])
        for c in range(step.channels):
            for p in range(first, step.points):
                work[row * job.stride + (c * step.points + p) * rows + j] = zero
