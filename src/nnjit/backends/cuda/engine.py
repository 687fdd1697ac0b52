"""The network on a CUDA device, with the interface of `nnjit.backends.cpu.CpuEngine`."""

import functools
import math
from typing import NamedTuple

import numpy as np

from nnjit.backends.cpu import TrainResult
from nnjit.backends.cuda import choice, kernels
from nnjit.backends.cuda._cuda import cuda, launch
from nnjit.backends.cuda.arguments import (
    DROP,
    FAN_IN,
    FIELDS,
    INPUTS_AT,
    Matrix,
    Net,
    Samples,
    dense_sizes,
    drop_scales,
    dropped_units,
    kept_units,
    layer_table,
    why_no_layers,
    why_no_options,
)
from nnjit.backends.cuda.control import LOSS, RUNNING, SKIPPED
from nnjit.backends.cuda.memory import allocate, upload, upload_or_one
from nnjit.backends.cuda.optimizer import GRADIENT, CudaOptimizer
from nnjit.backends.cuda.plan import TrainPlan
from nnjit.backends.cuda.rows import DeviceRows, device_rows
from nnjit.backends.cuda.scalars import formulas_of, has_labels, loss_settings
from nnjit.backends.cuda.trial import why_not_compiled
from nnjit.backends.dataset import check_columns, check_targets
from nnjit.formulas.registry import find_solver

__all__ = ["CudaDataset", "CudaEngine", "why_not"]

MOST_BLOCKS = 65536


def why_not(network, dtype, solver=None, options=()):
    """None if the device has code for a network and how it is trained, else the reason in words.

    Parameters
    ----------
    network : nnjit.layers.network.Network
    dtype : numpy.float32 or numpy.float64
    solver : str, optional
        Name of the solver's entry.
    options : sequence of str
        What else the optimizer will be asked for.
    """
    single = np.dtype(dtype) == np.float32
    return (
        why_no_layers(network)
        or why_no_options(options)
        or why_not_compiled(network, single, solver)
    )


class CudaDataset(NamedTuple):
    """Samples and targets on the device; members that are not used hold one element."""

    rows: DeviceRows
    targets: object
    target_columns: int
    labels: object
    weights: object
    weighted: bool
    n_samples: int
    weight_sum: float


def on_device(method):
    """Run a method with the engine's device as the current one."""

    @functools.wraps(method)
    def wrapper(self, *arguments, **options):
        with cuda.gpus[self.ordinal]:
            return method(self, *arguments, **options)

    return wrapper


