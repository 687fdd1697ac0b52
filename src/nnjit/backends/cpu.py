"""The network on the CPU: parameters, workspaces and the calls into compiled kernels."""

import functools
from typing import NamedTuple

import numpy as np

from nnjit.backends.dataset import (
    Dataset,
    as_data,
    check_columns,
    check_targets,
    fill_targets,
)
from nnjit.backends.optimizer import Optimizer, copy_packed, hyper_vector, packed_copy
from nnjit.backends.plan import ForwardPlan, TrainPlan
from nnjit.core import job, layout, optimizers
from nnjit.core.frame import Field, address_of
from nnjit.layers.network import as_mlp

__all__ = ["CpuEngine", "TrainResult"]


class TrainResult(NamedTuple):
    """What a run of minibatches reports."""

    loss: float  # sum over minibatches of loss times rows
    skipped: int  # minibatches left out because their weights sum to zero
    finite: bool  # False: stopped before the update of the first batch without a finite loss


class CpuEngine:
    """One network in one precision, its parameters and its workspaces.

    Parameters
    ----------
    network : nnjit.layers.network.Network
        Of dense layers.
    dtype : numpy.float32 or numpy.float64
    """

    work_per_call = None  # the training loop's own bound

    def __init__(self, network, dtype):
        self.network = network
        self.dtype = np.dtype(dtype)
        layer_units, activation = as_mlp(network)
        out_activation = network.output
        self.layer_units = layer_units
        self.out_activation = out_activation
        self.loss = network.loss
        self._layout = layout.make_layout(layer_units, activation, out_activation, self.dtype)
        self._params = layout.aligned_zeros(self._layout.n_flat, self.dtype)
        self._views = layout.weight_views(self._layout, self._params)
        self._parameters = [view for layer in zip(*self._views) for view in layer]
        self._current = None
        self._forward = None
        self._full_batch = None

    @property
    def work_per_row(self):
        """Multiply-adds of the forward pass for each row."""
        return self.network.work

    # -- parameters ---------------------------------------------------------------------

    def pack(self, arrays):
        """Copy parameters in, arrays in the order of the network's `parameters`."""
        for target, source in zip(self._parameters, arrays, strict=True):
            target[...] = source

    def unpack(self):
        """Fresh C-contiguous copies of all parameters, in that order."""
        return [view.copy() for view in self._parameters]

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
        labels = self.out_activation == "softmax"
        check_columns(X, self.layer_units[0])
        check_targets(y, sample_weight, X.shape[0], self.layer_units[-1], labels)
        data, keep = as_data(X, self.dtype)
        data = fill_targets(data, y, sample_weight, labels, self.dtype)
        return Dataset(data, X.shape[0], keep)

    # -- training -----------------------------------------------------------------------

    def optimizer(self, kind, **hyperparameters):
        """New optimizer state for `train`: 'adam', 'sgd', or 'gradient' (moves nothing).

        See `nnjit.backends.optimizer.hyper_vector` for the hyperparameters.
        """
        hyper = hyper_vector(self.loss, self.dtype, **hyperparameters)
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
        self._run(plan, order, 1, optimizer, alpha, first, last)
        report = plan.report
        return TrainResult(
            float(plan.epoch_losses[0]), int(report[job.SKIPPED]), report[job.FINITE] == 1.0
        )

    def train_epochs(self, dataset, orders, batch_size, optimizer, alpha):
        """All minibatches of several epochs; see `train`.

        Parameters
        ----------
        orders : ndarray of shape (n_epochs, n_rows), int64
            C-contiguous; kept, not copied.

        Returns
        -------
        list of float
            Sum over the minibatches of loss times rows, by epoch. One that is not finite is the
            last: training stopped there, before the update.
        """
        epochs, n_order = orders.shape
        plan = self._plan(dataset, n_order, int(batch_size), optimizer)
        self._run(plan, orders, epochs, optimizer, alpha, 0, epochs * plan.epoch_batches)
        losses = plan.epoch_losses[:epochs]
        if plan.report[job.FINITE] != 1.0:
            losses = losses[: 1 + np.flatnonzero(~np.isfinite(losses))[0]]
        return losses.tolist()

    @staticmethod
    def _run(plan, orders, epochs, optimizer, alpha, first, last):
        hyper = optimizer.hyper
        hyper[optimizers.RATE], hyper[optimizers.ALPHA] = optimizer.learning_rate, alpha
        plan.begin(orders, epochs)
        if plan.parallel:
            plan.pace.run(plan.run, first, last)
        else:
            plan.run(False, first, last)

    def loss_gradient(self, packed, dataset, alpha):
        """Loss over all samples and its gradient at the packed parameters.

        Parameters
        ----------
        packed : ndarray of shape (n_parameters,)
            Row by row, in the order that the network's `packing` says.
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
        return loss, packed_copy(parts[0] + parts[1], np.float64)

    def weight_of(self, dataset):
        """Sum of the sample weights, or the number of samples without any."""
        weights = dataset.data.weights
        return float(weights.sum(dtype=float)) if len(weights) else float(dataset.n_samples)

    def _gradient_plan(self, dataset, alpha):
        plan = self._full_batch
        if plan is None or plan.dataset is not dataset:
            optimizer = self.optimizer("gradient")
            if self.loss == "squared_error":  # the loss is a mean over the outputs
                optimizer.hyper[optimizers.DELTA_SCALE] = 1.0 / self.layer_units[-1]
            n = dataset.n_samples
            plan = self._full_batch = TrainPlan(self, dataset, n, n, optimizer)
            plan.begin(np.arange(n), 1)
        plan.optimizer.hyper[optimizers.ALPHA] = alpha
        return plan

    @functools.cached_property
    def _runner(self):
        return job.runner(self.dtype == np.float32)

    def _plan(self, dataset, n_order, batch_size, optimizer):
        plan = self._current
        if plan is None or not plan.serves(dataset, n_order, batch_size, optimizer):
            plan = self._current = TrainPlan(self, dataset, n_order, batch_size, optimizer)
        return plan

    def _frame(self):
        """Frame with everything that training and prediction share."""
        lay = self._layout
        frame = np.zeros(len(Field), np.int64)
        frame[Field.LAYERS_AT], frame[Field.N_LAYERS] = address_of(lay.layers), len(lay.layers)
        frame[Field.PARAMS_AT] = address_of(self._params)
        frame[Field.N_FLAT], frame[Field.UNITS_TOTAL] = lay.n_flat, lay.units_total
        frame[Field.LOSS] = layout.LOSSES[self.loss]
        return frame

    def _workspace(self, frame, rows, number, training):
        """Workspaces for that number of blocks of `rows` rows, entered into the frame."""
        size = layout.workspace_size(self._layout, rows, self.dtype, training)
        size = layout.round_up(size, 64)
        frame[Field.BLOCK_ROWS] = rows
        frame[Field.STRIDE] = layout.row_stride(rows, self.dtype)
        work = layout.aligned_zeros(number * size, self.dtype)
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
        return self._predict(X, output)[0]

    def predict_checked(self, X):
        """Network outputs for the rows of X, and whether nothing there is NaN or infinite.

        They are looked at where they lie in the cache, so that it costs next to nothing.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (n_samples, n_features)

        Returns
        -------
        outputs : ndarray of shape (n_samples, n_outputs)
        finite : bool
            False where X, if dense, the logits or the outputs have infinities or NaN, or where a
            sum of their elements overflows.
        """
        return self._predict(X, "activation")

    def _predict(self, X, output):
        check_columns(X, self.layer_units[0])
        n = X.shape[0]
        units = self.layer_units[-1]
        out = np.empty((n, units), self.dtype)
        if n == 0:
            return out, True
        data, _keep = as_data(X, self.dtype)
        plan = self._forward
        if plan is None or not plan.serves(n):
            plan = self._forward = ForwardPlan(self, n)
        return out, plan.run(data, n, out, output == "logits")
