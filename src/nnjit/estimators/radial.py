"""Radial-basis-function networks: Gaussian bumps around centres, and a linear output."""

# Without `from __future__ import annotations`, so that help() shows the values in a Literal.
import warnings
from contextvars import ContextVar
from typing import Any, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from nnjit._types import Array, FloatArray, RegressionLossName, StochasticSolverName, names
from nnjit.estimators._assigned import as_floats, check_output_activation
from nnjit.estimators._base import SET_BACK, NetworkEstimator
from nnjit.estimators._callbacks import FitReport, current_report
from nnjit.estimators._declaration import parameter, parameter_group, with_parameters
from nnjit.estimators._output_layer import OutputLayer, fit_output_layer
from nnjit.estimators._trainable_network import NON_FINITE
from nnjit.estimators._training_call import TrainingCall
from nnjit.estimators._watching import Given
from nnjit.estimators.classifier import BaseClassifier
from nnjit.estimators.parameters import (
    ClassificationLoss,
    ClassWeights,
    RadialLayer,
    RegressionLoss,
    Training,
)
from nnjit.estimators.regressor import BaseRegressor
from nnjit.layers.dense.spec import Dense
from nnjit.layers.network import Network
from nnjit.layers.radial.initialization import (
    choose_centers,
    choose_origin_and_unit,
    choose_widths,
    default_centers,
    hidden_values,
)
from nnjit.layers.radial.spec import RadialBasis
from nnjit.training.validation import Rows

__all__ = ["RBFClassifier", "RBFRegressor"]

# The output layer that joint training starts from is fitted to so many rows at most, this exactly.
_START_ROWS = 50_000
_START_ITERATIONS, _START_TOL = 500, 1e-5

_BUMPS = """
centers_ : ndarray of shape (n_centers, n_features)
    Centres.
widths_ : ndarray of shape (n_centers,)
    Widths.
coefs_ : ndarray of shape (n_centers, n_outputs)
    Weights of the output layer. Like the others they can be assigned before predicting.
intercepts_ : ndarray of shape (n_outputs,)
    Biases of the output layer.
"""
_REFERENCES = """
D. S. Broomhead and D. Lowe, "Multivariable functional interpolation and adaptive networks",
Complex Systems 2, 1988.

J. Moody and C. Darken, "Fast learning in networks of locally-tuned processing units", Neural
Computation 1, 1989 (k-means, widths, the normalized form).

F. Schwenker, H. Kestler and G. Palm, "Three learning phases for radial-basis-function networks",
Neural Networks 14, 2001.

"""


class _Fit:
    """What one call of fit learns early and needs later; two threads may fit one estimator."""

    def __init__(self, estimator: "RadialNetwork | None") -> None:
        self.estimator = estimator
        self.placed: Any = None  # centres and log-widths as the engine gets them
        self.drawn: Rows | None = None  # rows to train on and rows held out
        self.validated = False  # whether there are other rows to validate on


_FIT: ContextVar[_Fit | None] = ContextVar("_FIT", default=None)


def _current_fit(estimator: "RadialNetwork") -> _Fit:
    """Return what is known of the estimator's fit; nothing where none goes on."""
    fit = _FIT.get()
    return fit if fit is not None and fit.estimator is estimator else _Fit(None)


