"""The network on the CPU: parameters, workspaces and the calls into compiled kernels."""

import functools
from typing import NamedTuple

import numpy as np

from nnjit.backends.dataset import (
    Dataset,
    as_data,
    check_actions,
    check_columns,
    check_targets,
    fill_points,
    fill_targets,
)
from nnjit.backends.layout import aligned_zeros, make_layout
from nnjit.backends.optimizer import Optimizer, copy_packed, packed_copy
from nnjit.backends.plan import ForwardPlan, GradientPlan, TrainPlan
from nnjit.backends.program import make_program
from nnjit.backends.stepper import PooledStepper, Stepper
from nnjit.backends.windows import cut_series, goes_by_windows, predict_windows
from nnjit.core.jobs import job
from nnjit.core.jobs.records import address_of
from nnjit.formulas import find_loss, find_solver

__all__ = ["CpuEngine", "TrainResult"]

_NO_STATES, _NO_ROWS = np.empty((0, 0)), np.empty(0, np.int64)


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
    dtype : numpy.float32 or numpy.float64
    parameters : ndarray, optional
        Those of an engine of the same layers, which both then have.
    """

    work_per_call = None  # the training loop's own bound

    def __init__(self, network, dtype, parameters=None):
        self.network = network
        self.dtype = np.dtype(dtype)
        self.layout = make_layout(network, self.dtype)
        if parameters is None:
            parameters = aligned_zeros(self.layout.n_flat, self.dtype)
        self.parameters = parameters
        self._views = self.layout.views(self.parameters)
        self.lent, self._owned = np.zeros(len(network.layers), np.int64), ()
        self._programs, self._of_points = {}, {}
        self._current = None
        self._forward = self._sampling = None
        self._full_batch = None

    @functools.cached_property
    def loss_entry(self):
        """The loss; a network that only predicts may have an output that goes with none."""
        return find_loss(self.network.loss, self.network.output)

    @functools.cached_property
    def loss_parameters(self):
        """Parameters of the loss, float64: for each output, in the order of its entry."""
        given, outputs = self.network.loss_parameters, self.network.outputs
        return np.array(self.loss_entry.settings(given, outputs), np.float64)

    def of_points(self, points):
        """The engine of the same parameters for series of so many points; made once."""
        if points == self.network.shape[1]:
            return self
        if points not in self._of_points:
            network = self.network.of_points(points)
            made = self._of_points[points] = CpuEngine(network, self.dtype, self.parameters)
            made.lent = self.lent
        return self._of_points[points]

    def _program(self, sparse, training, sampling=False, one_row=False):
        """The network's `Program` for these; made once."""
        key = sparse, training, sampling, one_row
        if key not in self._programs:
            self._programs[key] = make_program(self.network, self.dtype, *key)
        return self._programs[key]

    # -- parameters ---------------------------------------------------------------------

    @property
    def work_per_row(self):
        """Multiply-adds of the forward pass for each row."""
        return self.network.work

    def pack(self, arrays, rows=None):
        """Copy parameters in, in the order of `Network.parameters`.

        If the next prediction is that of one dense row, `rows` being 1, it reads large matrices
        where they are: copying them would take as long as the prediction itself.
        """
        self.lent[:], self._owned = 0, ()
        lent = self._lend(arrays) if rows == 1 else ()
        for number, (target, source) in enumerate(zip(self._views, arrays, strict=True)):
            if number in lent:
                target[-1] = source[-1]  # see `nnjit.layers.dense.row`
            else:
                target[...] = source

    def _lend(self, arrays):
        """Enter the addresses of matrices that one row reads where they are; their numbers."""
        lent = []
        for number in self._program(False, False, one_row=True).lendable:
            array, place = arrays[number], self.layout.places[number]
            fits = array.shape == place.shape and array.dtype == self.dtype
            if fits and array.flags.c_contiguous and array.flags.aligned:
                self.lent[place.layer] = address_of(array)
                lent.append(number)
        if lent:
            self._owned = tuple(arrays)
        return lent

    def _take_lent(self):
        """Copy in what was lent, for anything but the prediction of one dense row."""
        if self._owned:
            self.pack(self._owned)

    def unpack(self):
        """Fresh C-contiguous copies of all parameters."""
        self._take_lent()
        return [view.copy() for view in self._views]

    # -- data ---------------------------------------------------------------------------

    def dataset(self, X, y, sample_weight=None):
        """Wrap samples for training; dense arrays in C or Fortran order are not copied.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (n_samples, n_features)
        y : ndarray
            (n_samples,) class numbers for a softmax, (n_samples, n_groups) where there are
            several, else (n_samples, n_outputs), or (n_samples, 1) where all outputs have the
            same target; for a loss by row the columns that `Loss.target_columns` says. Where each
            point of a series has a target (n_samples, n_steps) or
            (n_samples, n_steps, n_outputs or 1), of which nothing counts behind a series' end.
        sample_weight : ndarray of shape (n_samples,), optional
            Or (n_samples, n_steps) there, a weight for each point.
        """
        network, labels = self.network, self.loss_entry.labels
        self._check_data(X, y, sample_weight)
        data, keep = as_data(X, self.dtype, network.shape)
        if network.target_shape:
            data = fill_points(data, y, sample_weight, labels, network, self.dtype)
        else:
            data = fill_targets(data, y, sample_weight, labels, self.dtype)
        return Dataset(data, X.shape[0], keep)

    def windows(self, X, y, sample_weight=None):
        """Wrap series for training on one window of each after the other, see `Network.window`.

        Parameters are those of `dataset`. An update follows each window of the series of a
        minibatch; their states are carried on.
        """
        self._check_data(X, y, sample_weight)
        points = self.network.window
        cut = cut_series(X, y, sample_weight, self.network, points, self.dtype)
        made = self.of_points(points).dataset(cut.X, cut.y, cut.weights)
        lengths = made.data.lengths
        if not len(lengths):
            lengths = np.full(made.n_samples, points, np.int64)
        lengths[-1] = made.data.weights[-1] = 0
        return made._replace(data=made.data._replace(lengths=lengths), windows=cut.windows)

    def _check_data(self, X, y, sample_weight):
        """Refuse samples that kernels would read outside of."""
        network, labels = self.network, self.loss_entry.labels
        check_columns(X, network.inputs)
        if self.loss_entry.by_row:
            if network.groups or network.target_shape:
                raise ValueError(
                    f"Loss {network.loss!r} is of one action for each row, not of several "
                    "softmaxes or of a target at every point of a series."
                )
            check_actions(y, sample_weight, X.shape[0], self.loss_entry, network.outputs)
            return
        check_targets(
            y, sample_weight, X.shape[0], network.outputs, labels, network.groups,
            network.target_shape,
        )  # fmt: skip

    # -- training -----------------------------------------------------------------------

    def optimizer(
        self, name, *, clip_norm=None, clip_value=None, average=None, seed=0, **hyperparameters
    ):
        """New optimizer state for `train`.

        Parameters
        ----------
        name : str
            Of a solver in `nnjit.formulas`.
        clip_norm, clip_value : float, optional
            Most of the norm of a minibatch's gradient, or of each of its elements.
        average : float, optional
            Decay rate of an average of the parameters.
        seed : int, default=0
            What layers draw at random follows from it and the number of the step.
        **hyperparameters : float
            Those of the solver that are not to be at their defaults.
        """
        return Optimizer(
            find_solver(name), hyperparameters, self.layout, self.dtype,
            clip_norm=clip_norm, clip_value=clip_value, average=average, seed=seed,
        )  # fmt: skip

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
        self._take_lent()
        engine = self if dataset.windows is None else self.of_points(dataset.windows.points)
        plan = engine._plan(dataset, len(order), int(batch_size), optimizer)
        self._run(plan, order, 1, alpha, first, last)
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
        self._take_lent()
        epochs, n_order = orders.shape
        plan = self._plan(dataset, n_order, int(batch_size), optimizer)
        self._run(plan, orders, epochs, alpha, 0, epochs * plan.epoch_batches)
        losses = plan.epoch_losses[:epochs]
        if plan.report[job.FINITE] != 1.0:
            losses = losses[: 1 + np.flatnonzero(~np.isfinite(losses))[0]]
        return losses.tolist()

    @staticmethod
    def _run(plan, orders, epochs, alpha, first, last):
        plan.begin(orders, epochs, alpha, first, last)
        if plan.parallel:
            plan.tuner.run(plan.run, first, last)
        else:
            plan.run(False, first, last)

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
        self._take_lent()  # now, not over these later
        copy_packed(packed, self.layout.packed_views(self.parameters))
        plan = self._full_batch
        if plan is None or plan.dataset is not dataset:
            program = self._program(dataset.data.x_column == 0, training=True)
            plan = self._full_batch = GradientPlan(self, program, dataset)
        loss = plan.gradient(self.weight_of(dataset), alpha)
        return loss, packed_copy(self.layout.packed_views(plan.vector), np.float64)

    def weight_of(self, dataset):
        """Sum of the sample weights, or the number of samples (points with targets) without any."""
        weights = dataset.data.weights
        return float(weights.sum(dtype=float)) if len(weights) else float(dataset.n_samples)

    def _plan(self, dataset, n_order, batch_size, optimizer):
        plan = self._current
        if plan is None or not plan.serves(dataset, n_order, batch_size, optimizer):
            program = self._program(dataset.data.x_column == 0, training=True)
            plan = TrainPlan(self, program, dataset, n_order, batch_size, optimizer)
            self._current = plan
        return plan

    def release(self):
        """Drop the buffers of training; the parameters stay, and the next call makes new ones."""
        self._current = self._full_batch = None
        for engine in self._of_points.values():
            engine.release()

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
            Or (n_samples, n_steps, n_outputs) where each point of a series has a target: 0 behind
            its end.
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

    def predict_samples(self, X, n, seed):
        """Outputs of n passes that draw as training does: Monte Carlo dropout.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (n_samples, n_features)
        n : int
        seed : int
            From 0 on. What pass k draws for row i follows from seed, k and i.

        Returns
        -------
        ndarray of shape (n, n_samples, n_outputs)
        """
        check_columns(X, self.network.inputs)
        rows = X.shape[0]
        out = np.empty((n, rows, *self.row_shape), self.dtype)
        data, _keep = as_data(X, self.dtype, self.network.shape)
        sparse = data.x_column == 0
        self._take_lent()
        plan = self._sampling
        if plan is None or not plan.serves(rows, sparse):
            program = self._program(sparse, training=False, sampling=True)
            plan = self._sampling = ForwardPlan(self, program, rows)
        for number in range(n if rows else 0):
            plan.sample(seed, number)
            plan.run(data, rows, out[number], False)
        return out

    @property
    def row_shape(self):
        """Shape of the outputs of a row."""
        network = self.network
        steps = network.target_shape
        return (*steps, network.outputs) if steps else network.sizes[-1:]

    def _predict(self, X, output):
        check_columns(X, self.network.inputs)
        n = X.shape[0]
        if n != 1 or not isinstance(X, np.ndarray):
            self._take_lent()
        if n and goes_by_windows(self.network):
            return predict_windows(self, X, output)
        out = np.empty((n, *self.row_shape), self.dtype)
        if n == 0:
            return out, True
        data, _keep = as_data(X, self.dtype, self.network.shape)
        plan = self._forward_plan(n, data.x_column == 0)
        return out, plan.run(data, n, out, output == "logits")

    def predict_window(self, X, lengths, states, state_rows, output):
        """Outputs for windows of series, which go on from states and leave theirs there.

        Parameters
        ----------
        X : ndarray of shape (n, channels * points)
        lengths : ndarray of shape (n,), int64
            How many of the points there are.
        states : ndarray of shape (n_states, size)
            Changed in place.
        state_rows : ndarray of shape (n,), int64
            See `nnjit.core.jobs.job.Job`.
        output : {'activation', 'logits'}

        Returns
        -------
        out : ndarray of shape (n, n_values)
        finite : bool
        """
        n, out = len(X), np.empty((len(X), *self.row_shape), self.dtype)
        data, _keep = as_data(X, self.dtype)
        if (lengths < self.network.shape[1]).any():
            data = data._replace(lengths=lengths)
        plan = self._forward_plan(n, sparse=False)
        plan.carry(states, state_rows)
        try:
            return out, plan.run(data, n, out, output == "logits")
        finally:
            plan.carry(_NO_STATES, _NO_ROWS)

    @functools.cached_property
    def one_row(self):
        """The `Stepper` that takes one vector after the other; made once."""
        self._take_lent()
        return Stepper(self)

    def stepper(self):
        """New `Stepper` that takes one point of a series after the other.

        The network carries states, up to global pooling if there is such.
        """
        self._take_lent()
        number = self.network.first_joining
        if number is None:
            return Stepper(self.of_points(1))
        before, behind = self.network.of_points(1).halves(number)
        engines = CpuEngine(before, self.dtype), CpuEngine(behind, self.dtype)
        arrays = self.unpack()
        count = len(before.parameters())
        engines[0].pack(arrays[:count])
        engines[1].pack(arrays[count:])
        return PooledStepper(*engines, self.network.layers[number].method)

    def _forward_plan(self, n, sparse):
        plan, alone = self._forward, n == 1 and not sparse
        if plan is None or not plan.serves(n, sparse) or (alone and not plan.one_row):
            # once there was a single row, so that one plan does for it and for a few rows in turn
            alone = alone or (plan is not None and plan.one_row)
            program = self._program(sparse, training=False, one_row=alone)
            plan = self._forward = ForwardPlan(self, program, n)
        return plan
