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
from nnjit.estimators._class_weight import class_factors, refuse_balanced
from nnjit.estimators._device import host_target, to_host
from nnjit.estimators._label_columns import (
    LabelColumns,
    are_columns,
    are_columns_of_classes,
    columns_of_classes,
    same_columns,
)
from nnjit.estimators._labels import (
    check_encoding,
    check_known_classes,
    decode,
    encode,
    encode_known,
    explaining,
    fit_binarizer,
    fit_labels,
)
from nnjit.estimators._methods import checks_parameters, for_stochastic_solvers
from nnjit.estimators._prediction import refuse_overflow
from nnjit.estimators._rollback import unchanged_on_error
from nnjit.estimators._validation import (
    flattened_column,
    validate_sample_weight,
    validate_training_data,
)
from nnjit.formulas import classification_losses
from nnjit.training.engine import Engine
from nnjit.training.scoring import ClassAccuracy, ColumnAccuracy, LabelAccuracy

# Entries of the losses that take smoothed labels. Of the log loss one of its own: where nothing is
# smoothed nothing is computed for it.
_SMOOTHED = {"log_loss": "smoothed_log_loss", "squared_error": "squared_error_of_classes"}


class BaseClassifier(ClassifierMixin, NetworkEstimator):
    """What a network does as a classifier; see `NetworkEstimator` for what else it needs.

    More than two classes have a softmax output, two have one logistic output, and so has each
    label of a multilabel target. Each of several columns of classes has a softmax of its own.
    """

    class_weight: Any  # declared by those that have it as a parameter
    classes_: Array  # a list of arrays for several columns, as are the probabilities
    _label_binarizer: Any

    # Targets

    def _check_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        self._check_loss()
        X, y = validate_training_data(self, X, y, reset=reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = flattened_column(y)
        return X, self._encoded(y, incremental)

    def _encoded(self, y: Any, incremental: bool) -> Array:
        """Return validated labels as the engine takes them; a fit from scratch sets `classes_`."""
        if not hasattr(self, "classes_") or (not self.warm_start and not incremental):
            self._label_binarizer = fit_labels(y)
            self.classes_ = self._label_binarizer.classes_
            return encode(self._label_binarizer, y)
        check_encoding(getattr(self, "_label_binarizer", None), self.classes_)
        columns = self._label_columns()
        if columns is not None:
            columns.check(y, all_present=self.warm_start)
        else:
            self.classes_ = np.asarray(self.classes_)
            check_known_classes(y, self.classes_, all_present=self.warm_start)
        return encode(self._label_binarizer, y)

    def _loss_asked(self) -> tuple[Any, Any]:
        """Return loss and smoothing, which not every kind of network has as parameters."""
        return getattr(self, "loss", "log_loss"), getattr(self, "label_smoothing", 0.0)

    def _check_loss(self) -> None:
        loss, smoothing = self._loss_asked()
        if loss not in classification_losses():  # changed since a fit that checked it
            self._validate_params()
        if smoothing and loss not in _SMOOTHED:
            raise ValueError(
                f"label_smoothing={smoothing!r} does not go with loss={loss!r}, only with "
                f"{list(_SMOOTHED)}."
            )

    def _loss_name(self) -> str:
        loss, smoothing = self._loss_asked()
        return (_SMOOTHED if smoothing else classification_losses()).get(loss, "")

    def _label_columns(self) -> LabelColumns | None:
        """Return the classes of several columns of labels, None where there is one column."""
        found = getattr(self, "_label_binarizer", None)
        return found if isinstance(found, LabelColumns) else None

    def _loss_options(self) -> dict[str, Any]:
        columns = self._label_columns()
        return super()._loss_options() | ({} if columns is None else {"groups": columns.sizes})

    def _check_validation_target(self, y: Any, X: Any) -> Array:
        return encode_known(self._label_binarizer, y, "y_val")

    def _output_activation(self) -> str:
        return "softmax" if self._label_binarizer.y_type_.startswith("multiclass") else "logistic"

    def _row_weights(self, X: Any, target: Array, sample_weight: Array | None) -> Array | None:
        class_weight = getattr(self, "class_weight", None)  # not every network has it
        if class_weight is None:
            return sample_weight
        return self._weighed(
            class_factors(class_weight, self._class_numbers(target)), sample_weight
        )

    def _weighed(self, factors: Array, sample_weight: Array | None) -> Array:
        """Return the products of weights and what `class_weight` makes of each; not all are 0."""
        weights = factors if sample_weight is None else sample_weight * factors
        if not weights.any():
            raise ValueError(
                "Sample weights must contain at least one non-zero number, and with "
                f"class_weight={self.class_weight} there is none left."
            )
        return np.asarray(weights)

    def _class_numbers(self, target: Array) -> list[tuple[Array, Array]]:
        """Return the classes, and each row's number of one, for every column of the target."""
        numbers = target.astype(np.intp, copy=False).reshape(len(target), -1).T
        columns = self._label_columns()
        if columns is not None:
            return list(zip(columns.classes_, numbers))
        if len(numbers) > 1:
            return [(np.array([0, 1]), label) for label in numbers]
        return [(self._label_binarizer.classes_, numbers[0])]

    def _output_count(self, target: Array) -> int:
        columns = self._label_columns()
        if columns is not None:
            return sum(columns.sizes)
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
        columns = self._label_columns()
        if columns is not None:
            return ColumnAccuracy(target, columns.sizes, sample_weight)
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
        y : array-like of shape (n_samples,), (n_samples, n_labels) or (n_samples, n_columns)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row in the loss; all 1 if None.
        classes : array-like of shape (n_classes,), or list of such, default=None
            All classes that any call will see, in a list with one array for each column if y
            has several columns of classes. Needed by the first call.

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
            refuse_balanced(getattr(self, "class_weight", None))
            if self._label_columns() is not None or are_columns_of_classes(classes):
                self._announce_columns(classes)
            else:
                self._announce_classes(y, classes)
            return self._fit(X, y, sample_weight=sample_weight, incremental=True)

    def _announce_classes(self, y: Any, classes: Any) -> None:
        with explaining(classes, "classes"):
            first = _check_partial_fit_first_call(self, classes)
        if first:
            with explaining(y):
                multilabel = type_of_target(y).startswith("multilabel")
            if not multilabel and are_columns(y if hasattr(y, "ndim") else np.asarray(y)):
                raise ValueError(
                    "For y with several columns `classes` is a list with the classes of each "
                    f"column, got {classes!r}."
                )
            self._label_binarizer = fit_binarizer(y if multilabel else classes)

    def _announce_columns(self, classes: Any) -> None:
        if classes is None:
            return
        announced = columns_of_classes(classes)
        if getattr(self, "classes_", None) is None:
            self._label_binarizer = announced
            self.classes_ = self._label_binarizer.classes_
        elif not same_columns(announced.classes_, self.classes_):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: "
                f"{self.classes_!r}"
            )

    def predict(self, X: MatrixLike) -> Array:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict, in the precision of the network.

        Returns
        -------
        y : ndarray of shape (n_samples,), (n_samples, n_labels) or (n_samples, n_columns)
            Class labels, or for a multilabel target zeros and ones (sparse if those of the fit
            were). With a label for each point of a series the shape is (n_samples, time), or it
            is a list, see there.

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
        labels: Array = self._returned(decode(binarizer, to_host(p)), rows, X)
        return labels

    def score(self, X: MatrixLike, y: MatrixLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy of the predictions.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.
        y : array-like of shape (n_samples,), (n_samples, n_labels) or (n_samples, n_columns)
            Class labels, or one for each point of series, as ``fit`` takes them. One that the
            network does not know counts as wrong.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; all 1 if None.

        Returns
        -------
        score : float
            The accuracy; for a multilabel target, and for several columns of classes, the share of
            rows with every label right, and with a label for each point the share of the points.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X or y is invalid.
        """
        columns = self._label_columns()
        if columns is None:
            with explaining(y):
                return self._score_by(accuracy_score, X, y, sample_weight)

        def all_right(y: Any, predicted: Array, sample_weight: Any) -> float:
            correct = columns.correct(y, predicted)
            return float(
                np.average(correct, weights=validate_sample_weight(sample_weight, correct))
            )

        return self._score_by(all_right, X, y, sample_weight)

    def predict_proba(self, X: MatrixLike) -> FloatArray:
        """Return the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict, in the precision of the network.

        Returns
        -------
        p : ndarray of shape (n_samples, n_classes), or list of such
            Columns in the order of `classes_`; rows sum to 1 unless the target is multilabel. For
            y with several columns of classes a list, with one array for each. With a label for
            each point of a series (n_samples, time, n_classes), or a list, see there.

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
        given: FloatArray = self._by_column(self._returned(p, rows, X))
        return given

    def _by_column(self, p: Any) -> Any:
        """Return probabilities, or their logarithms, as they are, or those of each column."""
        columns = self._label_columns()
        return p if columns is None else columns.split(p)

    def _both_probabilities(self, engine: Engine, X: Any, p: FloatArray) -> FloatArray:
        other = 1 - p
        lost = p == 1
        if self.out_activation_ == "logistic" and lost.any():
            # Here z is so large that 1 / (1 + exp(z)) is exp(-z) to the last bit.
            other[lost] = np.exp(-self._logits(engine, X)[lost])
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
        log_p : ndarray of shape (n_samples, n_classes), or list of such
            Columns in the order of `classes_`; otherwise as `predict_proba` returns it.

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
            certain: FloatArray = self._by_column(self._returned(np.log(p, out=p), rows, X))
            return certain
        with np.errstate(over="ignore", invalid="ignore"):  # refused next
            log_p = self._log_p_from_logits(self._logits(engine, rows))
        np.log(p, out=log_p, where=~vanished)
        if not np.isfinite(log_p).all():
            refuse_overflow(self, engine, rows, log_p)
        given: FloatArray = self._by_column(self._returned(log_p, rows, X))
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
        columns = self._label_columns()
        if self.out_activation_ == "softmax" and columns is not None:
            return np.hstack([_log_softmax(part) for part in columns.split(logits)])
        if self.out_activation_ == "softmax":
            return _log_softmax(logits)
        zero = logits.dtype.type(0)
        log_p = -np.logaddexp(zero, -logits)
        if self.n_outputs_ == 1:
            return np.hstack([-np.logaddexp(zero, logits), log_p])
        return log_p

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.target_tags.multi_output = True
        return tags


def _log_softmax(logits: FloatArray) -> FloatArray:
    shifted: FloatArray = logits - logits.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


def __getattr__(name: str) -> Any:
    if name == "MLPClassifier":  # as older pickles have it
        from nnjit.estimators.mlp import MLPClassifier

        return MLPClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