class RadialNetwork(NetworkEstimator, RadialLayer):
    """A network of one radial and one dense layer.

    The engine gets rows and centres relative to a point amid the rows, in a unit of length about
    that of a width, so that float32 does not cancel and a rate suits features of any unit.
    """

    _shared_docs = {
        "attributes": _BUMPS.lstrip() + NetworkEstimator._shared_docs["attributes"].lstrip(),
        "references": _REFERENCES + NetworkEstimator._shared_docs["references"].lstrip(),
    }
    _accepted_sparse = False  # differences from a point are dense

    centers_: FloatArray
    widths_: FloatArray
    coefs_: FloatArray
    intercepts_: FloatArray
    _origin: Array
    _unit: float
    _n_centers_asked: Any

    # The network and its parameters

    def _network(self, inputs: int, outputs: int) -> Network:
        placed = _current_fit(self).placed
        return self._bumps(inputs, len(self.centers_ if placed is None else placed[0]), outputs)

    def _bumps(self, inputs: int, centers: int, outputs: int) -> Network:
        layers = (RadialBasis(centers, bool(self.normalized)), Dense(outputs, "identity"))
        return Network(
            inputs, layers, self._engine_loss(), self.out_activation_, **self._loss_options()
        )

    def _as_attributes(self, arrays: list[Array]) -> dict[str, Any]:
        centers, log_widths, weights, biases = arrays
        with np.errstate(over="ignore"):  # found not to be finite later
            outer = self._origin + self._unit * centers.astype(np.float64)
            widths = self._unit * np.exp(log_widths.astype(np.float64))
            return {
                "centers_": outer.astype(centers.dtype),
                "widths_": np.maximum(widths, np.finfo(centers.dtype).tiny).astype(centers.dtype),
                "coefs_": weights,
                "intercepts_": biases,
            }

    def _give_parameters(self, n_features: int | None = None) -> tuple[Network, list[Array]]:
        centers, widths, weights, biases = _checked(self, n_features)
        self._have_origin(centers, widths)
        arrays = [*self._inner(centers, widths), weights, biases]
        return self._bumps(centers.shape[1], len(centers), len(biases)), arrays

    def _present_parameters(self) -> tuple[Any, list[Any]]:
        centers, widths = self.centers_, self.widths_
        arrays = isinstance(centers, np.ndarray) and isinstance(widths, np.ndarray)
        if not arrays or (widths <= 0).any() or self._origin.shape != centers.shape[1:]:
            return super()._present_parameters()
        others = (
            getattr(self, "n_outputs_", None),  # a regressor needs none
            self.out_activation_,
            self.loss,
            bool(self.normalized),
            getattr(self, "_label_binarizer", None),
        )
        return others, [*self._inner(centers, widths), self.coefs_, self.intercepts_]

    def _inner(self, centers: Array, widths: Array) -> tuple[Array, Array]:
        """Return centres and the logarithms of widths as the network has them."""
        with np.errstate(over="ignore"):
            inner = (centers.astype(np.float64) - self._origin) / self._unit
            log_widths = np.log(widths.astype(np.float64) / self._unit)
        return inner.astype(centers.dtype), log_widths.astype(widths.dtype)

    def _have_origin(self, centers: Array, widths: Array) -> None:
        """Find origin and unit where everything was assigned, or of another size."""
        if getattr(self, "_origin", centers).shape != centers.shape[1:]:
            self._origin = centers.mean(axis=0, dtype=np.float64).astype(centers.dtype)
            self._unit = float(2.0 ** np.round(np.log2(np.median(widths.astype(np.float64)))))

    def _engine_rows(self, X: Any, name: str = "X") -> Any:
        with np.errstate(over="ignore"):
            rows = np.subtract(X, self._origin, dtype=X.dtype)
            rows *= X.dtype.type(1 / self._unit)
        return rows

    def _reads_blocks(self, fitting: bool) -> bool:
        return not fitting  # k-means looks at all rows

    def _engine_device(self) -> str:
        if self.device.startswith("cuda"):
            raise ValueError(
                f"Radial layers have no code for a GPU: device={self.device!r} cannot be used, "
                "'cpu' and 'auto' can."
            )
        return "cpu"

    def _check_solver(self) -> bool:
        if self.train == "output":
            raise AttributeError("partial_fit needs train='all'.")
        return super()._check_solver()

    def _check_architecture(self, network: Network) -> None:
        super()._check_architecture(network)
        asked = self.n_centers
        if asked not in ("auto", len(self.centers_), getattr(self, "_n_centers_asked", None)):
            raise ValueError(
                f"The fitted network has {len(self.centers_)} centres, but n_centers={asked!r} "
                f"asks for another number. {SET_BACK}"
            )

    # Phases 1 and 2: centres and widths, then the output layer

    def _fit_on(self, given: Given, incremental: bool, validation: Given | None) -> Self:
        fit = _Fit(self)
        fit.validated = validation is not None
        token = _FIT.set(fit)
        try:
            return super()._fit_on(given, incremental, validation)
        finally:
            _FIT.reset(token)

    def _begin(self, X: Any, target: Array, sample_weight: Array | None, outputs: int) -> None:
        _current_fit(self).placed = self._place_bumps(X, sample_weight)
        super()._begin(X, target, sample_weight, outputs)

    def _place_bumps(self, X: Array, sample_weight: Array | None) -> tuple[Array, Array]:
        """Return centres and log-widths as the engine gets them; sets origin and unit."""
        n_centers, init, width = self._centers_asked(X, sample_weight), self.init, self.width
        self._n_centers_asked = self.n_centers
        with np.errstate(over="ignore", invalid="ignore"):
            self._origin, self._unit = choose_origin_and_unit(X, n_centers, sample_weight)
            rows = self._engine_rows(X)
            if np.shape(init) == (n_centers, X.shape[1]):  # else it is refused
                init = (np.asarray(init, dtype=np.float64) - self._origin) / self._unit
            if not isinstance(width, str):
                width = np.asarray(width, dtype=np.float64) / self._unit
            if not np.isfinite(np.square(rows).sum()):
                raise ValueError(f"{NON_FINITE} {self._divergence_advice()}")
            centers = choose_centers(rows, n_centers, init, self._random_state, sample_weight)
            log_widths = np.log(choose_widths(centers, width, rows))
        return centers, log_widths

    def _centers_asked(self, X: Array, sample_weight: Array | None) -> int:
        if self.n_centers != "auto":
            return int(self.n_centers)
        if not isinstance(self.init, str):
            return max(1, len(np.asarray(self.init)))
        return default_centers(len(X) if sample_weight is None else int((sample_weight > 0).sum()))

    def _initial_parameters(
        self,
        network: Network,
        X: Any,
        target: Array,
        sample_weight: Array | None,
        dtype: np.dtype[Any],
    ) -> list[Array]:
        centers, log_widths = _current_fit(self).placed
        shape = (len(centers), network.outputs)
        weights, biases = np.zeros(shape, dtype), np.zeros(shape[1], dtype)
        if self.train == "all":
            rows = self._rows_to_start_on(target, sample_weight)
            hidden = hidden_values(
                self._engine_rows(X[rows]), centers, log_widths, bool(self.normalized)
            )
            with warnings.catch_warnings():  # near enough to the minimum for a start
                warnings.simplefilter("ignore", ConvergenceWarning)
                warnings.filterwarnings("ignore", "Training interrupted by user")
                found = fit_output_layer(
                    hidden,
                    target[rows],
                    network,
                    (weights, biases),
                    alpha=self.alpha,
                    sample_weight=None if sample_weight is None else sample_weight[rows],
                    max_iter=_START_ITERATIONS,
                    max_fun=2 * _START_ITERATIONS,
                    tol=_START_TOL,
                )
            if found.by_user:  # as while centres are chosen: nothing has been trained yet
                raise KeyboardInterrupt
            weights, biases = found.weights, found.biases
        return [centers, log_widths, weights, biases]

    def _rows_to_start_on(self, target: Array, sample_weight: Array | None) -> Array:
        """Return the rows that the output layer is fitted to: not held out, and not too many."""
        rows = np.arange(len(target))
        holds_out = self.early_stopping and not _current_fit(self).validated
        if holds_out and self.solver in names(StochasticSolverName):
            # training asks for it again
            drawn = self._draw_split(target, sample_weight)
            _current_fit(self).drawn, rows = drawn, drawn[0]
        if sample_weight is not None:
            rows = rows[sample_weight[rows] > 0]
        if len(rows) > _START_ROWS:
            rows = np.sort(self._random_state.choice(rows, _START_ROWS, replace=False))
        return rows

    def _draw_split(self, target: Array, sample_weight: Array | None) -> Rows:
        drawn = _current_fit(self).drawn
        return super()._draw_split(target, sample_weight) if drawn is None else drawn

    # Phase 3

    def _train(self, call: TrainingCall) -> None:
        if self.train == "output":
            if call.watched is not None:
                raise ValueError("X_val and y_val need train='all'.")
            self._train_output(*call[:3])
            return
        super()._train(call)

    def _train_output(self, X: Array, target: Array, sample_weight: Array | None) -> None:
        """Fit the output layer and leave centres and widths as they are."""
        if self.checkpoint is not None:
            raise ValueError("checkpoint needs train='all'.")
        for name in self._solver_options():
            raise ValueError(f"{name} needs train='all'.")
        network, (centers, log_widths, weights, biases) = self._give_parameters()
        report = current_report(self)
        found = fit_output_layer(
            hidden_values(X, centers, log_widths, bool(self.normalized)),
            target,
            network,
            (weights, biases),
            alpha=self.alpha,
            sample_weight=sample_weight,
            max_iter=self.max_iter,
            max_fun=self.max_fun,
            tol=self.tol,
            verbose=self.verbose,
            hook=None if report is None else _OutputReport(report, centers, log_widths),
        )
        self._take_output(found)

    def _take_output(self, found: OutputLayer) -> None:
        if found.loss is not None:
            if not np.isfinite(found.loss):
                raise ValueError(f"{NON_FINITE} The loss is not finite. Scale the inputs.")
            self.loss_ = found.loss
        self.n_iter_ = found.n_iter
        self.coefs_, self.intercepts_ = found.weights, found.biases


