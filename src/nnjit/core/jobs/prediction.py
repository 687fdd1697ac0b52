"""The phase of a prediction: the outputs of one block of rows."""

import functools

import numpy as np

from nnjit.core.compiler.jit import inline
from nnjit.core.compiler.units import Unit, call, call_for_real
from nnjit.core.jobs.job import (
    FINITE,
    REPORT,
    block_of,
    job_of,
    params_of,
    row_length,
    step_at,
    step_of,
    work_of,
)
from nnjit.core.jobs.records import view
from nnjit.core.jobs.sorting import is_sorted, sort_block
from nnjit.core.maps.activations import copy
from nnjit.core.simd import Rows, transpose_into
from nnjit.core.simd import lanes as lanes_of

__all__ = ["all_finite", "units", "write_rows"]


@inline
def write_rows(work, z, stride, units, rows, out, at):
    """out[at + j * units + t] = work[z + t * stride + j]; out is row-major.

    A row is written in whole vectors, the last of which may run over into the next row. So
    those come first and rise; where one would leave the block, elements are written.
    """
    if units == 1:
        copy(work[z : z + rows], out[at : at + rows])
        return
    width = lanes_of(work)
    whole = units // width * width
    if whole < units:
        inside = max(0, (rows * units - whole - width) // units + 1) // width * width
        rest = Rows(work, z + whole * stride, stride)
        transpose_into(units - whole, inside, rest, None, Rows(out, at + whole, units))
        for j in range(inside, rows):
            for t in range(whole, units):
                out[at + j * units + t] = work[z + t * stride + j]
    transpose_into(whole, rows, Rows(work, z, stride), None, Rows(out, at, units))


@inline
def all_finite(work, at, units, lanes, stride):
    """Whether the sum of a layer's values is finite; one that overflows says no."""
    total = work.dtype.type(0)
    for k in range(units):
        row = work[at + k * stride : at + k * stride + lanes]
        for j in range(lanes):
            total += row[j]
    return np.isfinite(total)


@inline
def enter_block(job, block, start, rows, worker, like):
    """Have a block be the samples from `start` on; the inputs behind them come next."""
    lanes = lanes_of(params_of(job, like))
    block.order_at = job.order_at
    block.start = start
    block.first = start
    block.rows = rows
    block.lanes = (rows + lanes - 1) // lanes * lanes
    block.work_at = job.work_at + worker * job.work_bytes
    block.next_size = rows * job.x_row if job.x_column == 1 else 0
    block.next_at = job.x_at + (start + rows) * job.x_row * params_of(job, like).itemsize


@inline
def predict_block(job_at, job, block_at, like):
    """Outputs of a block.

    Returns whether logits, outputs, and inputs unless they are sparse, are surely finite. Logits
    count by themselves: in a sum that overflows, the order decides the sign of the infinity, and a
    logistic output is 0 or 1 by it.
    """
    block = block_of(block_at)
    work, rows, steps = work_of(job, block, like), block.rows, job.n_steps
    for number in range(steps):
        at = step_at(job, number)
        call(step_of(at).forward_at, (job_at, at, block_at))
    last, units = step_of(step_at(job, steps - 1)), job.outputs
    z, stride = last.output_row * job.stride, row_length(job, block, last.packed)
    finite = all_finite(work, z, units, rows, stride)
    if not job.logits and job.output_at != 0:
        call(job.output_at, (job_at, block_at))
        if job.output_overflows:
            finite = all_finite(work, z, units, rows, stride) and finite
    if is_sorted(job):
        call(job.scatter_at, (job_at, block_at))
    else:
        out = view(job.out_at, job.n_samples * units, like)
        write_rows(work, z, stride, units, rows, out, block.start * units)
    return finite and inputs_finite(job, block, work)


@inline
def inputs_finite(job, block, work):
    """Whether a block's inputs are surely finite, unless they are sparse."""
    zero = np.int64(0)  # not a literal, for which helpers would be compiled once more
    first = step_of(step_at(job, zero))
    stride = row_length(job, block, first.packed)
    return job.x_column == 0 or all_finite(work, zero, first.outputs, block.rows, stride)


@inline
def predict_points(job_at, job, block_at, like):
    """The outputs at every point of a block's series; says the same as `predict_block`."""
    block = block_of(block_at)
    for number in range(job.n_steps):
        at = step_at(job, number)
        call(step_of(at).forward_at, (job_at, at, block_at))
    step, work = step_of(step_at(job, job.n_steps - 1)), work_of(job, block, like)
    finite = all_finite(work, step.output_row * job.stride, step.outputs, block.rows, block.rows)
    finite = call_for_real(job.output_at, (job_at, block_at)) == 1.0 and finite
    return finite and inputs_finite(job, block, work)


def after_blocks(job_at):
    """Nothing follows."""
    return 0.0


@functools.cache
def units(single):
    """The units of the phase in one precision, by name."""
    like = np.float32(0) if single else np.float64(0)

    def predict_task(job_at, number, count, worker):
        job = job_of(job_at)
        start = (job.first + number) * job.block_rows
        rows = min(job.block_rows, job.n_samples - start)
        block_at = job.blocks_at + worker * job.block_bytes
        enter_block(job, block_of(block_at), start, rows, worker, like)
        sort_block(job_at, job, block_at)
        if not predict_block(job_at, job, block_at, like):
            view(job.report_at, REPORT, np.float64(0))[FINITE] = 0.0

    def predict_points_task(job_at, number, count, worker):
        job = job_of(job_at)
        start = (job.first + number) * job.block_rows
        rows = min(job.block_rows, job.n_samples - start)
        block_at = job.blocks_at + worker * job.block_bytes
        enter_block(job, block_of(block_at), start, rows, worker, like)
        sort_block(job_at, job, block_at)
        if not predict_points(job_at, job, block_at, like):
            view(job.report_at, REPORT, np.float64(0))[FINITE] = 0.0

    suffix = "single" if single else "double"
    return {
        "predict_task": Unit(predict_task, f"predict_task_{suffix}"),
        "predict_points_task": Unit(predict_points_task, f"predict_points_task_{suffix}"),
        "after_blocks": Unit(after_blocks, real=True),
    }
