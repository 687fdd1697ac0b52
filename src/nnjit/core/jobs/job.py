"""What a job consists of: the records that plans fill and compiled code reads.

A job runs a network forward, or forward and backward, over blocks of rows. What is to be done is
data: a `Step` for each layer says which units compute it, a `Phase` which unit does one of its
tasks. Fields ending in _at are addresses, of arrays, of other records or of units; 0 where
there is none. The caller of a job keeps the memory.
"""

import numpy as np

from nnjit.core.compiler.jit import inline, viewing
from nnjit.core.jobs.records import Record, reader, view

__all__ = [
    "Block",
    "Chunk",
    "Job",
    "Phase",
    "Step",
    "block_of",
    "chunk_of",
    "job_of",
    "order_of",
    "params_of",
    "phase_of",
    "present",
    "row_lanes",
    "row_length",
    "sorted_places",
    "step_at",
    "step_of",
    "work_of",
]

# entries of the state, int64, on cache lines of their own: what is open, namely the number of
# tasks below a generation that grows from phase to phase (negative at the end); tasks done; the
# phase, its generation and the minibatch, or run of rows, that it belongs to
OPEN, DONE, PHASE, GENERATION, BATCH = 0, 8, 16, 17, 18
STATE = 24

# entries of the float64 report. Added to: losses of the runs; minibatches skipped because their
# weights sum to zero. Set: 1, or 0 if a loss was not finite (the job ends before that minibatch's
# update) or, in a prediction, an input or an output; sum of squared weights; weight of the batch;
# factor on a clipped gradient.
LOSS, SKIPPED, FINITE, PENALTY, WEIGHT, FACTOR = range(6)
REPORT = 6

# entries of the float64 vector that a solver carries from step to step; powers follow
STEPS, POWERS = range(2)


class Job(Record):
    """A whole job: the network, the samples, and where everything is."""

    # the network
    params_at: int  # (n_flat,)
    n_flat: int
    steps_at: int  # (n_steps,) addresses of records that begin like Step
    n_steps: int
    loss_at: int  # unit (job, block) -> weighted sum of the rows' losses; leaves the last delta
    loss_parameters_at: int  # (outputs * parameters,) float64
    output_at: int  # unit (job, block): the output activation in place
    output_overflows: int  # whether finite logits may have infinite outputs
    outputs: int
    delta_scale: float  # factor on the gradient of the loss
    groups_at: int  # (n_groups,) Job records of one softmax each, see `nnjit.core.maps.groups`
    n_groups: int  # 0 for a single one
    # a PointsJob record where each point of a series has a target, see `nnjit.core.maps.sequences`
    points_at: int
    # samples
    x_at: int
    x_size: int
    x_row: int  # elements from one row to the next (0 for CSR)
    x_column: int  # elements from one column to the next (0 for CSR)
    n_samples: int
    out_at: int  # (n_samples * outputs,), in a prediction
    logits: int  # 1: without the output activation
    indices_at: int  # (x_size,) int32, CSR
    indptr_at: int  # (n_samples + 1,) int64, CSR
    targets_at: int  # (n_samples * target_columns,)
    labels_at: int  # (n_samples,) int32, for each group in turn
    weights_at: int  # (n_samples,)
    order_at: int  # (epochs * n_order,) int64
    n_order: int  # rows of an epoch
    epochs: int
    epoch_batches: int  # minibatches of an epoch
    target_columns: int  # as many as outputs, or one for all of them
    # phases and threads
    phases_at: int  # Phase records
    first: int  # minibatches, runs or blocks of rows
    last: int
    state_at: int  # (STATE,) int64
    claims_at: int  # (n_claims,) int64, as many as a phase has tasks
    n_claims: int
    workers: int
    report_at: int  # (REPORT,) float64
    epoch_losses_at: int  # (epochs,) float64
    # blocks of rows; parts are groups of blocks, each with a partial gradient
    blocks_at: int  # (workers,) Block records, block_bytes apart
    block_bytes: int
    work_at: int  # workspaces, work_bytes apart
    work_size: int
    work_bytes: int
    block_rows: int
    stride: int  # elements from one row of a workspace to the next
    # rows of a workspace; the inputs are in front
    ones_row: int
    weights_row: int
    spare_row: int  # two free ones
    scratch_row: int  # sample-major scratch from here on
    batch_size: int  # or rows of a run
    n_parts: int
    losses_at: int  # (n_parts,) float64
    # chunks of parameters
    chunks_at: int  # (n_chunks,) Chunk records
    n_chunks: int
    pieces_at: int  # (n_pieces,) Chunk records of whole parameters, the last layer's first
    n_pieces: int
    squares_at: int  # (n_chunks,) float64
    fused: int  # 1: a chunk computes its own gradient, in its worker's scratch
    scratch_at: int  # (workers * scratch_size,)
    scratch_size: int
    scratch_bytes: int
    accumulates: int  # 1: gradients of all minibatches, or runs, of the job are added up
    partials_at: int  # (n_parts * n_flat,) unless fused
    # the solver
    solver_at: int  # unit (job, chunk, gradient)
    vectors_at: int  # (n_vectors * n_flat,)
    n_vectors: int
    rate: float  # base rate
    alpha: float  # L2 penalty
    settings_at: int  # float64, hyperparameters
    clock_at: int  # float64
    n_powers: int
    powers_at: int  # (n_powers,) int64: whose powers, as entries of the settings
    clip_norm: float  # most of the gradient's norm, 0 where that is not asked for
    clip_value: float  # most of an element's absolute value
    gradient_squares_at: int  # (n_chunks,) float64
    finished: int  # 1: gradients reach the solver as they are to be, but for a factor
    average_at: int  # unit (job, chunk), which moves the last of the vectors
    average_share: float  # of the parameters in a step
    seed: int  # of the bits that layers draw
    rates_at: int  # float64, by the number of the minibatch, in place of `rate`; 0 where that holds
    lengths_at: int  # (n_samples,) int64, points of time of each series; 0 where all have all
    # unit (job, block): has the rows of a block stand by their lengths, the longest first, wherever
    # there are lengths, see `nnjit.core.jobs.sorting`; 0 where nobody needs that
    sort_at: int
    scatter_at: int  # unit (job, block): writes the outputs of rows that were sorted
    order_bytes: int  # from a workspace to the order of its block's rows, where they are sorted
    # series of which samples are windows, in order; 0 where each sample begins anew. What layers
    # leave from a window to the next is a row of `states`
    states_at: int  # (n_states * state_size,)
    state_size: int
    # (layers,) int64, in a prediction: addresses of weights that are read where their owner has
    # them, 0 for those among the parameters
    lent_at: int
    # (n_samples,) int64: the row that a sample goes on from, and writes to at its end; -1 - row
    # where it is the first of its series and begins with zeros
    state_rows_at: int