class _OutputReport:
    """Tells callbacks of the iterations of the output layer as of those of the whole network."""

    def __init__(self, report: FitReport, centers: Array, log_widths: Array) -> None:
        self._report = report
        self._fixed = np.concatenate([centers.ravel(), log_widths]).astype(np.float64)
        self._n_centers = len(centers)

    def iteration(self, packed: Array, loss: float, n_iter: int) -> bool:
        """Tell; the network's packing has the penalized weights first and the biases last."""
        outputs = len(packed) // (self._n_centers + 1)
        weights, biases = np.split(packed, [outputs * self._n_centers])
        return self._report.iteration(np.concatenate([weights, self._fixed, biases]), loss, n_iter)


def _checked(network: RadialNetwork, n_features: int | None) -> list[Array]:
    """Return the fitted arrays, to which anything may have been assigned, as arrays of floats."""
    arrays = []
    for name, dimensions in (("centers_", 2), ("widths_", 1), ("coefs_", 2), ("intercepts_", 1)):
        array = as_floats(getattr(network, name, None), name)
        if array.ndim != dimensions or 0 in array.shape:
            raise ValueError(f"{name} must have {dimensions} dimensions, got shape {array.shape}.")
        arrays.append(array)
    centers, widths, weights, biases = arrays
    if not len(centers) == len(widths) == len(weights) or weights.shape[1:] != biases.shape:
        raise ValueError(
            "The shapes of centers_, widths_, coefs_ and intercepts_ do not fit together: "
            f"{', '.join(str(array.shape) for array in arrays)}."
        )
    if n_features is not None and centers.shape[1] != n_features:
        raise ValueError(
            f"X has {n_features} features, but centers_ has shape {centers.shape}: the network has "
            f"{centers.shape[1]} inputs."
        )
    if (widths <= 0).any():
        raise ValueError("widths_ must be above 0.")
    outputs = getattr(network, "n_outputs_", None)
    if hasattr(type(network), "predict_proba") and outputs != len(biases):
        raise ValueError(f"coefs_ has shape {weights.shape}, but n_outputs_ is {outputs!r}.")
    check_output_activation(network)
    return arrays


