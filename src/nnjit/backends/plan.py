"""Shapes of the work and the buffers for it: what is made once for many compiled calls.

Blocks, slots and ranges follow from the shapes alone, so that threads change no result.
"""

import numpy as np

from nnjit.backends.pace import Pace
from nnjit.core import job, layout, task, threads
from nnjit.core.frame import Field, address_of
from nnjit.core.simd import TILE

__all__ = ["ForwardPlan", "TrainPlan"]

# Work from which two threads beat one, in multiply-adds.
PARALLEL_TRAIN = 150_000  # of a minibatch
PARALLEL_PREDICT = 4_000_000
# Rows of one block: its activations should stay in the second-level cache.
BLOCK_ROWS = 256
# Multiply-adds of the forward pass in one call of a full-batch gradient: some 50 ms.
PRODUCTS_PER_CALL = 1e9
# Threads of a training job: its phases have few tasks more.
MOST_WORKERS = 64
# Elements of one range of parameters that reads its gradient from the slots' buffers.
RANGE_SIZE = 8192
# Such ranges that the weights are cut into at least where threads share them; their unit.
PLAIN_RANGES, RANGE_UNIT = 4, 128
# Weights from which ranges compute their own gradient, and elements of such a range: its rows
# of the gradient stay in the second-level cache and repay reading the deltas once more.
FUSED_WEIGHTS = 16_384
FUSED_RANGE = 16_384
# The same over CSR rows, in whose entries every range has to look for its own.
SPARSE_RANGE = 65_536
# Ranges that a network is cut into at least, so that threads have something to share.
FUSED_RANGES = 8


def _enter(frame, arrays):
    """Enter addresses into a frame by field, 0 for an array without elements."""
    for field, array in arrays.items():
        frame[field] = address_of(array) if array.size else 0


def _enter_samples(frame, data, n_samples):
    """Enter samples into a frame."""
    frame[Field.X_AT], frame[Field.X_SIZE] = address_of(data.x), data.x.size
    frame[Field.N_SAMPLES] = n_samples
    frame[Field.X_ROW], frame[Field.X_COLUMN] = data.x_row, data.x_column
    if data.x_column == 0:
        _enter(frame, {Field.INDICES_AT: data.indices, Field.INDPTR_AT: data.indptr})


