"""The network on the CPU: parameters, workspaces and the calls into compiled kernels."""

from typing import NamedTuple

import numpy as np

from nnjit.backends import threads
from nnjit.backends.dataset import as_data, fill_targets
from nnjit.core import epoch, layout, optimizers, predict
from nnjit.core.block import Data

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
        self._eps = self.dtype.type(np.finfo(self.dtype).eps)
        self._plans = {}
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
        self._copy_in(self._params, coefs, intercepts)

    def unpack(self):
        """Fresh C-contiguous copies of all weight matrices and of all biases."""
        weights, biases = layout.weight_views(self._layout, self._params)
        return [w.copy() for w in weights], [b.copy() for b in biases]

    def _copy_in(self, flat, coefs, intercepts):
        weights, biases = layout.weight_views(self._layout, flat)
        for target, source in zip(weights + biases, [*coefs, *intercepts], strict=True):
            target[...] = source

    def _split(self, packed):
        """Views of a 1-D packed vector in the shapes of the weights and biases."""
        views, start = [], 0
        weights, biases = layout.weight_views(self._layout, self._params)
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
        plan, buffers, report = self._plan(dataset.n_samples, int(batch_size))
        hyper = optimizer._hyper
        hyper[optimizers.RATE], hyper[optimizers.ALPHA] = optimizer.learning_rate, alpha
        grads, work, slot_loss, range_squares = buffers
        state = epoch.State(
            self._params, grads, optimizer._first, optimizer._second, optimizer._clock,
            work, slot_loss, range_squares,
        )  # fmt: skip
        threads.call(
            epoch.train, plan.slots > 1, self._layout.layers, plan, state, hyper,
            optimizer._code, dataset.data, order, first, last, self._eps, report,
        )  # fmt: skip
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

    def _plan(self, n_samples, batch_size):
        key = (n_samples, batch_size)
        found = self._plans.get(key)
        if found is None:
            found = self._plans[key] = self._make_plan(n_samples, min(batch_size, n_samples))
        return found

    def _make_plan(self, n_samples, batch_size):
        """Blocks, slots and ranges; from the shapes alone, so that threads change nothing."""
        lay, dtype = self._layout, self.dtype
        lanes = layout.lanes_of(dtype)
        wanted = 1
        if batch_size * self._products >= PARALLEL_TRAIN and batch_size > lanes:
            wanted = 2 if batch_size <= 2 * BLOCK_ROWS else 4
        rows = min(BLOCK_ROWS, layout.round_up(-(-batch_size // wanted), lanes))
        rows = min(rows, layout.round_up(batch_size, lanes))
        slots = min(wanted, -(-batch_size // rows))
        work_size = layout.round_up(layout.workspace_size(lay, rows, dtype), 64)
        n_biases = lay.n_flat - lay.n_weights
        ranges = -(-lay.n_weights // RANGE_SIZE) + -(-n_biases // RANGE_SIZE)
        plan = epoch.Plan(
            layout.LOSSES[self.loss], lay.units_total, lay.widest, lay.n_flat, lay.n_weights,
            n_samples, batch_size, rows, layout.row_stride(rows, dtype), slots, work_size,
            RANGE_SIZE,
        )  # fmt: skip
        buffers = (
            layout.aligned_zeros(slots * lay.n_flat, dtype),
            layout.aligned_zeros(slots * work_size, dtype),
            np.zeros(slots),
            np.zeros(ranges),
        )
        return plan, buffers, np.zeros(epoch.REPORT)

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
        lay, n = self._layout, X.shape[0]
        units = self.layer_units[-1]
        out = np.empty((n, units), self.dtype)
        if n == 0:
            return out
        data, _keep = as_data(X, self.dtype)
        parallel = n * self._products >= PARALLEL_PREDICT and n > BLOCK_ROWS
        slots = min(threads.thread_count(), -(-n // BLOCK_ROWS)) if parallel else 1
        rows = min(BLOCK_ROWS, layout.round_up(n, layout.lanes_of(self.dtype)))
        work_size = layout.round_up(layout.workspace_size(lay, rows, self.dtype), 64)
        threads.call(
            predict.forward, slots > 1, lay.layers, int(output == "logits"), self._params, data,
            n, np.arange(rows), rows, layout.row_stride(rows, self.dtype), lay.units_total,
            slots, work_size, layout.aligned_zeros(slots * work_size, self.dtype), out.reshape(-1),
        )  # fmt: skip
        return out