@parameter_group
class _Defaults(Training, RadialLayer):
    alpha: float = parameter(default=0.01)
    learning_rate_init: float = parameter(
        default=0.001,
        text="""Learning rate of the stochastic solvers, of 'sgd' the first. Centres move in a
            unit of about a width.""",
    )


@parameter_group
class _ClassifierParameters(ClassificationLoss, ClassWeights, _Defaults):
    early_stopping: bool = parameter(
        default=False,
        text="""Whether to hold out rows, stop when the score on them no longer improves, and
            return the weights of the best epoch. Rows are held out class by class, except of a
            multilabel target, or where a class has too few of them. Rows of sample weight 0 are
            left out. A warm start keeps the rows that were held out.
            None are where ``fit`` is given `X_val`. Centres are chosen among
            all rows, whose targets play no part in it.""",
    )


@with_parameters
class RBFClassifier(_ClassifierParameters, BaseClassifier, RadialNetwork):
    r"""Radial-basis-function network classifier.

    The output is a linear combination of Gaussian bumps around centres,

    .. math:: o = b + \sum_k w_k \exp\left(-\frac{|x - c_k|^2}{2 s_k^2}\right)

    with the softmax for more than two classes; two classes have one output, and each label of a
    multilabel target has its own, with the logistic function; every one of several columns of
    classes has a softmax. Training minimizes the cross-entropy, or another `loss`, and the L2
    penalty of the output weights, in three phases: centres by k-means and widths from their
    distances; the output layer, which is a convex problem for most losses; and then centres,
    widths and output layer together.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), or list of such
        Class labels; a list with those of each column for y with several columns of classes.
    out_activation_ : str
        'softmax' for more than two classes or several columns, else 'logistic'.
    {attributes}

    See Also
    --------
    RBFRegressor : The same for regression.
    MLPClassifier : Layers of sums instead of distances.

    Notes
    -----
    Features have to be scaled to be compared: a distance adds their squares. X has to be dense.

    References
    ----------
    {references}

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from nnjit import RBFClassifier
    >>> X, y = make_moons(200, noise=0.1, random_state=1)
    >>> model = RBFClassifier(20, random_state=1).fit(X, y)
    >>> model.centers_.shape, model.widths_.shape, model.coefs_.shape
    ((20, 2), (20,), (20, 1))
    >>> model.score(X, y) > 0.95
    True
    """


