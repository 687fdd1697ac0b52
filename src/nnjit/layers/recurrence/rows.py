"""Rows of a block by their lengths, and what is done to whole matrices of rows x units."""

import numpy as np

from nnjit.core.compiler.jit import inline, vectorized, viewing
from nnjit.core.jobs.job import order_of, work_of
from nnjit.core.jobs.records import view
from nnjit.core.maps.lengths import is_ragged, length_of
from nnjit.core.simd import FROM_C, Prologue, Rows, product, transpose_into
from nnjit.core.simd import lanes as lanes_of

__all__ = [
    "active",
    "add_product",
    "add_to",
    "clear",
    "find_lengths",
    "flush",
    "lengths_of",
    "longest",
    "multiply",
    "run_from",
    "transpose_whole",
]


@viewing
def lengths_of(job, step, block, like):
    """Points of time of every row, once `find_lengths` has found them."""
    row_bytes = job.stride * work_of(job, block, like).itemsize
    at = block.work_at + (step.kept_row + step.lengths) * row_bytes
    return view(at, block.rows, np.int64(0))


@inline
def find_lengths(job, plain, step, block, like):
    """Note the lengths of the rows.

    plain : the record as a plain `Step` (`step_of`)
    """
    lengths, order, ragged = (
        lengths_of(job, step, block, like),
        order_of(block),
        is_ragged(job, plain),
    )
    for j in range(block.rows):
        lengths[j] = length_of(job, plain, block.start + order[j]) if ragged else step.points


@inline
def longest(lengths):
    """Points of the longest row."""
    return lengths[0]


@inline
def active(lengths, point):
    """How many rows have a point: the first so many."""
    rows = len(lengths)
    while rows > 0 and lengths[rows - 1] <= point:
        rows -= 1
    return rows


@inline
def run_from(lengths, point, end):
    """How many points from one on (below `end`) have all rows, 1 if it has fewer itself."""
    return max(min(lengths[len(lengths) - 1], end) - point, 1)


@vectorized
def clear(values):
    zero = values.dtype.type(0)
    for i in range(len(values)):
        values[i] = zero


@vectorized
def flush(values, least):
    """Set what is smaller than `least` to 0; NaN stays."""
    zero = values.dtype.type(0)
    for i in range(len(values)):
        values[i] = zero if abs(values[i]) < least else values[i]


@vectorized
def add_to(values, total):
    for i in range(len(values)):
        total[i] += values[i]


@vectorized
def multiply(values, factors, target):
    for i in range(len(values)):
        target[i] = values[i] * factors[i]


@inline
def add_product(m, n, depth, a, b, c):
    """C += A B."""
    product(m, n, depth, a, b, c, Prologue(FROM_C, c.values, 0), None, None)


@inline
def transpose_whole(rows, columns, values, source, row, target, target_row):
    """values[target + j * target_row + i] = values[source + i * row + j], and nothing else.

    A transpose writes whole vectors of rows, so the last rows are written one by one.
    """
    whole = rows // lanes_of(values) * lanes_of(values)
    if whole > 0:
        transpose_into(
            whole, columns, Rows(values, source, row), None, Rows(values, target, target_row)
        )
    for i in range(whole, rows):
        for j in range(columns):
            values[target + j * target_row + i] = values[source + i * row + j]
