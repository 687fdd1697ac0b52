"""Networks that are fitted to values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_array, check_is_fitted

from nnjit._types import Array, FloatArray, MatrixLike, OutputName, names
from nnjit.estimators._arrays import to_dtype
from nnjit.estimators._base import NetworkEstimator
from nnjit.estimators._dates import refuse_dates
from nnjit.estimators._device import to_host
from nnjit.estimators._methods import checks_parameters, for_stochastic_solvers
from nnjit.estimators._rollback import unchanged_on_error
from nnjit.estimators._validation import checked_values, flattened_column, validate_training_data
from nnjit.formulas import (
    LOSSES,
    default_output,
    find_loss,
    losses_of,
    outputs_of,
    regression_losses,
)
from nnjit.training.quantiles import (
    checked_quantiles,
    columns_of_interval,
    score_of_values,
    uncrossed,
)
from nnjit.training.scoring import R2, D2Pinball


class BaseRegressor(RegressorMixin, NetworkEstimator):
    """What a network does as a regressor; see `NetworkEstimator` for what else it needs.

    The loss, `loss`, says which output activation it has where none is asked for.
    """

    loss: Any
    quantile: Any
    output_activation: Any
    quantiles_: FloatArray  # of a network fitted by the quantile loss alone

    # Targets

    def _check_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X, y = validate_training_data(self, X, y, reset=reset, y_numeric=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = flattened_column(y)
        if y.ndim == 1:
            y = y[:, np.newaxis]
        y = to_dtype(y, X.dtype if reset else self._parameter_dtype(), "y")
        self._check_domain(y)
        self._take_quantiles(y.shape[1])
        return X, y

    def _take_quantiles(self, columns: int) -> None:
        """Set the quantiles that are fitted, if the loss has any."""
        if self.loss != "quantile":
            self.__dict__.pop("quantiles_", None)
            return
        quantiles = checked_quantiles(self.quantile)
        if len(quantiles) > 1 and columns > 1:
            raise ValueError(
                f"Several quantiles need y of one column, got {columns} columns and "
                f"quantile={self.quantile!r}."
            )
        self.quantiles_ = quantiles

    def _check_validation_target(self, y: Any, X: Any) -> Array:
        refuse_dates(y, "y_val")
        y = check_array(y, ensure_2d=False, dtype=None, input_name="y_val", estimator=self)
        y = checked_values(y, "y_val")
        y = y[:, np.newaxis] if y.ndim == 1 else y
        target: Array = y if y.dtype.kind == "f" else y.astype(np.float64)
        self._check_domain(target, "y_val")
        return target

    def _check_domain(self, y: Array, name: str = "y") -> None:
        output = self._output_activation()
        if output not in outputs_of(self.loss):
            offered = names(OutputName)
            outputs = [name for name in outputs_of(self.loss) if name in offered]
            losses = [name for name in losses_of(output) if name in regression_losses()]
            raise ValueError(
                f"loss={self.loss!r} does not go with output_activation={output!r}: it goes with "
                f"{outputs}, and {output!r} goes with {losses}."
            )
        domain = find_loss(self.loss, output).domain
        if domain is not None and not domain.holds(y).all():
            raise ValueError(
                f"loss={self.loss!r} needs {domain.text}, but {name} has {domain.outside}."
            )

    def _output_activation(self) -> str:
        if self.loss not in regression_losses():  # changed since a fit that checked it
            self._validate_params()
        if self.output_activation is not None:
            asked: str = self.output_activation
            return asked
        return default_output(self.loss)

    def _output_count(self, target: Array) -> int:
        if self.loss == "quantile" and len(self.quantiles_) > 1:
            return len(self.quantiles_)
        return int(target.shape[-1])

    def _stratification(self, target: Array) -> Array | None:
        return None

    def _make_score(self, target: Array, sample_weight: Array | None) -> Callable[[Array], float]:
        if self.loss == "quantile":
            return D2Pinball(target, sample_weight, self.quantiles_)
        return R2(target, sample_weight)

    # Public methods

    @for_stochastic_solvers
    @checks_parameters
    def partial_fit(
        self, X: MatrixLike, y: MatrixLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train for one epoch on X and y, going on from the weights that are there.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Target values.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row in the loss; all 1 if None.

        Returns
        -------
        self : object
            This estimator, fitted.

        Raises
        ------
        ValueError
            If the input is invalid, or the loss is no longer finite. The estimator is then as it
            was before the call.
        """
        with unchanged_on_error(self):
            return self._fit(X, y, sample_weight=sample_weight, incremental=True)

    def predict(self, X: MatrixLike) -> FloatArray:
        """Return the network's output for each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict, in the precision of the network.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Values, or expected counts for the Poisson loss. Of several quantiles a column each,
            in the order of `quantiles_`; the values of a row are sorted so that a higher quantile
            is nowhere below a lower one. With values for each point of a series the shape is
            (n_samples, time[, n_outputs]), or it is a list, see there.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X is invalid, has another number of columns than the rows fitted on, or a prediction
            overflows, or something was assigned that is no network.
        """
        _, rows, output = self._forward(X)
        quantiles = self.__dict__.get("quantiles_", ())
        if len(quantiles) > 1:
            output = uncrossed(to_host(output), quantiles)
        output = output.ravel() if output.shape[1] == 1 else output
        given: FloatArray = self._returned(output, rows, X)
        return given

    def predict_interval(self, X: MatrixLike, coverage: float) -> FloatArray:
        """Return the interval in which a share of the values is expected for each row.

        Its ends are the quantiles (1 - coverage) / 2 and (1 + coverage) / 2, which have to be
        among those that the network was fitted to by ``loss='quantile'``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict, in the precision of the network.
        coverage : float
            Share of the values inside, above 0 and below 1.

        Returns
        -------
        interval : ndarray of shape (n_samples, 2)
            Lower and upper end.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If the network has no such quantiles, or X is invalid.

        Examples
        --------
        >>> import numpy as np
        >>> from nnjit import MLPRegressor
        >>> X = np.linspace(0, 1, 200)[:, np.newaxis]
        >>> y = X[:, 0] + np.random.default_rng(0).normal(scale=0.1, size=200)
        >>> model = MLPRegressor(
        ...     "quantile", quantile=[0.05, 0.5, 0.95], solver="lbfgs", max_iter=20, tol=1e-2,
        ...     random_state=0,
        ... )
        >>> model.fit(X, y).predict_interval(X[:3], coverage=0.9).shape
        (3, 2)
        """
        check_is_fitted(self)
        quantiles = self.__dict__.get("quantiles_")
        if quantiles is None:
            raise ValueError(
                "predict_interval needs a network that was fitted by loss='quantile' to several "
                f"quantiles; loss is {self.loss!r}."
            )
        low, high = columns_of_interval(quantiles, coverage)
        predicted: Any = self.predict(X)
        if isinstance(predicted, list):  # of series, with a value for each point
            return [one[..., [low, high]] for one in predicted]  # type: ignore[return-value]
        interval: FloatArray = predicted[..., [low, high]]
        return interval

    def score(self, X: MatrixLike, y: MatrixLike, sample_weight: ArrayLike | None = None) -> float:
        """Return R2 of the predictions, or D2 of a quantile network.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Target values.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; all 1 if None.

        Returns
        -------
        score : float
            The coefficient of determination; at most 1. Of a network fitted by
            ``loss='quantile'`` scikit-learn's `d2_pinball_score` at its quantile instead, the
            mean over several: the share of the quantile loss of a constant that is gone. With
            values for each point of a series points count, by the weights of their rows.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X or y is invalid.
        """
        refuse_dates(y, "y")
        return self._score_by(self._metric, X, y, sample_weight)

    def _metric(self, y: Any, predicted: Array, sample_weight: Any = None) -> float:
        return score_of_values(y, predicted, self.__dict__.get("quantiles_"), sample_weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        domains = [entry.domain for (name, _), entry in LOSSES.items() if name == self.loss]
        tags.target_tags.positive_only = any(
            domain is not None and not domain.holds(np.array([-1.0])).any() for domain in domains
        )
        return tags


def __getattr__(name: str) -> Any:
    if name == "MLPRegressor":  # as older pickles have it
        from nnjit.estimators.mlp import MLPRegressor

        return MLPRegressor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
