"""Networks that are fitted to values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_array

from nnjit._types import Array, FloatArray, MatrixLike
from nnjit.estimators._arrays import to_dtype
from nnjit.estimators._base import NetworkEstimator
from nnjit.estimators._dates import refuse_dates
from nnjit.estimators._device import as_given
from nnjit.estimators._methods import checks_parameters, for_stochastic_solvers
from nnjit.estimators._rollback import unchanged_on_error
from nnjit.estimators._validation import flattened_column, validate_training_data
from nnjit.formulas import find_loss, outputs_of
from nnjit.training.scoring import R2


class NetworkRegressor(RegressorMixin, NetworkEstimator):
    """What a network does as a regressor; see `NetworkEstimator` for what else it needs.

    The loss, `loss`, says which output activation it has.
    """

    # Targets

    def _check_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X, y = validate_training_data(self, X, y, reset=reset, y_numeric=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = flattened_column(y)
        if y.ndim == 1:
            y = y[:, np.newaxis]
        y = to_dtype(y, X.dtype if reset else self._parameter_dtype(), "y")
        self._check_domain(y)
        return X, y

    def _check_validation_target(self, y: Any) -> Array:
        refuse_dates(y, "y_val")
        y = check_array(y, ensure_2d=False, dtype="numeric", input_name="y_val", estimator=self)
        y = y[:, np.newaxis] if y.ndim == 1 else y
        target: Array = y if y.dtype.kind == "f" else y.astype(np.float64)
        self._check_domain(target, "y_val")
        return target

    def _check_domain(self, y: Array, name: str = "y") -> None:
        domain = find_loss(self.loss, self._output_activation()).domain
        if domain is not None and not domain.holds(y).all():
            raise ValueError(
                f"loss={self.loss!r} needs {domain.text}, but {name} has {domain.outside}."
            )

    def _output_activation(self) -> str:
        outputs = outputs_of(self.loss)
        if len(outputs) != 1:  # changed since a fit that checked it
            self._validate_params()
        (activation,) = outputs
        return activation

    def _output_count(self, target: Array) -> int:
        return int(target.shape[1])

    def _stratification(self, target: Array) -> Array | None:
        return None

    def _make_score(self, target: Array, sample_weight: Array | None) -> Callable[[Array], float]:
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
            Values, or expected counts for the Poisson loss.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X is invalid, has another number of columns than the rows fitted on, or a prediction
            overflows, or something was assigned that is no network.
        """
        _, rows, output = self._forward(X)
        given: FloatArray = as_given(output.ravel() if output.shape[1] == 1 else output, rows, X)
        return given

    def score(self, X: MatrixLike, y: MatrixLike, sample_weight: ArrayLike | None = None) -> float:
        """Return R2 of the predictions.

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
            The coefficient of determination; at most 1.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X or y is invalid.
        """
        refuse_dates(y, "y")
        return self._score_by(r2_score, X, y, sample_weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        domains = [find_loss(self.loss, output).domain for output in outputs_of(self.loss)]
        tags.target_tags.positive_only = any(
            domain is not None and not domain.holds(np.array([-1.0])).any() for domain in domains
        )
        return tags


def __getattr__(name: str) -> Any:
    if name == "MLPRegressor":  # as older pickles have it
        from nnjit.estimators.mlp import MLPRegressor

        return MLPRegressor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
