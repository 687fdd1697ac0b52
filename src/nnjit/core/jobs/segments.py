"""Passes in segments, where the rows of a minibatch that threads share have to meet on the way.

Batch normalization needs the mean over all rows before any can go on. The passes of a block are a
row of positions: n steps forward, the loss, n steps backward. A phase is a segment of these, which
every part of the minibatch goes through; what the parts have measured is put together when it
ends, part by part in their order, so that threads change no result. A part is one block: its values
stay in a workspace of its own, and its rows in a block record of its own, from the first segment to
the last.
"""

import functools

import numpy as np

from nnjit.core.compiler.jit import inline
from nnjit.core.compiler.units import Unit, call, call_for_real
from nnjit.core.jobs.job import BATCH, PHASE, Phase, block_of, job_of, phase_of, step_at, step_of
from nnjit.core.jobs.job import params_of as _params_of
from nnjit.core.jobs.records import view
from nnjit.core.jobs.sorting import sort_block
from nnjit.core.jobs.training import (
    batch_rows,
    batch_start,
    enter_rows,
    gradient_block,
    parts_of,
    state_of,
)
from nnjit.core.simd import lanes as lanes_of

__all__ = ["units"]

_PHASE_BYTES = Phase.dtype.itemsize


@inline
def present_phase(job):
    return phase_of(job.phases_at + state_of(job)[PHASE] * _PHASE_BYTES)


@inline
def enter_part(job, block, part, batch, lanes):
    """Have a block be all rows of a part of a minibatch."""
    first = part * job.block_rows
    rows = min(job.block_rows, batch_rows(job, batch) - first)
    enter_rows(job, block, batch_start(job, batch), first, rows, lanes, part)


@inline
def pass_segment(job_at, job, block_at, first, last):
    """Go through positions first..last-1; the loss of the block if that is among them."""
    total, n = 0.0, job.n_steps
    for position in range(first, last):
        if position == n:
            total = call_for_real(job.loss_at, (job_at, block_at))
            continue
        at = step_at(job, position if position < n else 2 * n - position)
        unit = step_of(at).forward_at if position < n else step_of(at).backward_at
        if unit != 0:
            call(unit, (job_at, at, block_at))
    return total


def after_segment(job_at):
    """Put together what the parts have measured; the parts of the next phase."""
    job = job_of(job_at)
    phase = present_phase(job)
    parts = parts_of(job, batch_rows(job, state_of(job)[BATCH]))
    call(phase.join_at, (job_at, phase.joined_at, parts))
    return float(parts)


@functools.cache
def units(single):
    """The units of such phases in one precision, by name."""
    like = np.float32(0) if single else np.float64(0)

    def segment_task(job_at, number, count, worker):
        job = job_of(job_at)
        phase, batch, n = present_phase(job), state_of(job)[BATCH], job.n_steps
        params = _params_of(job, like)
        block_at = job.blocks_at + number * job.block_bytes
        if phase.first == 0:
            enter_part(job, block_of(block_at), number, batch, lanes_of(params))
            sort_block(job_at, job, block_at)
        total = pass_segment(job_at, job, block_at, phase.first, phase.last)
        if phase.first <= n < phase.last:
            view(job.losses_at, job.n_parts, np.float64(0))[number] = total
        if phase.last > 2 * n and not job.fused:
            partials_at = job.partials_at + number * job.n_flat * params.itemsize
            add = 1 if job.accumulates and batch > 0 else 0
            gradient_block(job_at, job, block_at, partials_at, params.itemsize, add)

    suffix = "single" if single else "double"
    return {
        "segment_task": Unit(segment_task, f"segment_task_{suffix}"),
        "after_segment": Unit(after_segment, f"after_segment_{suffix}", real=True),
    }
