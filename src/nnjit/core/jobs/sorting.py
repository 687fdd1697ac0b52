"""Rows of a block that stand by their lengths, the longest first.

Recurrent layers go from one point of time to the next, at each of which only the series that are
still there cost anything, if these are the first rows of the block. So the block gets an order of
its own, in its workspace: all that goes by `order_of` works as ever, and predictions are written to
the rows that they belong to.
"""

import functools

import numpy as np

from nnjit.core.compiler.jit import inline, viewing
from nnjit.core.compiler.units import Unit, call
from nnjit.core.jobs.job import (
    block_of,
    job_of,
    order_of,
    row_length,
    sorted_places,
    step_at,
    step_of,
    work_of,
)
from nnjit.core.jobs.records import view

__all__ = [
    "SORT",
    "enter_sorted",
    "follow_rows",
    "is_sorted",
    "place_of",
    "scatter_unit",
    "sort_block",
]

# Gaps of the sort: those found best by experiment (Ciura 2001), of as many rows as a block has.
_GAPS = (132, 57, 23, 10, 4, 1)
_PLACE_BITS = 20
# Values of a row that are written in one go, so that their lines stay in the cache.
_GO = 64


@inline
def is_sorted(job):
    """Whether the rows of a block stand by their lengths."""
    return job.sort_at != 0 and job.lengths_at != 0


@viewing
def _sorted_order(job, block):
    """The block's own order, in its workspace."""
    return view(block.work_at + job.order_bytes, block.rows, np.int64(0))


@inline
def enter_sorted(job, block):
    """Have a block stand by the order that `sort_block` left in its workspace."""
    if is_sorted(job):
        block.order_at = block.work_at + job.order_bytes


@inline
def sort_block(job_at, job, block_at):
    """Sort the rows of a block that has just been entered, if they are to be sorted."""
    if is_sorted(job):
        call(job.sort_at, (job_at, block_at))


@inline
def follow_rows(job, block, drawn, spare):
    """Sort what has been drawn for the rows of a block, as these have been if they have.

    So what is drawn for a sample does not depend on the rows beside it. `spare` is written to.
    """
    if is_sorted(job):
        places = sorted_places(job, block)
        for j in range(block.rows):
            spare[j] = drawn[j]
        for j in range(block.rows):
            drawn[j] = spare[places[j]]


@inline
def place_of(job, block, j):
    """Place of a row in its minibatch, or its number in a prediction, whatever was sorted."""
    return block.first + (sorted_places(job, block)[j] if is_sorted(job) else j)


@inline
def sort_keys(keys):
    """Sort a few numbers in place (Shell 1959)."""
    for gap in _GAPS:
        for i in range(gap, len(keys)):
            key, at = keys[i], i
            while at >= gap and keys[at - gap] > key:
                keys[at] = keys[at - gap]
                at -= gap
            keys[at] = key


def sort_rows(job_at, block_at):
    """Leave the block's order, and the places that its rows had, in the workspace.

    Rows of equal length stay as they were.
    """
    job, block = job_of(job_at), block_of(block_at)
    given = order_of(block)
    lengths = view(job.lengths_at, job.n_samples, np.int64(0))
    places, own = sorted_places(job, block), _sorted_order(job, block)
    for j in range(block.rows):
        places[j] = j - (lengths[block.start + given[j]] << _PLACE_BITS)
    sort_keys(places)
    for j in range(block.rows):
        places[j] &= (1 << _PLACE_BITS) - 1
        own[j] = given[places[j]]
    enter_sorted(job, block)


SORT = Unit(sort_rows)


@inline
def scatter(work, z, stride, units, order, out, at):
    """out[at + order[j] * units + t] = work[z + t * stride + j]."""
    for first in range(0, units, _GO):
        n = min(_GO, units - first)
        for j in range(len(order)):
            start = at + order[j] * units + first
            row = out[start : start + n]
            values = work[z + first * stride + j :]
            for t in range(n):
                row[t] = values[t * stride]


@functools.cache
def scatter_unit(single):
    """Unit (job, block): the outputs of a block, each row to where it belongs."""
    like = np.float32(0) if single else np.float64(0)

    def scatter_rows(job_at, block_at):
        job, block = job_of(job_at), block_of(block_at)
        units, last = job.outputs, step_of(step_at(job, job.n_steps - 1))
        stride = row_length(job, block, last.packed)
        out = view(job.out_at, job.n_samples * units, like)
        scatter(
            work_of(job, block, like), last.output_row * job.stride, stride, units,
            order_of(block), out, block.start * units,
        )  # fmt: skip

    return Unit(scatter_rows, f"scatter_rows_{'single' if single else 'double'}")
