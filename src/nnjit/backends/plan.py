"""Shapes of the work and the buffers for it: what is made once for many compiled calls.

Blocks, slots and ranges follow from the shapes alone, so that threads change no result.
"""

import numpy as np

from nnjit.backends.pace import Pace
from nnjit.core import epoch, layout, threads
from nnjit.core.frame import Field, address_of

__all__ = ["ForwardPlan", "TrainPlan"]

# Work from which two threads beat one, in multiply-adds per parallel region.
PARALLEL_TRAIN = 1_000_000
PARALLEL_PREDICT = 4_000_000
# Rows of one block: its activations should stay in the second-level cache.
BLOCK_ROWS = 256
# Multiply-adds of the forward pass in one call of a full-batch gradient: some 50 ms.
PRODUCTS_PER_CALL = 1e9
# Elements of one update range.
RANGE_SIZE = 8192
# Samples and targets within a frame.
_DATA = slice(Field.X_AT, Field.WEIGHTS_AT + 1)


def _enter_data(frame, data, n_samples):
    """Enter samples and targets into a frame."""
    frame[_DATA] = (
        address_of(data.x), len(data.x), data.x_row, data.x_column,
        *(address_of(part) if len(part) else 0 for part in (data.indices, data.indptr)),
        n_samples,
        *(address_of(part) if len(part) else 0 for part in data[5:]),
    )  # fmt: skip


class ForwardPlan:
    """Buffers for predictions of about as many rows."""

    def __init__(self, engine, n):
        lay, dtype = engine._layout, engine.dtype
        self._rows = min(BLOCK_ROWS, layout.round_up(n, layout.lanes_of(dtype)))
        self._work_needed = PARALLEL_PREDICT / lay.n_weights
        parallel = n >= self._work_needed and n > BLOCK_ROWS
        self._slots = threads.thread_count() if parallel else 1
        self._frame = engine._frame()
        self._work = engine._workspace(self._frame, self._rows, self._slots)
        self._order = np.arange(self._rows)
        self._addresses = engine._task, address_of(self._frame), address_of(self._order)

    def serves(self, n):
        """Whether n rows fit these buffers and threads."""
        if n > BLOCK_ROWS:
            parallel = n >= self._work_needed
            return self._rows == BLOCK_ROWS and parallel == (self._slots > 1)
        return n <= self._rows < 2 * n + BLOCK_ROWS // 8

    def run(self, data, n, out, logits):
        """Write the outputs of n rows to `out`."""
        _enter_data(self._frame, data, n)
        self._frame[Field.OUT_AT], self._frame[Field.LOGITS] = address_of(out), logits
        rows, blocks = self._rows, -(-n // self._rows)

        def run(parallel, first, last):
            start, slots = first * rows, self._slots if parallel else 1
            count = min(last * rows, n) - start
            threads.call(epoch.forward, parallel, *self._addresses, slots, start, count)
            return True

        if self._slots == 1:
            run(False, 0, blocks)
        else:
            Pace(epoch.forward).run(run, 0, blocks)


class TrainPlan:
    """Shape of the work and buffers for one data set, batch size and optimizer.

    Blocks, slots and ranges follow from the shapes alone, so that threads change nothing.
    """

    def __init__(self, engine, dataset, n_order, batch_size, optimizer):
        self._for = n_order, batch_size
        self.dataset, self.optimizer = dataset, optimizer
        lay, dtype = engine._layout, engine.dtype
        lanes = layout.lanes_of(dtype)
        batch_size = min(batch_size, n_order)
        wanted = 1
        if batch_size * lay.n_weights >= PARALLEL_TRAIN and batch_size > lanes:
            wanted = 2 if batch_size <= 2 * BLOCK_ROWS else 4
        rows = min(BLOCK_ROWS, layout.round_up(-(-batch_size // wanted), lanes))
        self.slots = min(wanted, -(-batch_size // rows))
        self._rows, self._n_weights = rows, lay.n_weights
        ranges = -(-lay.n_weights // RANGE_SIZE) + -(-(lay.n_flat - lay.n_weights) // RANGE_SIZE)
        self.slot_loss, self.squares = np.zeros(self.slots), np.zeros(ranges)
        self.report = np.zeros(epoch.REPORT)
        self.fresh = 1
        self.pace, self._gradient_pace = Pace(epoch.train), Pace(epoch.accumulate)
        self._grads = layout.aligned_zeros(self.slots * lay.n_flat, dtype)
        frame = self._frame = engine._frame()
        _enter_data(frame, dataset.data, dataset.n_samples)
        self._work = engine._workspace(frame, rows, self.slots)
        frame[Field.GRADS_AT], frame[Field.SLOTS] = address_of(self._grads), self.slots
        frame[Field.FIRST_AT] = address_of(optimizer._first)
        frame[Field.SECOND_AT] = address_of(optimizer._second) if len(optimizer._second) else 0
        frame[Field.HYPER_AT] = address_of(optimizer._hyper)
        frame[Field.CLOCK_AT] = address_of(optimizer._clock)
        frame[Field.SOLVER], frame[Field.RANGE_SIZE] = optimizer._code, RANGE_SIZE
        frame[Field.BATCH_SIZE], frame[Field.N_ORDER] = batch_size, n_order
        self.order, self.order_at = None, 0
        self._fixed = (
            optimizer._hyper, optimizer._clock, self.slot_loss, self.squares, self.report,
        )  # fmt: skip
        self._task, self._frame_at = engine._task, address_of(frame)

    def run(self, parallel, first, last):
        """Minibatches first..last-1 by one of the drivers; False after a loss not finite."""
        threads.call(
            epoch.train, parallel, self._task, self._frame_at, self.order_at, first, last,
            self.fresh, *self._fixed,
        )  # fmt: skip
        self.fresh = 0
        return self.report[epoch.FINITE] == 1.0

    def use_order(self, order):
        """Visit the samples in this order, an int64 array that is kept."""
        if order is not self.order:
            self.order, self.order_at = order, address_of(order)

    def gradient(self, n, weight, alpha):
        """Loss over n samples; their gradient goes to the optimizer's first vector.

        The samples are cut into runs of whole rounds of blocks, so that Ctrl-C is heard.
        """
        blocks = max(1, int(PRODUCTS_PER_CALL / self._n_weights / (self._rows * self.slots)))
        length = blocks * self._rows * self.slots
        losses = np.zeros(-(-n // length))

        def run(parallel, first, last):
            for number in range(first, last):
                start = number * length
                threads.call(
                    epoch.accumulate, parallel, self._task, self._frame_at, self.order_at,
                    self.slots, start, min(length, n - start), float(start > 0), self.slot_loss,
                )  # fmt: skip
                losses[number] = self.slot_loss.sum()
            return True

        if self.slots == 1:
            run(False, 0, len(losses))
        else:
            self._gradient_pace.run(run, 0, len(losses))
        total = float(losses.sum())
        scale = 1.0 / weight
        threads.call(
            epoch.finish, False, self._task, self._frame_at, self.slots, scale, self.squares
        )
        return (total + 0.5 * alpha * float(self.squares.sum())) / weight

    def serves(self, dataset, n_order, batch_size, optimizer):
        """Whether this plan was made for these."""
        return (
            self.dataset is dataset
            and self.optimizer is optimizer
            and self._for == (n_order, batch_size)
        )