class Phase(Record):
    """A number of tasks that may run at once; one worker ends it when all are done."""

    task_at: int  # unit (job, number, count, worker)
    close_at: int  # unit (job) -> tasks of the next phase, 0 at the end of the job
    next: int  # its number
    # of a segment of the passes, see `nnjit.core.jobs.segments`
    first: int  # positions
    last: int
    join_at: int  # unit (job, step, parts)
    joined_at: int  # its step


class Step(Record):
    """What every layer has; kinds add fields. Rows are those of a block's workspace.

    Value k of the block's row j lies at ``(row + k) * stride + j``, delta being the derivative of
    the loss by the layer's outputs. The last vector of rows is filled up: values there are any
    numbers, deltas 0.

    Arrays of channels lie packed instead: value k of row j at ``row * stride + k * rows + j``, so
    that neighbouring points, with the samples innermost, are one long vector. What follows the last
    value is anything. Of a series that is shorter than others, the values and the deltas of points
    behind its end are 0. See `row_length` and `row_lanes`.
    """

    forward_at: int  # unit (job, step, block): from input_row to output_row
    backward_at: int  # unit (job, step, block): from delta_row to input_delta_row
    # unit (job, step, block, chunk, target, add, ahead): the gradient of a chunk's parameters, by
    # values and delta, replaces or (add = 1) is added to what is at `target`; `ahead` says what is
    # wanted next, see `nnjit.layers.dense.cpu.weight_gradient`
    gradient_at: int
    inputs: int  # values of a row
    outputs: int
    input_row: int
    output_row: int
    delta_row: int
    input_delta_row: int  # -1 where nobody asks for it
    kept_row: int  # of what the backward pass needs beside these; -1 where that is nothing
    packed: int  # 1: the outputs are arrays of channels, whose values lie without padding
    channels: int  # of these; channel c, point p is value c * points + p
    points: int
    lengths_at: int  # int64: points that a series has here, by those that it had as an input


class Block(Record):
    """The rows that a worker is at. Row j is sample start + order[j]."""

    order_at: int
    start: int
    rows: int
    lanes: int  # rows in whole vectors
    work_at: int
    next_at: int  # dense inputs that are read next, if known
    next_size: int
    first: int  # place of row 0 in its minibatch; its number in a prediction


class Chunk(Record):
    """A piece of the flat parameters that one task updates."""

    low: int
    high: int
    penalized: int
    step_at: int
    piece: int  # number of the parameter among those of its layer
    first: int  # rows of a matrix
    rows: int  # 0 for a vector
    columns: int
    row: int  # elements from one row to the next
    rate: float  # factor on the learning rate


@inline
def row_length(job, block, packed):
    """Elements from one value of a layer's outputs to the next; `packed` is the step's."""
    return block.rows if packed != 0 else job.stride


@inline
def row_lanes(block, packed):
    """How many of these belong to it: of a packed one those of the rows, else whole vectors."""
    return block.rows if packed != 0 else block.lanes


job_of, phase_of, step_of = reader(Job), reader(Phase), reader(Step)
block_of, chunk_of = reader(Block), reader(Chunk)


@viewing
def work_of(job, block, like):
    """The workspace of a block."""
    return view(block.work_at, job.work_size, like)


@viewing
def params_of(job, like):
    return view(job.params_at, job.n_flat, like)


@viewing
def order_of(block):
    """Numbers of the block's rows."""
    return view(block.order_at, block.rows, np.int64(0))


@viewing
def sorted_places(job, block):
    """Of rows that were sorted, which ones of the block they were: behind their order."""
    return view(block.work_at + job.order_bytes + 8 * job.block_rows, block.rows, np.int64(0))


@inline
def step_at(job, number):
    """Address of a step's record."""
    return view(job.steps_at, job.n_steps, np.int64(0))[number]


@inline
def present(address, n):
    """Length of an optional array: 0 where its address is."""
    return n if address != 0 else 0
