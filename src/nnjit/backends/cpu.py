"""The network on the CPU: parameters, workspaces and the calls into compiled kernels."""

import functools
from typing import NamedTuple

import numpy as np

from nnjit.backends.dataset import as_data, fill_targets
from nnjit.backends.pace import Pace
from nnjit.core import epoch, layout, optimizers, threads
from nnjit.core.block import Data
from nnjit.core.frame import Field, address_of
from nnjit.core.task import compile_task

__all__ = ["CpuEngine", "Optimizer", "TrainResult"]

# Work from which two threads beat one, in multiply-adds per parallel region.
PARALLEL_TRAIN = 1_000_000
PARALLEL_PREDICT = 4_000_000
# Rows of one block: its activations should stay in the second-level cache.
BLOCK_ROWS = 256
# Multiply-adds of the forward pass in one call of a full-batch gradient: some 50 ms.
PRODUCTS_PER_CALL = 1e9
# Elements of one update range.
RANGE_SIZE = 8192


class TrainResult(NamedTuple):
    """What a run of minibatches reports."""

    loss: float  # sum over minibatches of loss times rows
    skipped: int  # minibatches left out because their weights sum to zero
    finite: bool  # False: stopped before the update of the first batch without a finite loss


class Dataset(NamedTuple):
    """Samples and targets ready for the kernels."""

    data: Data
    n_samples: int
    keep: tuple  # arrays that must outlive the views in `data`


def copy_packed(packed, views):
    """Copy a packed vector into weight and bias views, in order."""
    start = 0
    for view in views:
        view[...] = packed[start : start + view.size].reshape(view.shape)
        start += view.size


class Optimizer:
    """State of a stochastic solver over one engine's flat parameters.

    Attributes
    ----------
    learning_rate : float
        Read at every call of `CpuEngine.train`; for Adam the base rate.
    """

    def __init__(self, kind, lay, dtype, hyper):
        self.kind = kind
        self.learning_rate = 0.0
        self._code = optimizers.SOLVERS[kind]
        self._hyper = hyper
        self._layout = lay
        n_flat = lay.n_flat
        self._first = layout.aligned_zeros(n_flat, dtype)
        self._second = layout.aligned_zeros(n_flat if kind == "adam" else 0, dtype)
        self._clock = np.array([0.0, 1.0, 1.0])

    @property
    def t(self):
        """Steps done."""
        return int(self._clock[optimizers.STEPS])

    def state(self):
        """Copies of everything a later `load_state` needs to go on bit for bit.

        Vectors are in packing order without padding, so they fit another machine's layout.
        """
        state = {"learning_rate": np.float64(self.learning_rate), "clock": self._clock.copy()}
        for name, flat in [("first", self._first), ("second", self._second)]:
            weights, biases = layout.weight_views(self._layout, flat) if len(flat) else ([], [])
            parts = [part.ravel() for part in weights + biases]
            state[name] = np.concatenate(parts) if parts else flat.copy()
        return state

    def load_state(self, state):
        """Restore what `state` returned.

        Raises
        ------
        ValueError
            If it belongs to another network or solver.
        """
        n = sum(int(row[layout.FAN_OUT]) * (int(row[layout.FAN_IN]) + 1)
                for row in self._layout.layers)  # fmt: skip
        wanted = {"first": n, "second": n if len(self._second) else 0}
        for name, size in wanted.items():
            if np.shape(state[name]) != (size,):
                raise ValueError(
                    f"The optimizer state is for another network or solver: {name!r} has shape "
                    f"{np.shape(state[name])}, expected {(size,)}."
                )
        self.learning_rate = float(state["learning_rate"])
        self._clock[:] = state["clock"]
        for name, flat in [("first", self._first), ("second", self._second)]:
            if len(flat):
                weights, biases = layout.weight_views(self._layout, flat)
                copy_packed(state[name], weights + biases)


def _enter_data(frame, data, n_samples):
    """Enter samples and targets into a frame."""
    frame[_DATA] = (
        address_of(data.x), len(data.x), data.x_row, data.x_column,
        *(address_of(part) if len(part) else 0 for part in (data.indices, data.indptr)),
        n_samples,
        *(address_of(part) if len(part) else 0 for part in data[5:]),
    )  # fmt: skip


