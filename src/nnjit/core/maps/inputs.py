"""Dense samples are gathered into a block's workspace, feature by feature."""

import functools

import numpy as np

from nnjit.core.compiler.jit import inline
from nnjit.core.compiler.units import Unit
from nnjit.core.jobs.job import block_of, job_of, order_of, step_of, work_of
from nnjit.core.jobs.records import view
from nnjit.core.simd import Index, Rows, transpose_into

__all__ = ["input_unit"]


@inline
def gather_rows(job, step, block, like):
    """work[k, j] = x[start + order[j], k]."""
    work, order, stride = work_of(job, block, like), order_of(block), job.stride
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


@functools.cache
def input_unit(single):
    """Unit (job, step, block): the block's rows, gathered into its workspace."""
    like = np.float32(0) if single else np.float64(0)

    def gather(job_at, step_at, block_at):
        gather_rows(job_of(job_at), step_of(step_at), block_of(block_at), like)

    return Unit(gather, f"input_{'single' if single else 'double'}")