class ForwardPlan:
    """Buffers for predictions of about as many rows."""

    def __init__(self, engine, n):
        lay, dtype = engine._layout, engine.dtype
        self._rows = min(BLOCK_ROWS, layout.round_up(n, layout.lanes_of(dtype)))
        self._work_needed = PARALLEL_PREDICT / lay.n_weights
        parallel = n >= self._work_needed and n > BLOCK_ROWS
        self._workers = threads.thread_count() if parallel else 1
        self._runner, self._pace = engine._runner, Pace(engine._runner)
        frame = self._frame = engine._frame()
        self._work = engine._workspace(frame, self._rows, self._workers, training=False)
        self._order, self._state = np.arange(self._rows), layout.aligned_zeros(job.STATE, np.int64)
        self._report = np.zeros(job.REPORT)
        self._claims = np.zeros(0, np.int64)
        frame[Field.WORKERS] = self._workers
        _enter(frame, {
            Field.ORDER_AT: self._order,
            Field.STATE_AT: self._state,
            Field.REPORT_AT: self._report,
        })  # fmt: skip
        self._frame_at = address_of(frame)

    def serves(self, n):
        """Whether n rows fit these buffers and threads."""
        if n > BLOCK_ROWS:
            parallel = n >= self._work_needed
            return self._rows == BLOCK_ROWS and parallel == (self._workers > 1)
        return n <= self._rows < 2 * n + BLOCK_ROWS // 8

    def run(self, data, n, out, logits):
        """Write the outputs of n rows to `out`; whether all is surely finite, see predict_block."""
        frame = self._frame
        self._report[job.FINITE] = 1.0
        _enter_samples(frame, data, n)
        frame[Field.OUT_AT], frame[Field.LOGITS] = address_of(out), logits
        blocks = -(-n // self._rows)
        if self._claims.size < blocks:
            self._claims = np.zeros(blocks, np.int64)
            frame[Field.CLAIMS_AT], frame[Field.N_CLAIMS] = address_of(self._claims), blocks
        if self._workers == 1:
            self._run(False, 0, blocks)
        else:
            self._pace.run(self._run, 0, blocks)
        return bool(self._report[job.FINITE] == 1.0)

    def _run(self, parallel, first, last):
        job.open_job(self._frame, self._state, self._claims, job.PREDICT, first, last, last - first)
        threads.call(self._runner, parallel, self._frame_at, self._workers)
        return True


class TrainPlan:
    """Shape of the work and buffers for one data set, batch size and optimizer."""

    def __init__(self, engine, dataset, n_order, batch_size, optimizer):
        self._for = n_order, batch_size
        self.dataset, self.optimizer = dataset, optimizer
        self._runner, self._dtype, self._n_weights = (
            engine._runner, engine.dtype, engine._layout.n_weights,
        )  # fmt: skip
        batch_size = min(batch_size, n_order)
        rows, self.slots = _blocks(engine._layout, batch_size, layout.lanes_of(self._dtype))
        self.parallel = self.slots > 1
        self._fused = (
            batch_size <= rows * self.slots
            and self._n_weights >= FUSED_WEIGHTS
            and optimizer.kind != "gradient"
        )
        self._rows = rows
        self._workers = min(threads.thread_count(), MOST_WORKERS) if self.parallel else 1
        self.pace = Pace(self._runner)
        frame = self._frame = engine._frame()
        data = dataset.data
        _enter_samples(frame, data, dataset.n_samples)
        _enter(frame, {
            Field.TARGETS_AT: data.targets,
            Field.LABELS_AT: data.labels,
            Field.WEIGHTS_AT: data.weights,
        })  # fmt: skip
        works = self.slots if self._fused else self._workers
        self._work = engine._workspace(frame, rows, works, training=True)
        frame[Field.SLOTS], frame[Field.BATCH_SIZE] = self.slots, batch_size
        frame[Field.N_ORDER], frame[Field.FUSED] = n_order, self._fused
        frame[Field.EPOCH_BATCHES] = self.epoch_batches = -(-n_order // batch_size)
        self.epoch_losses = np.zeros(0)
        self._enter_optimizer(optimizer)
        self._enter_ranges(engine._layout)
        self._enter_buffers()
        self.order, self._frame_at = None, address_of(frame)

    def _enter_optimizer(self, optimizer):
        self._frame[Field.SOLVER] = optimizer.code
        _enter(self._frame, {
            Field.FIRST_AT: optimizer._first,
            Field.SECOND_AT: optimizer._second,
            Field.HYPER_AT: optimizer.hyper,
            Field.CLOCK_AT: optimizer.clock,
        })  # fmt: skip

    def _enter_ranges(self, lay):
        """Cut the parameters into ranges, and make what their gradient is written to."""
        frame, dtype = self._frame, self._dtype
        if self._fused:
            sparse = self.dataset.data.x_column == 0
            self._ranges = _fused_ranges(lay, SPARSE_RANGE if sparse else FUSED_RANGE)
            largest = int((self._ranges[:, task.HIGH] - self._ranges[:, task.LOW]).max())
            size = layout.round_up(largest, 64)
            self._gradient = layout.aligned_zeros(self._workers * size, dtype)
            frame[Field.SCRATCH_SIZE] = size
            frame[Field.SCRATCH_BYTES] = size * dtype.itemsize
            _enter(frame, {Field.SCRATCH_AT: self._gradient})
        else:
            self._ranges = _plain_ranges(lay, self.parallel)
            self._gradient = layout.aligned_zeros(self.slots * lay.n_flat, dtype)
            _enter(frame, {Field.GRADS_AT: self._gradient})
        frame[Field.N_RANGES] = len(self._ranges)
        _enter(frame, {Field.RANGES_AT: self._ranges})

    def _enter_buffers(self):
        """Make what the job writes beside parameters and gradient."""
        frame = self._frame
        self._state = layout.aligned_zeros(job.STATE, np.int64)
        self.report = np.zeros(job.REPORT)
        self._losses, self._squares = np.zeros(self.slots), np.zeros(len(self._ranges))
        self._claims = np.zeros(max(self.slots, len(self._ranges)), np.int64)
        frame[Field.N_CLAIMS], frame[Field.WORKERS] = len(self._claims), self._workers
        _enter(frame, {
            Field.STATE_AT: self._state,
            Field.REPORT_AT: self.report,
            Field.LOSSES_AT: self._losses,
            Field.SQUARES_AT: self._squares,
            Field.CLAIMS_AT: self._claims,
        })  # fmt: skip

    def run(self, parallel, first, last):
        """Minibatches first..last-1, by all threads or by one; False after a loss not finite."""
        self._call(job.TRAIN, parallel, first, last, len(self._ranges))
        return self.report[job.FINITE] == 1.0

    def _call(self, kind, parallel, first, last, tasks):
        job.open_job(self._frame, self._state, self._claims, kind, first, last, tasks)
        threads.call(self._runner, parallel, self._frame_at, self._workers)

    def begin(self, orders, epochs):
        """Visit the samples in the order of each epoch, int64 arrays that are kept."""
        if orders is not self.order:
            self.order = orders
            self._frame[Field.ORDER_AT] = address_of(orders)
        self._frame[Field.EPOCHS] = epochs
        if len(self.epoch_losses) < epochs:
            self.epoch_losses = np.zeros(epochs)
            self._frame[Field.EPOCH_LOSSES_AT] = address_of(self.epoch_losses)
        self.epoch_losses[:] = 0.0
        self.report[job.LOSS], self.report[job.SKIPPED], self.report[job.FINITE] = 0.0, 0.0, 1.0

    def gradient(self, n, weight, alpha):
        """Loss over n samples; their gradient goes to the optimizer's first vector.

        The samples are cut into runs of whole rounds of blocks, so that Ctrl-C is heard.
        """
        blocks = max(1, int(PRODUCTS_PER_CALL / self._n_weights / (self._rows * self.slots)))
        length = blocks * self._rows * self.slots
        runs = -(-n // length)
        self._frame[Field.BATCH_SIZE], self._frame[Field.EPOCH_BATCHES] = length, runs
        self.report[:] = 0.0

        def run(parallel, first, last):
            self._call(job.GRADIENT, parallel, first, last, self.slots)
            return True

        if self.parallel:
            self.pace.run(run, 0, runs)
        else:
            for number in range(runs):
                run(False, number, number + 1)
        self.report[job.WEIGHT] = weight
        self._call(job.FINISH, False, 0, 1, len(self._ranges))
        return (self.report[job.LOSS] + 0.5 * alpha * self.report[job.PENALTY]) / weight

    def serves(self, dataset, n_order, batch_size, optimizer):
        """Whether this plan was made for these."""
        return (
            self.dataset is dataset
            and self.optimizer is optimizer
            and self._for == (n_order, batch_size)
        )


def _blocks(lay, batch_size, lanes):
    """Rows of a block and slots for minibatches of so many rows."""
    wanted = 1
    if batch_size * lay.n_weights >= PARALLEL_TRAIN and batch_size > lanes:
        wanted = 2 if batch_size <= 2 * BLOCK_ROWS else 4
    rows = min(BLOCK_ROWS, layout.round_up(-(-batch_size // wanted), lanes))
    return rows, min(wanted, -(-batch_size // rows))


def _plain_ranges(lay, parallel):
    """Ranges of about equal size, those of the weights first."""
    size = RANGE_SIZE
    if parallel:
        size = min(size, layout.round_up(-(-lay.n_weights // PLAIN_RANGES), RANGE_UNIT))
    parts = []
    for start, stop, penalized in ((0, lay.n_weights, 1), (lay.n_weights, lay.n_flat, 0)):
        for low in range(start, stop, size):
            parts.append((low, min(low + size, stop), penalized, 0, 0, 0))
    return np.array(parts, np.int64)


def _fused_ranges(lay, size):
    """Ranges of whole rows of one weight matrix, in multiples of the tile, and the biases."""
    parts, height = [], TILE.rows
    size = min(size, lay.n_weights // FUSED_RANGES)
    for number, layer in enumerate(lay.layers.tolist()):
        at, stride, fan_in = layer[layout.WEIGHTS], layer[layout.STRIDE], layer[layout.FAN_IN]
        step = max(height, size // stride // height * height)
        for row in range(0, fan_in, step):
            rows = min(step, fan_in - row)
            low = at + row * stride
            parts.append((low, low + rows * stride, 1, number, row, rows))
    for number, layer in enumerate(lay.layers.tolist()):
        at = layer[layout.BIAS]
        parts.append((at, at + layer[layout.FAN_OUT], 0, number, 0, 0))
    return np.array(parts, np.int64)
