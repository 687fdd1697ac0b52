"""Networks that classify: labels in, probabilities and labels out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target

from nnjit._types import Array, FloatArray, MatrixLike
from nnjit.estimators._base import NetworkEstimator
from nnjit.estimators._device import as_given, host_target, to_host
from nnjit.estimators._labels import (
    check_encoding,
    check_known_classes,
    decode,
    encode,
    encode_known,
    explaining,
    fit_binarizer,
)
from nnjit.estimators._methods import checks_parameters, for_stochastic_solvers
from nnjit.estimators._prediction import refuse_overflow
from nnjit.estimators._rollback import unchanged_on_error
from nnjit.estimators._validation import flattened_column, validate_training_data
from nnjit.training.engine import Engine
from nnjit.training.scoring import ClassAccuracy, LabelAccuracy


class NetworkClassifier(ClassifierMixin, NetworkEstimator):
    """What a network does as a classifier; see `NetworkEstimator` for what else it needs.

    More than two classes have a softmax output, two have one logistic output, and so has each
    label of a multilabel target.
    """

    classes_: Array
    _label_binarizer: Any
    loss = "log_loss"

    # Targets

    def _check_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X, y = validate_training_data(self, X, y, reset=reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = flattened_column(y)
        if not hasattr(self, "classes_") or (not self.warm_start and not incremental):
            self._label_binarizer = fit_binarizer(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            check_encoding(getattr(self, "_label_binarizer", None), self.classes_)
            self.classes_ = np.asarray(self.classes_)
            check_known_classes(y, self.classes_, all_present=self.warm_start)
        return X, encode(self._label_binarizer, y)

    def _check_validation_target(self, y: Any) -> Array:
        return encode_known(self._label_binarizer, y, "y_val")

    def _output_activation(self) -> str:
        return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    def _output_count(self, target: Array) -> int:
        return len(self.classes_) if target.ndim == 1 else target.shape[1]

    def _stratification(self, target: Array) -> Array | None:
        if target.ndim == 1:
            labels: Array = self._label_binarizer.classes_[target]
            return labels
        # As text: where no split is possible, scikit-learn's message names the sparse class so.
        return np.where(target[:, 0], "True", "False") if target.shape[1] == 1 else None

    def _make_score(self, target: Array, sample_weight: Array | None) -> Callable[[Array], float]:
        if len(self.classes_) == 1:
            return lambda output: 1.0  # which is predicted whatever the output
        accuracy = ClassAccuracy if target.ndim == 1 else LabelAccuracy
        return accuracy(target, sample_weight)

    # Public methods

    @for_stochastic_solvers
    @checks_parameters
    def partial_fit(
        self,
        X: MatrixLike,
        y: MatrixLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> Self:
        """Train for one epoch on X and y, going on from the weights that are there.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row in the loss; all 1 if None.
        classes : array-like of shape (n_classes,), default=None
            All classes that any call will see. Needed by the first call.

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
        y, classes = host_target(y), host_target(classes)
        with unchanged_on_error(self):
            with explaining(classes, "classes"):
                first = _check_partial_fit_first_call(self, classes)
            if first:
                with explaining(y):
                    multilabel = type_of_target(y).startswith("multilabel")
                self._label_binarizer = fit_binarizer(y if multilabel else classes)
            return self._fit(X, y, sample_weight=sample_weight, incremental=True)

    def predict(self, X: MatrixLike) -> Array:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict, in the precision of the network.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels)
            Class labels, or for a multilabel target zeros and ones (sparse if those of the fit
            were).

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X is invalid, has another number of columns than the rows fitted on, or a prediction
            overflows, or something was assigned that is no network.
        """
        _, rows, p = self._forward(X)
        binarizer = getattr(self, "_label_binarizer", None)
        labels: Array = as_given(decode(binarizer, to_host(p)), rows, X)
        return labels

    def score(self, X: MatrixLike, y: MatrixLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy of the predictions.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; all 1 if None.

        Returns
        -------
        score : float
            The accuracy; for a multilabel target the share of rows with every label right.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X or y is invalid.
        """
        return self._score_by(accuracy_score, X, y, sample_weight)

    def predict_proba(self, X: MatrixLike) -> FloatArray:
        """Return the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict, in the precision of the network.

        Returns
        -------
        p : ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`; rows sum to 1 unless the target is multilabel.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X is invalid, has another number of columns than the rows fitted on, or a prediction
            overflows, or something was assigned that is no network.
        """
        engine, rows, p = self._forward(X)
        if self.n_outputs_ == 1:
            p = self._both_probabilities(engine, rows, to_host(p))
        given: FloatArray = as_given(p, rows, X)
        return given

    def _both_probabilities(self, engine: Engine, X: Any, p: FloatArray) -> FloatArray:
        other = 1 - p
        lost = p == 1
        if self.out_activation_ == "logistic" and lost.any():
            # Here z is so large that 1 / (1 + exp(z)) is exp(-z) to the last bit.
            other[lost] = np.exp(-to_host(engine.predict(X, output="logits"))[lost])
        return np.hstack([other, p])

    def predict_log_proba(self, X: MatrixLike) -> FloatArray:
        """Return the logarithm of the probability of each class.

        Where a probability rounds to 0, its logarithm is computed from the logits z instead, as
        ``z - log(sum(exp(z)))`` or ``-log(1 + exp(-z))``, and so is finite, unless it is itself
        too large for the precision of the network, which is an error.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict, in the precision of the network.

        Returns
        -------
        log_p : ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X is invalid, has another number of columns than the rows fitted on, or a prediction
            overflows, or something was assigned that is no network.
        """
        engine, rows, p = self._forward(X)
        self._check_probabilities()
        p = to_host(p)
        if self.n_outputs_ == 1:
            p = self._both_probabilities(engine, rows, p)
        vanished = p < np.finfo(p.dtype).tiny
        if not vanished.any():
            certain: FloatArray = as_given(np.log(p, out=p), rows, X)
            return certain
        with np.errstate(over="ignore", invalid="ignore"):  # refused next
            log_p = self._log_p_from_logits(to_host(engine.predict(rows, output="logits")))
        np.log(p, out=log_p, where=~vanished)
        if not np.isfinite(log_p).all():
            refuse_overflow(self, engine, rows, log_p)
        given: FloatArray = as_given(log_p, rows, X)
        return given

    def _check_probabilities(self) -> None:
        """Refuse logarithms of outputs that `out_activation_`, assigned, makes no probabilities."""
        output = self.out_activation_
        if output != "logistic" and (output != "softmax" or self.n_outputs_ == 1):
            raise ValueError(
                f"The output of a network with out_activation_={output!r} and n_outputs_="
                f"{self.n_outputs_} is no probability whose logarithm could be returned."
            )

    def _log_p_from_logits(self, logits: FloatArray) -> FloatArray:
        if self.out_activation_ == "softmax":
            shifted: FloatArray = logits - logits.max(axis=1, keepdims=True)
            shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
            return shifted
        zero = logits.dtype.type(0)
        log_p = -np.logaddexp(zero, -logits)
        if self.n_outputs_ == 1:
            return np.hstack([-np.logaddexp(zero, logits), log_p])
        return log_p

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def __getattr__(name: str) -> Any:
    if name == "MLPClassifier":  # as older pickles have it
        from nnjit.estimators.mlp import MLPClassifier

        return MLPClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