_DATA = slice(Field.X_AT, Field.WEIGHTS_AT + 1)


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


class Plan:
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


class CpuEngine:
    """One dense network in one precision, its parameters and its workspaces.

    Parameters
    ----------
    layer_units : tuple of int
    activation, out_activation, loss : str
    dtype : numpy.float32 or numpy.float64
    """

    def __init__(self, layer_units, activation, out_activation, loss, dtype):
        self.dtype = np.dtype(dtype)
        self.layer_units = layer_units
        self.out_activation = out_activation
        self.loss = loss
        self._layout = layout.make_layout(layer_units, activation, out_activation, self.dtype)
        self._params = layout.aligned_zeros(self._layout.n_flat, self.dtype)
        self._views = layout.weight_views(self._layout, self._params)
        self._current = None
        self._forward = None
        self._full_batch = None

    @property
    def n_parameters(self):
        """Number of weights and biases, padding not counted."""
        pairs = zip(self.layer_units[:-1], self.layer_units[1:], strict=True)
        return sum((fan_in + 1) * fan_out for fan_in, fan_out in pairs)

    @property
    def _products(self):
        """Multiply-adds of one row's forward pass."""
        return self._layout.n_weights

    # -- parameters ---------------------------------------------------------------------

    def pack(self, coefs, intercepts):
        """Copy weight matrices (fan_in, fan_out) and biases (fan_out,) in."""
        self._copy_in(coefs, intercepts)
        if self._current is not None:
            self._current.fresh = 1

    def unpack(self):
        """Fresh C-contiguous copies of all weight matrices and of all biases."""
        weights, biases = self._views
        return [w.copy() for w in weights], [b.copy() for b in biases]

    def _copy_in(self, coefs, intercepts):
        weights, biases = self._views
        for target, source in zip(weights + biases, [*coefs, *intercepts], strict=True):
            target[...] = source

    # -- data ---------------------------------------------------------------------------

    def dataset(self, X, y, sample_weight=None):
        """Wrap samples for training; dense arrays in C or Fortran order are not copied.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (n_samples, n_features)
        y : ndarray
            (n_samples,) class numbers for a softmax output, else (n_samples, n_outputs).
        sample_weight : ndarray of shape (n_samples,), optional
        """
        data, keep = as_data(X, self.dtype)
        data = fill_targets(data, y, sample_weight, self.out_activation == "softmax", self.dtype)
        return Dataset(data, X.shape[0], keep)

    # -- training -----------------------------------------------------------------------

    def optimizer(
        self, kind, *, beta_1=0.9, beta_2=0.999, epsilon=1e-8, momentum=0.9, nesterov=True
    ):
        """New optimizer state for `train`: 'adam', 'sgd', or 'gradient' (moves nothing)."""
        hyper = np.zeros(optimizers.HYPER)
        hyper[optimizers.BETA_1], hyper[optimizers.BETA_2] = beta_1, beta_2
        hyper[optimizers.EPSILON] = epsilon
        hyper[optimizers.MOMENTUM], hyper[optimizers.NESTEROV] = momentum, float(nesterov)
        hyper[optimizers.DELTA_SCALE] = 1.0
        hyper[optimizers.EPS] = np.finfo(self.dtype).eps
        return Optimizer(kind, self._layout, self.dtype, hyper)

    def train(self, dataset, order, batch_size, optimizer, alpha, first, last):
        """Minibatches first..last-1 of the epoch that visits the samples as in `order`.

        Parameters
        ----------
        dataset : Dataset
        order : ndarray, int64
            Row numbers, those of a subset if the rest is held out; kept, not copied.
        batch_size : int
        optimizer : Optimizer
        alpha : float
            L2 penalty.

        Returns
        -------
        TrainResult
        """
        plan = self._plan(dataset, len(order), int(batch_size), optimizer)
        hyper, report = optimizer._hyper, plan.report
        hyper[optimizers.RATE], hyper[optimizers.ALPHA] = optimizer.learning_rate, alpha
        report[epoch.LOSS] = report[epoch.SKIPPED] = 0.0
        plan.use_order(order)
        if plan.slots == 1:
            plan.run(False, first, last)
        else:
            plan.pace.run(plan.run, first, last)
        return TrainResult(
            float(report[epoch.LOSS]), int(report[epoch.SKIPPED]), report[epoch.FINITE] == 1.0
        )

    def loss_gradient(self, packed, dataset, alpha):
        """Loss over all samples and its gradient at the packed parameters.

        Parameters
        ----------
        packed : ndarray of shape (n_parameters,)
            All weight matrices, then all biases, row by row.
        dataset : Dataset
        alpha : float

        Returns
        -------
        loss : float
        gradient : ndarray of shape (n_parameters,), float64
        """
        weights, biases = self._views
        copy_packed(packed, weights + biases)
        plan = self._gradient_plan(dataset, alpha)
        loss = plan.gradient(dataset.n_samples, self.weight_of(dataset), alpha)
        parts = layout.weight_views(self._layout, plan.optimizer._first)
        return loss, np.concatenate([part.ravel() for part in parts[0] + parts[1]], dtype=float)

    def weight_of(self, dataset):
        """Sum of the sample weights, or the number of samples without any."""
        weights = dataset.data.weights
        return float(weights.sum(dtype=float)) if len(weights) else float(dataset.n_samples)

    def _gradient_plan(self, dataset, alpha):
        plan = self._full_batch
        if plan is None or plan.dataset is not dataset:
            optimizer = self.optimizer("gradient")
            if self.loss == "squared_error":  # the loss is a mean over the outputs
                optimizer._hyper[optimizers.DELTA_SCALE] = 1.0 / self.layer_units[-1]
            n = dataset.n_samples
            plan = self._full_batch = Plan(self, dataset, n, n, optimizer)
            plan.use_order(np.arange(n))
        plan.optimizer._hyper[optimizers.ALPHA] = alpha
        return plan

    @functools.cached_property
    def _task(self):
        return compile_task(self.dtype == np.float32)

    def _plan(self, dataset, n_order, batch_size, optimizer):
        plan = self._current
        if plan is None or not plan.serves(dataset, n_order, batch_size, optimizer):
            plan = self._current = Plan(self, dataset, n_order, batch_size, optimizer)
        return plan

    def _frame(self):
        """Frame with everything that training and prediction share."""
        lay = self._layout
        frame = np.zeros(len(Field), np.int64)
        frame[Field.LAYERS_AT], frame[Field.N_LAYERS] = address_of(lay.layers), len(lay.layers)
        frame[Field.PARAMS_AT] = address_of(self._params)
        frame[Field.N_FLAT], frame[Field.N_WEIGHTS] = lay.n_flat, lay.n_weights
        frame[Field.UNITS_TOTAL], frame[Field.WIDEST] = lay.units_total, lay.widest
        frame[Field.LOSS] = layout.LOSSES[self.loss]
        return frame

    def _workspace(self, frame, rows, slots):
        """Workspaces for blocks of `rows` rows, entered into the frame."""
        size = layout.round_up(layout.workspace_size(self._layout, rows, self.dtype), 64)
        frame[Field.BLOCK_ROWS] = rows
        frame[Field.STRIDE] = layout.row_stride(rows, self.dtype)
        work = layout.aligned_zeros(slots * size, self.dtype)
        frame[Field.WORK_AT], frame[Field.WORK_SIZE] = address_of(work), size
        frame[Field.WORK_BYTES] = size * self.dtype.itemsize
        return work

    def release(self):
        """Drop the buffers of training; the parameters stay, and the next call makes new ones."""
        self._current = self._full_batch = None

    # -- prediction ---------------------------------------------------------------------

    def predict(self, X, output="activation"):
        """Network outputs for the rows of X.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (n_samples, n_features)
        output : {'activation', 'logits'}
            With or without the output activation.

        Returns
        -------
        ndarray of shape (n_samples, n_outputs)
        """
        n = X.shape[0]
        units = self.layer_units[-1]
        out = np.empty((n, units), self.dtype)
        if n == 0:
            return out
        data, _keep = as_data(X, self.dtype)
        plan = self._forward
        if plan is None or not plan.serves(n):
            plan = self._forward = ForwardPlan(self, n)
        plan.run(data, n, out, output == "logits")
        return out
