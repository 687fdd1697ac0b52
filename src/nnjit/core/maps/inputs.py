"""Dense samples are gathered into a block's workspace, feature by feature.

Arrays of channels lie packed there (see `nnjit.core.jobs.job.Step`), and what follows the end of a
series that is shorter than others is 0 instead of NaN.
"""

import functools

import numpy as np

from nnjit.core.compiler.jit import inline
from nnjit.core.compiler.units import Unit
from nnjit.core.jobs.job import block_of, job_of, order_of, step_of, work_of
from nnjit.core.jobs.records import view
from nnjit.core.maps.activations import copy
from nnjit.core.maps.lengths import clear_tails
from nnjit.core.simd import Index, Rows, transpose_into

__all__ = ["input_unit", "packed_input_unit"]


@inline
def gather_rows(job, step, block, stride, like):
    """work[k, j] = x[start + order[j], k], rows of the workspace being `stride` elements apart."""
    work, order = work_of(job, block, like), order_of(block)
    x = view(job.x_at, job.x_size, like)
    at = step.output_row * stride
    if job.x_column == 1:
        source = Rows(x, block.start * job.x_row, job.x_row)
        target = Rows(work, at, stride)
        transpose_into(block.rows, step.outputs, source, Index(order, 0), target)
        return
    for k in range(step.outputs):
        column = x[k * job.x_column : k * job.x_column + job.x_column]
        row = work[at + k * stride : at + k * stride + block.lanes]
        for j in range(block.lanes):
            row[j] = column[block.start + order[min(j, block.rows - 1)]]


@inline
def pack_rows(job, step, block, like):
    """Close the gaps between the values of a block that has been gathered."""
    work, rows = work_of(job, block, like), block.rows
    for k in range(1, step.outputs):  # to the left, so nothing is overwritten that is still read
        source, target = k * job.stride, k * rows
        for j in range(rows):
            work[target + j] = work[source + j]


@inline
def copy_row(job, step, block, like):
    """The values of a block of one row."""
    x = view(job.x_at, job.x_size, like)
    at = (block.start + order_of(block)[0]) * job.x_row
    copy(x[at : at + step.outputs], work_of(job, block, like)[: step.outputs])


@functools.cache
def input_unit(single):
    """Unit (job, step, block): the block's rows, gathered into its workspace."""
    like = np.float32(0) if single else np.float64(0)

    def gather(job_at, step_at, block_at):
        job = job_of(job_at)
        gather_rows(job, step_of(step_at), block_of(block_at), job.stride, like)

    return Unit(gather, f"input_{'single' if single else 'double'}")


@functools.cache
def packed_input_unit(single):
    """The same for rows that are series or images."""
    like = np.float32(0) if single else np.float64(0)

    def gather_packed(job_at, step_at, block_at):
        job, step, block = job_of(job_at), step_of(step_at), block_of(block_at)
        whole = block.rows == block.lanes
        if block.rows == 1 and job.x_column == 1:
            copy_row(job, step, block, like)
        else:
            gather_rows(job, step, block, block.rows if whole else job.stride, like)
            if not whole:
                pack_rows(job, step, block, like)
        clear_tails(job, step, block, 0, like)

    return Unit(gather_packed, f"packed_input_{'single' if single else 'double'}")