class CudaEngine:
    """One network in one precision, with its parameters on a CUDA device.

    Parameters
    ----------
    network : nnjit.layers.network.Network
    dtype : numpy.float32 or numpy.float64
    ordinal : int, default=0
        Number of the device.

    Raises
    ------
    ValueError
        If there is no device code for a layer, or a formula cannot be compiled for the device.
    """

    # A launch cannot be interrupted; see nnjit.training.loop. Some 0.1 s on a data-centre GPU.
    work_per_call = 1e12

    def __init__(self, network, dtype, ordinal=0):
        if reason := why_not(network, dtype):
            raise ValueError(f"The network cannot be on a CUDA device: {reason}.")
        self.network = network
        self.dtype = np.dtype(dtype)
        self.ordinal = ordinal
        self.formulas = formulas_of(network)
        self.layer_units = dense_sizes(network)
        self.single = self.dtype == np.float32
        self._plan = self._full_batch = None
        self._allocate()

    @on_device
    def _allocate(self):
        network, units = self.network, self.layer_units
        n_weights = sum(p.size for _, p in network.parameters() if p.penalized)
        n_params, hidden = network.n_parameters, self.formulas.hidden
        kept = sum(kept_units(network, hidden)) + sum(dropped_units(network))
        row_values = choice.pass_values(units, kept)
        self.params = allocate("The network", params=(n_params, self.dtype))["params"]
        self.loss_parameters = upload("The network", loss_settings(network, self.formulas.loss))
        table = layer_table(network, hidden)
        rows = table.reshape(-1, FIELDS)
        self.dense = [(row[FAN_IN], row[INPUTS_AT], row[DROP] >= 0) for row in rows.tolist()]
        self.net = Net(
            upload("The network", table), len(units) - 1, n_weights,
            n_params, sum(units), max(units[1:]), row_values,
            upload("The network", drop_scales(network)),
        )  # fmt: skip

    @property
    def work_per_row(self):
        """Multiply-adds of the forward pass for each row."""
        return self.network.work

    # -- parameters ---------------------------------------------------------------------

    @on_device
    def pack(self, arrays, rows=None):
        """Copy parameters to the device, arrays in the order of the network's `parameters`."""
        parts = [np.ravel(arrays[number]) for number in self.network.packing()]
        self.params.copy_to_device(np.concatenate(parts).astype(self.dtype, copy=False))

    @on_device
    def unpack(self):
        """Host copies of all parameters, in that order."""
        named = [parameter for _, parameter in self.network.parameters()]
        flat, start, arrays = self.params.copy_to_host(), 0, [None] * len(named)
        for number in self.network.packing():
            end = start + named[number].size
            arrays[number] = flat[start:end].reshape(named[number].shape).copy()
            start = end
        return arrays

    # -- data ---------------------------------------------------------------------------

    @on_device
    def dataset(self, X, y, sample_weight=None):
        """Copy samples to the device, once; those that lie there already stay where they are.

        Parameters
        ----------
        X : ndarray, CSR matrix or device array of shape (n_samples, n_features)
        y : ndarray
            (n_samples,) class numbers for a softmax output, else (n_samples, n_outputs), or
            (n_samples, 1) where all outputs have the same target.
        sample_weight : ndarray of shape (n_samples,), optional
        """
        rows, classes = device_rows(X, self.dtype), has_labels(self.formulas.loss)
        n = rows.shape[0]
        check_columns(rows, self.layer_units[0])
        check_targets(y, sample_weight, n, self.layer_units[-1], classes)
        weights = None if sample_weight is None else np.asarray(sample_weight, self.dtype)
        return CudaDataset(
            rows,
            upload_or_one("The target", None if classes else y, self.dtype),
            1 if classes else y.shape[1],
            upload_or_one("The target", y if classes else None, np.int32),
            upload_or_one("The sample weights", weights, self.dtype),
            weights is not None,
            n,
            float(n) if weights is None else float(weights.sum(dtype=float)),
        )

    def weight_of(self, dataset):
        """Sum of the sample weights, or the number of samples without any."""
        return dataset.weight_sum

    @on_device
    def rows(self, X):
        """Rows on the device, for `predict` to take any number of times."""
        return device_rows(X, self.dtype)

    # -- training -----------------------------------------------------------------------

    @on_device
    def optimizer(
        self, kind, *, clip_norm=None, clip_value=None, average=None, seed=0, **hyperparameters
    ):
        """New optimizer state for `train`: of a solver by its name, with its hyperparameters.

        What dropout leaves out follows from `seed` and the number of the step.

        Raises
        ------
        ValueError
            If there is no such solver, or it is asked for what there is no device code for.
        """
        options = {"clip_norm": clip_norm, "clip_value": clip_value, "average": average}
        asked = [name for name, value in options.items() if value is not None]
        reason = why_no_options(asked) or why_not_compiled(self.network, self.single, kind)
        if reason is not None:
            raise ValueError(f"The solver cannot be on a CUDA device: {reason}.")
        return self._optimizer(find_solver(kind), hyperparameters, seed)

    def _optimizer(self, solver, hyperparameters, seed=0):
        return CudaOptimizer(solver, self.net.n_params, self.dtype, hyperparameters, seed)

    @on_device
    def train(self, dataset, order, batch_size, optimizer, alpha, first, last):
        """Minibatches first..last-1 of the epoch that visits the samples as in `order`.

        Parameters
        ----------
        dataset : CudaDataset
        order : ndarray, int64
            Row numbers, those of a subset if the rest is held out.
        batch_size : int
        optimizer : CudaOptimizer
        alpha : float
            L2 penalty.
        first, last : int

        Returns
        -------
        TrainResult
        """
        plan = self._plan_for(dataset, len(order), int(batch_size), optimizer)
        plan.use_order(order, first)
        state = plan.run(int(first), int(last), alpha)
        return TrainResult(float(state[LOSS]), int(state[SKIPPED]), state[RUNNING] == 1.0)

    def _plan_for(self, *wanted):
        if self._plan is None or not self._plan.serves(*wanted):
            self._plan = None  # the old buffers go before the new ones come
            mean = self.formulas.loss.gradient_of_mean
            self._plan = TrainPlan(self, *wanted, self._scale_of(mean))
        return self._plan

    def _scale_of(self, mean):
        """Factor on the derivatives of the loss where they are of the mean over the outputs."""
        return 1.0 / self.layer_units[-1] if mean else 1.0

    @on_device
    def train_epochs(self, dataset, orders, batch_size, optimizer, alpha):
        """All minibatches of several epochs in one launch; see `train`.

        Parameters
        ----------
        orders : ndarray of shape (n_epochs, n_rows), int64

        Returns
        -------
        list of float
            Sum over the minibatches of loss times rows, by epoch. One that is not finite is the
            last.
        """
        n_epochs, n_rows = orders.shape
        plan = self._plan_for(dataset, n_rows, int(batch_size), optimizer)
        plan.use_orders(orders)
        plan.run(0, n_epochs * plan.per_epoch, alpha)
        losses = plan.losses(n_epochs)
        bad = next((number for number, loss in enumerate(losses) if not math.isfinite(loss)), None)
        return losses if bad is None else [*losses[:bad], math.nan]

    @on_device
    def loss_gradient(self, packed, dataset, alpha):
        """Loss over all samples and its gradient at the packed parameters.

        Parameters
        ----------
        packed : ndarray of shape (n_parameters,)
            Row by row, in the order that the network's `packing` says.
        dataset : CudaDataset
        alpha : float

        Returns
        -------
        loss : float
        gradient : ndarray of shape (n_parameters,), float64
        """
        self.params.copy_to_device(np.ascontiguousarray(packed, self.dtype))
        plan, n = self._full_batch, dataset.n_samples
        if plan is None or plan.dataset is not dataset:
            optimizer = self._optimizer(GRADIENT, {})
            self._full_batch = None
            plan = self._full_batch = TrainPlan(
                self, dataset, n, n, optimizer, self._scale_of(self.formulas.loss.mean_over_outputs)
            )
            plan.use_order(np.arange(n), 0)
        state = plan.run(0, 1, alpha)
        gradient = plan.optimizer.vectors.copy_to_host().astype(np.float64)
        return float(state[LOSS]) / n, gradient

    @on_device
    def release(self):
        """Drop the buffers of training; the parameters stay, and the next call makes new ones."""
        self._plan = self._full_batch = None

    # -- prediction ---------------------------------------------------------------------

    @on_device
    def predict(self, X, output="activation"):
        """Network outputs for the rows of X.

        Parameters
        ----------
        X : ndarray, CSR matrix, device array or what `rows` returned
        output : {'activation', 'logits'}
            With or without the output activation.

        Returns
        -------
        ndarray of shape (n_samples, n_outputs), or Numba's device array for a device array
        """
        return self._outputs(X, output)[0]

    @on_device
    def predict_checked(self, X):
        """Network outputs, and whether they, the logits and X (if an ndarray) are surely finite."""
        outputs, overflows = self._outputs(X, "activation")
        if overflows.copy_to_host()[0]:
            return outputs, False
        with np.errstate(over="ignore", invalid="ignore"):
            return outputs, not isinstance(X, np.ndarray) or bool(np.isfinite(X.sum()))

    def _outputs(self, X, output):
        """What `predict` returns, and on the device 1 if a logit or an output is not finite."""
        check_columns(X, self.layer_units[0])
        n, units = X.shape[0], self.layer_units[-1]
        overflows = upload("Prediction", np.zeros(1, np.int32))
        if n == 0:
            return np.empty((0, units), self.dtype), overflows
        rows = device_rows(X, self.dtype)
        count = choice.prediction_rows(self.layer_units, n)
        made = allocate(
            "Prediction",
            out=(n * units, self.dtype),
            work=(sum(self.layer_units) * count, self.dtype),
        )
        for at in range(0, n, count):
            here = at, min(count, n - at)
            self._predict(rows, *here, made["work"], made["out"], output, overflows)
        out = made["out"].reshape((n, units))
        return out if rows.given is not None else out.copy_to_host(), overflows

    def _predict(self, rows, at, count, work, out, output, overflows):
        """Outputs of `count` rows from row `at` on."""
        inputs = Matrix(rows.x, at * rows.row, rows.row, rows.column)
        if rows.row == 0:  # CSR
            self._spread(rows, at, count, work)
            inputs = Matrix(work, 0, self.layer_units[0], 1)
        below = 0
        for layer, (fan_in, fan_out) in enumerate(zip(self.layer_units, self.layer_units[1:])):
            tile = choice.prediction_tile(count, fan_out, self.single)
            blocks = -(-count // tile.rows) * -(-fan_out // tile.columns)
            launch(
                self._kernels(tile).forward, min(blocks, MOST_BLOCKS), tile.threads, layer,
                self.net, self.params, inputs, work, count,
            )  # fmt: skip
            below += fan_in
            inputs = Matrix(work, below * count, fan_out, 1)
        blocks = min(-(-count // tile.threads), MOST_BLOCKS)
        launch(
            self._kernels(tile).finish, blocks, tile.threads, self.net, work, count, out,
            at * self.layer_units[-1], int(output == "logits"), overflows,
        )  # fmt: skip

    def _kernels(self, tile):
        return kernels.prediction_kernels(self.single, tile, self.formulas)

    def _spread(self, rows, at, count, work):
        """Write CSR rows out densely at the input's place in the workspace."""
        order = upload("Prediction", np.arange(at, at + count))
        none = allocate(
            "Prediction", targets=(1, self.dtype), labels=(1, np.int32), weights=(1, self.dtype)
        )
        samples = Samples(
            rows.x, 0, 0, rows.indices, rows.indptr, **none, target_columns=1, weighted=0,
            order=order,
        )  # fmt: skip
        tile, blocks = choice.tile_for("phases"), min(count, MOST_BLOCKS)
        launch(self._kernels(tile).gather, blocks, tile.threads, self.net, samples, work, 0, count)
