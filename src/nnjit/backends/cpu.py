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


class Optimizer:
    """State of a stochastic solver over one engine's flat parameters.

    Attributes
    ----------
    learning_rate : float
        Read at every call of `CpuEngine.train`; for Adam the base rate.
    """

    def __init__(self, kind, n_flat, dtype, hyper):
        self.kind = kind
        self.learning_rate = 0.0
        self._code = optimizers.SOLVERS[kind]
        self._hyper = hyper
        self._first = layout.aligned_zeros(n_flat, dtype)
        self._second = layout.aligned_zeros(n_flat if kind == "adam" else 0, dtype)
        self._clock = np.array([0.0, 1.0, 1.0])

    @property
    def t(self):
        """Steps done."""
        return int(self._clock[optimizers.STEPS])

    def state(self):
        """Copies of everything a later `load_state` needs to go on bit for bit."""
        return {
            "learning_rate": np.float64(self.learning_rate),
            "clock": self._clock.copy(),
            "first": self._first.copy(),
            "second": self._second.copy(),
        }

    def load_state(self, state):
        """Restore what `state` returned."""
        self.learning_rate = float(state["learning_rate"])
        self._clock[:] = state["clock"]
        self._first[:] = state["first"]
        self._second[:] = state["second"]


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

    def __init__(self, engine, dataset, batch_size, optimizer):
        self._for = dataset, batch_size, optimizer
        lay, dtype = engine._layout, engine.dtype
        lanes = layout.lanes_of(dtype)
        batch_size = min(batch_size, dataset.n_samples)
        wanted = 1
        if batch_size * lay.n_weights >= PARALLEL_TRAIN and batch_size > lanes:
            wanted = 2 if batch_size <= 2 * BLOCK_ROWS else 4
        rows = min(BLOCK_ROWS, layout.round_up(-(-batch_size // wanted), lanes))
        self.slots = min(wanted, -(-batch_size // rows))
        ranges = -(-lay.n_weights // RANGE_SIZE) + -(-(lay.n_flat - lay.n_weights) // RANGE_SIZE)
        self.slot_loss, self.squares = np.zeros(self.slots), np.zeros(ranges)
        self.report = np.zeros(epoch.REPORT)
        self.fresh = 1
        self.pace = Pace(epoch.train)
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
        frame[Field.BATCH_SIZE] = batch_size
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

    def serves(self, dataset, batch_size, optimizer):
        """Whether this plan was made for these."""
        ours = self._for
        return ours[0] is dataset and ours[1] == batch_size and ours[2] is optimizer


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
        self._scratch = {}

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

    def _split(self, packed):
        """Views of a 1-D packed vector in the shapes of the weights and biases."""
        views, start = [], 0
        weights, biases = self._views
        for like in weights + biases:
            views.append(packed[start : start + like.size].reshape(like.shape))
            start += like.size
        return views[: len(weights)], views[len(weights) :]

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
        return Optimizer(kind, self._layout.n_flat, self.dtype, hyper)

    def train(self, dataset, order, batch_size, optimizer, alpha, first, last):
        """Minibatches first..last-1 of the epoch that visits the samples as in `order`.

        Parameters
        ----------
        dataset : Dataset
        order : ndarray of shape (n_samples,), int64
        batch_size : int
        optimizer : Optimizer
        alpha : float
            L2 penalty.

        Returns
        -------
        TrainResult
        """
        plan = self._plan(dataset, int(batch_size), optimizer)
        hyper, report = optimizer._hyper, plan.report
        hyper[optimizers.RATE], hyper[optimizers.ALPHA] = optimizer.learning_rate, alpha
        report[epoch.LOSS] = report[epoch.SKIPPED] = 0.0
        if order is not plan.order:
            plan.order, plan.order_at = order, address_of(order)
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
        self.pack(*self._split(packed))
        gradient = self._scratch.get("gradient")
        if gradient is None:
            gradient = self._scratch["gradient"] = self.optimizer("gradient")
            outputs = self.layer_units[-1]
            if self.loss == "squared_error":  # the loss is a mean over the outputs
                gradient._hyper[optimizers.DELTA_SCALE] = 1.0 / outputs
        order = self._scratch.get("order")
        if order is None or len(order) != dataset.n_samples:
            order = self._scratch["order"] = np.arange(dataset.n_samples)
        n = dataset.n_samples
        result = self.train(dataset, order, n, gradient, alpha, 0, 1)
        weights, biases = layout.weight_views(self._layout, gradient._first)
        flat = np.concatenate([part.ravel() for part in weights + biases], dtype=np.float64)
        return result.loss / n, flat

    @functools.cached_property
    def _task(self):
        return compile_task(self.dtype == np.float32)

    def _plan(self, dataset, batch_size, optimizer):
        plan = self._current
        if plan is None or not plan.serves(dataset, batch_size, optimizer):
            plan = self._current = Plan(self, dataset, batch_size, optimizer)
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
