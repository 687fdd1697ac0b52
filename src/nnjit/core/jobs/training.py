"""The phases of training: what one task does, and what is done alone at the end of a phase.

A minibatch is cut into parts, groups of blocks of rows. In the first phase each part runs its
blocks forward and backward; in the second the parameters move, chunk by chunk. A chunk's gradient
comes in two ways: either it is the sum of the parts' partial gradients, or, fused, the chunk
computes it for its own rows of a matrix from the values and deltas that the parts left, and moves
these rows while the gradient is still in the cache. The second spares a large network one write
and one read of a whole gradient for every part.

Where gradients are clipped a phase stands in between, in which each chunk adds up and finishes its
gradient: the norm is that of the whole gradient, and has to be known before anything moves.

A task reads and writes what its number says and nothing else, so it does not matter who runs it.
"""

import functools
import math

import numpy as np

from nnjit.core.compiler.jit import inline, vectorized, viewing
from nnjit.core.compiler.units import Unit, call, call_for_real
from nnjit.core.jobs.job import (
    BATCH,
    FACTOR,
    FINITE,
    LOSS,
    PENALTY,
    POWERS,
    REPORT,
    SKIPPED,
    STATE,
    STEPS,
    WEIGHT,
    Chunk,
    block_of,
    chunk_of,
    job_of,
    params_of,
    present,
    step_at,
    step_of,
)
from nnjit.core.jobs.records import view
from nnjit.core.jobs.rounding import flush_subnormals, restore_subnormals
from nnjit.core.jobs.sorting import enter_sorted, sort_block
from nnjit.core.simd import lanes as lanes_of

__all__ = ["units"]

CHUNK_BYTES = Chunk.dtype.itemsize
CLIP_EPSILON = 1e-6  # added to the norm, as PyTorch does


@inline
def total_of(values, n):
    total = 0.0
    for i in range(n):
        total += values[i]
    return total


@inline
def batch_start(job, batch):
    """Position of a minibatch, or of a run, in the orders of all epochs."""
    epoch = batch // job.epoch_batches
    within = batch - epoch * job.epoch_batches
    return epoch * job.n_order + within * job.batch_size


@inline
def batch_rows(job, batch):
    """Rows of a minibatch, or of a run."""
    within = batch % job.epoch_batches
    return min(job.batch_size, job.n_order - within * job.batch_size)


