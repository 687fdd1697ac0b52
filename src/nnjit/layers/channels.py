"""The values of a unit that is a value of a vector or a whole channel, and sums over them.

A layer with one parameter for each unit sees its values, over the rows of a block, as one long
vector: of arrays of channels, which lie packed, ``points * rows`` of them (see
`nnjit.core.jobs.job.Step`). Sums over very many are taken piece by piece in the values' precision,
and those of the pieces added up in float64.
"""

from nnjit.core.compiler.jit import inline, viewing

__all__ = ["PIECE", "unit_lanes", "unit_length", "unit_values", "values_of"]

# Values whose sum is taken in their own precision.
PIECE = 4096


@inline
def unit_length(job, block, step):
    """Elements from the first value of a unit to that of the next one."""
    return step.points * block.rows if step.packed != 0 else job.stride


@inline
def unit_values(block, step):
    """How many values a unit has in a block."""
    return step.points * block.rows if step.packed != 0 else block.rows


@inline
def unit_lanes(block, step):
    """The same, of vectors in whole vectors of rows."""
    return step.points * block.rows if step.packed != 0 else block.lanes


@viewing
def values_of(work, row, length, number, count, stride):
    """The values, or deltas, of a unit, those of the first one lying in workspace row `row`."""
    at = row * stride + number * length
    return work[at : at + count]