@parameter_group
class _RegressorParameters(_Defaults, RegressionLoss):
    loss: RegressionLossName = parameter(default="squared_error")


@with_parameters
class RBFRegressor(_RegressorParameters, BaseRegressor, RadialNetwork):
    r"""Radial-basis-function network regressor.

    The output is a linear combination of Gaussian bumps around centres,

    .. math:: o = b + \sum_k w_k \exp\left(-\frac{|x - c_k|^2}{2 s_k^2}\right)

    Training minimizes the loss and the L2 penalty of the output weights, in three phases: centres
    by k-means and widths from their distances; the output layer, which is a convex problem for
    most losses (a ridge regression for the squared error of an identity output); and then centres,
    widths and output layer together.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    out_activation_ : str
        `output_activation`, or if that is None the one of the loss.
    quantiles_ : ndarray of shape (n_quantiles,)
        Quantiles, of a network fitted by the quantile loss.
    {attributes}

    See Also
    --------
    RBFClassifier : The same for classification.
    MLPRegressor : Layers of sums instead of distances.

    Notes
    -----
    Features have to be scaled to be compared: a distance adds their squares. X has to be dense.

    References
    ----------
    {references}

    Examples
    --------
    >>> import numpy as np
    >>> from nnjit import RBFRegressor
    >>> X = np.linspace(0, 6, 100)[:, np.newaxis]
    >>> model = RBFRegressor(10, random_state=1).fit(X, np.sin(X[:, 0]))
    >>> model.score(X, np.sin(X[:, 0])) > 0.99
    True
    """