@inline
def parts_of(job, rows):
    """How many parts a minibatch of so many rows keeps busy."""
    return min(job.n_parts, (rows + job.block_rows - 1) // job.block_rows)


@viewing
def report_of(job):
    return view(job.report_at, REPORT, np.float64(0))


@viewing
def state_of(job):
    return view(job.state_at, STATE, np.int64(0))


@inline
def enter_rows(job, block, start, first, rows, lanes, work):
    """Have a block be `rows` rows of the minibatch at position `start` of the orders.

    They are those from row `first` on; their values are in workspace `work`.
    """
    block.order_at = job.order_at + 8 * (start + first)
    block.first = first
    block.start = 0
    block.rows = rows
    block.lanes = (rows + lanes - 1) // lanes * lanes
    block.work_at = job.work_at + work * job.work_bytes
    block.next_size = 0


@inline
def backward_block(job_at, job, block_at):
    """Loss of a block; its values and deltas stay in the workspace."""
    for number in range(job.n_steps):
        at = step_at(job, number)
        call(step_of(at).forward_at, (job_at, at, block_at))
    total = call_for_real(job.loss_at, (job_at, block_at))
    for number in range(job.n_steps - 1, -1, -1):
        at = step_at(job, number)
        if step_of(at).backward_at != 0:  # the input has none
            call(step_of(at).backward_at, (job_at, at, block_at))
    return total


@inline
def gradient_block(job_at, job, block_at, partials_at, itemsize, add):
    """Gradients of all parameters from what `backward_block` left."""
    for number in range(job.n_pieces):
        chunk_at = job.pieces_at + number * CHUNK_BYTES
        chunk = chunk_of(chunk_at)
        call(
            step_of(chunk.step_at).gradient_at,
            (job_at, chunk.step_at, block_at, chunk_at, partials_at + chunk.low * itemsize, add, 0),
        )


@inline
def part_gradient(job_at, part, parts, batch, add, worker, like):
    """Loss of all blocks of one part of a minibatch, or run.

    Their gradient replaces (add = 0), or is added to, the part's buffer, unless the chunks
    compute it; the part then has a single block.
    """
    job = job_of(job_at)
    params = params_of(job, like)
    lanes, itemsize = lanes_of(params), params.itemsize
    start, rows = batch_start(job, batch), batch_rows(job, batch)
    block_at = job.blocks_at + worker * job.block_bytes
    total = 0.0
    first = part * job.block_rows
    while first < rows:
        # whoever runs the part next may be on another core: only what others read moves with it
        work = part if job.fused or job.n_parts == 1 else worker
        n = min(job.block_rows, rows - first)
        enter_rows(job, block_of(block_at), start, first, n, lanes, work)
        sort_block(job_at, job, block_at)
        total += backward_block(job_at, job, block_at)
        if not job.fused:
            partials_at = job.partials_at + part * job.n_flat * itemsize
            gradient_block(job_at, job, block_at, partials_at, itemsize, add)
        add = 1
        first += parts * job.block_rows
    return total


@vectorized
def add_partials(partials, n_flat, parts, low, high):
    """Add the partial gradients of parts 1, 2, ... to that of part 0."""
    total = partials[low:high]
    for part in range(1, parts):
        other = partials[part * n_flat + low : part * n_flat + high]
        for i in range(len(total)):
            total[i] += other[i]


@inline
def clear_padding(matrix, rows, columns, row):
    """Zeros between the rows: the padding of the parameters has to stay zero."""
    for i in range(rows):
        for j in range(columns, row):
            matrix[i * row + j] = 0


@inline
def own_gradient(job_at, chunk_at, start, rows, worker, like):
    """Gradient of a chunk, from what the parts left, in the worker's scratch; its address."""
    job, chunk = job_of(job_at), chunk_of(chunk_at)
    block_at = job.blocks_at + worker * job.block_bytes
    target_at = job.scratch_at + worker * job.scratch_bytes
    target = view(target_at, job.scratch_size, like)
    gradient_at = step_of(chunk.step_at).gradient_at
    for part in range(parts_of(job, rows)):
        n = min(job.block_rows, rows - part * job.block_rows)
        enter_rows(job, block_of(block_at), start, part * job.block_rows, n, lanes_of(target), part)
        enter_sorted(job, block_of(block_at))  # by whoever computed the part
        # wanted when the gradient is there: the solver's vectors, then the parameters
        ahead = 1 if part == 0 else 2 if part == 1 else 0
        add = min(part, 1)
        call(gradient_at, (job_at, chunk.step_at, block_at, chunk_at, target_at, add, ahead))
    clear_padding(target, chunk.rows, chunk.columns, chunk.row)
    return target_at


@inline
def summed_gradient(job, chunk, rows, like):
    """Gradient of a chunk, added up over the parts in the first part's buffer; its address."""
    partials = view(job.partials_at, job.n_parts * job.n_flat, like)
    add_partials(partials, job.n_flat, parts_of(job, rows), chunk.low, chunk.high)
    return job.partials_at + chunk.low * partials.itemsize


@inline
def sum_of_squares(values):
    """Sum of squares in the array's precision, as a float64."""
    total = values.dtype.type(0)
    for i in range(len(values)):
        total += values[i] * values[i]
    return float(total)


@inline
def exact_sum_of_squares(values):
    """The same, added up in float64: gradients may be large."""
    total = 0.0
    for i in range(len(values)):
        value = np.float64(values[i])  # float() of compiled code leaves a float32 as it is
        total += value * value
    return total


@vectorized
def clamp_gradient(w, gradient, alpha, scale, most):
    """gradient = (gradient + alpha w) scale, no element beyond -most and most; NaN stays NaN."""
    for i in range(len(w)):
        value = (gradient[i] + alpha * w[i]) * scale
        raised = -most if value < -most else value
        gradient[i] = most if raised > most else raised


@inline
def clip_chunk(job, chunk_at, number, gradient_at, like):
    """Finish and clamp the gradient of a chunk, and note the sum of its squares."""
    chunk, real = chunk_of(chunk_at), type(like)
    low, high = chunk.low, chunk.high
    gradient = view(gradient_at, high - low, like)
    alpha = job.alpha if chunk.penalized else 0.0
    clamp_gradient(
        params_of(job, like)[low:high], gradient, real(alpha), real(1.0 / report_of(job)[WEIGHT]),
        real(job.clip_value),
    )  # fmt: skip
    squares = view(job.gradient_squares_at, job.n_chunks, np.float64(0))
    squares[number] = exact_sum_of_squares(gradient)


@inline
def weigh(job, chunk_at, number, like):
    """Note the sum of the squared parameters of a chunk, 0 for those that are not penalized."""
    chunk = chunk_of(chunk_at)
    squares = view(job.squares_at, job.n_chunks, np.float64(0))
    squares[number] = 0.0
    if chunk.penalized:
        squares[number] = sum_of_squares(params_of(job, like)[chunk.low : chunk.high])


@inline
def weight_of(job, batch, like):
    """Sum of the sample weights of a minibatch."""
    weights = view(job.weights_at, present(job.weights_at, job.n_samples), like)
    rows = batch_rows(job, batch)
    if weights.shape[0] == 0:
        return float(rows)
    order = view(job.order_at, job.epochs * job.n_order, np.int64(0))
    start, total = batch_start(job, batch), 0.0
    for j in range(rows):
        total += float(weights[order[start + j]])
    return total


@inline
def open_batch(job, batch, like):
    """Go to the next minibatch that has weight; its parts, 0 at the end.

    None is left out that carries states on: what has no weight there counts as its rows do, and the
    loss is the penalty alone.
    """
    report = report_of(job)
    while batch < job.last:
        report[WEIGHT] = weight_of(job, batch, like)
        if report[WEIGHT] == 0.0 and job.states_at != 0:
            report[WEIGHT] = float(batch_rows(job, batch))
        if report[WEIGHT] != 0.0:
            state_of(job)[BATCH] = batch
            return parts_of(job, batch_rows(job, batch))
        report[SKIPPED] += 1.0
        batch += 1
    return 0


@inline
def advance(job):
    """Count one step of the solver; powers of hyperparameters are carried along as products."""
    clock = view(job.clock_at, POWERS + job.n_powers, np.float64(0))
    clock[STEPS] += 1.0
    powers = view(job.powers_at, job.n_powers, np.int64(0))
    for k in range(job.n_powers):
        clock[POWERS + k] *= view(job.settings_at, powers[k] + 1, np.float64(0))[powers[k]]


@inline
def penalty_of(job):
    return total_of(view(job.squares_at, job.n_chunks, np.float64(0)), job.n_chunks)


def after_gradients(job_at):
    """Account for the loss of a minibatch; the chunks to move, 0 if it is not finite."""
    job = job_of(job_at)
    batch, report = state_of(job)[BATCH], report_of(job)
    rows = batch_rows(job, batch)
    total = total_of(view(job.losses_at, job.n_parts, np.float64(0)), parts_of(job, rows))
    loss = (total + 0.5 * job.alpha * report[PENALTY]) / report[WEIGHT]
    losses = view(job.epoch_losses_at, job.epochs, np.float64(0))
    losses[batch // job.epoch_batches] += loss * rows
    if not np.isfinite(loss):
        report[FINITE] = 0.0
        return 0.0
    advance(job)
    return float(job.n_chunks)


def after_clip(job_at):
    """Find the factor that brings the norm of the gradient down; the chunks to move."""
    job = job_of(job_at)
    factor = 1.0
    if job.clip_norm > 0.0:
        squares = view(job.gradient_squares_at, job.n_chunks, np.float64(0))
        factor = job.clip_norm / (math.sqrt(total_of(squares, job.n_chunks)) + CLIP_EPSILON)
        if factor > 1.0:
            factor = 1.0
    report_of(job)[FACTOR] = factor
    return float(job.n_chunks)


def after_run(job_at):
    """Add up the loss of a run of rows; the parts of the next one."""
    job = job_of(job_at)
    state = state_of(job)
    losses = view(job.losses_at, job.n_parts, np.float64(0))
    report_of(job)[LOSS] += total_of(losses, job.n_parts)
    state[BATCH] += 1
    return float(job.n_parts) if state[BATCH] < job.last else 0.0


def after_all(job_at):
    """Note the penalty; nothing follows."""
    job = job_of(job_at)
    report_of(job)[PENALTY] = penalty_of(job)
    return 0.0


@functools.cache
def units(single):
    """The units of the phases in one precision, by name."""
    like = np.float32(0) if single else np.float64(0)

    def gradient_task(job_at, number, count, worker):
        job = job_of(job_at)
        losses = view(job.losses_at, job.n_parts, np.float64(0))
        batch = state_of(job)[BATCH]
        add = 1 if job.accumulates and batch > 0 else 0
        losses[number] = part_gradient(job_at, number, count, batch, add, worker, like)

    def weigh_task(job_at, number, count, worker):
        job = job_of(job_at)
        weigh(job, job.chunks_at + number * CHUNK_BYTES, number, like)

    def clip_task(job_at, number, count, worker):
        job = job_of(job_at)
        chunk_at = job.chunks_at + number * CHUNK_BYTES
        rows = batch_rows(job, state_of(job)[BATCH])
        gradient_at = summed_gradient(job, chunk_of(chunk_at), rows, like)
        before = flush_subnormals()
        clip_chunk(job, chunk_at, number, gradient_at, like)
        restore_subnormals(before)

    def update_task(job_at, number, count, worker):
        job = job_of(job_at)
        chunk_at = job.chunks_at + number * CHUNK_BYTES
        batch = state_of(job)[BATCH]
        rows = batch_rows(job, batch)
        if job.fused:
            start = batch_start(job, batch)
            gradient_at = own_gradient(job_at, chunk_at, start, rows, worker, like)
        elif job.finished:
            gradient_at = job.partials_at + chunk_of(chunk_at).low * params_of(job, like).itemsize
        else:
            gradient_at = summed_gradient(job, chunk_of(chunk_at), rows, like)
        before = flush_subnormals()
        call(job.solver_at, (job_at, chunk_at, gradient_at))
        if job.average_at != 0:
            call(job.average_at, (job_at, chunk_at))
        weigh(job, chunk_at, number, like)
        restore_subnormals(before)

    def after_update(job_at):
        job = job_of(job_at)
        report_of(job)[PENALTY] = penalty_of(job)
        return float(open_batch(job, state_of(job)[BATCH] + 1, like))

    suffix = "single" if single else "double"
    tasks = [gradient_task, weigh_task, clip_task, update_task]
    made = {task.__name__: Unit(task, f"{task.__name__}_{suffix}") for task in tasks}
    closes = [after_update, after_gradients, after_clip, after_run, after_all]
    return made | {
        close.__name__: Unit(close, f"{close.__name__}_{suffix}", real=True) for close in closes
    }
