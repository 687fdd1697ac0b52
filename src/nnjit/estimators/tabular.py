"""Tables that just work: frames in, networks that are good without tuning."""

# Without `from __future__ import annotations`, so that help() shows the values in a Literal.
from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted

from nnjit._types import Array, FloatArray, MatrixLike
from nnjit.estimators._dates import refuse_dates
from nnjit.estimators._declaration import parameter_group, with_parameters
from nnjit.estimators._device import host_target
from nnjit.estimators._label_columns import LabelColumns
from nnjit.estimators._labels import decode, encode, encode_known, explaining, fit_labels
from nnjit.estimators._methods import checks_parameters
from nnjit.estimators._tabular import TabularEstimator
from nnjit.estimators._tabular_members import ClassMember, MemberFit, ValueMember
from nnjit.estimators._tabular_parameters import PredictedValues, TableRecipe
from nnjit.estimators._tabular_recipe import asked_recipe, presets_in_words
from nnjit.estimators._validation import flattened_column, validate_sample_weight
from nnjit.estimators._watching import Given
from nnjit.estimators.parameters import ClassWeights
from nnjit.training.quantiles import (
    checked_quantiles,
    columns_of_interval,
    score_of_values,
    uncrossed,
)

__all__ = ["TabularClassifier", "TabularRegressor"]

_SHARED = """
report_ : TableReport
    What the fit saw and did: `columns`, `members`, `recipe` and `seconds`; printed it is a text.
members_ : list of NetworkClassifier or NetworkRegressor
    The networks, of what became of the columns.
n_iter_ : int
    Most epochs of a member.
n_features_in_ : int
    Number of columns.
feature_names_in_ : ndarray of shape (n_features_in_,)
    Names of the columns, if all are strings.
"""
_NOTES = """
A fit first finds out what the columns hold. Numbers are scaled by their median and quartiles, and
large ones drawn in; of booleans, strings and categories come zeros and ones, of columns with many
categories learned vectors; dates become year, month, day of the week and the like. Missing cells
are the median, or no category, and a column that says so. Columns that tell nothing, constant ones
and those that only number the rows, are left out. `report_` says what became of each.

The members then are networks of nnjit.layers on these numbers, trained by AdamW: an embedding of
the numbers, a layer that weighs all inputs, and hidden layers in the neural tangent
parametrization, whose activations have a learned share if `parametric` asks for it. Each member has
a seed of its own, and holds out other rows than the ones before it, class by class; all epochs are
run, and the weights of the one with the least loss for these rows are kept. `early_stopping` as
scikit-learn has it would end long before. What is predicted is the mean of the members. This is the
recipe of RealMLP [1]_ but for its number of epochs and its learned shares, and for label smoothing
and the choice of the epoch by the number of errors, which gave worse probabilities; with a mean of
networks, which gave better ones.

The presets, all of whose parts can be changed or switched off by parameters:
"""
_REFERENCES = """
.. [1] D. Holzmueller, L. Grinsztajn and I. Steinwart, "Better by default: strong pre-tuned MLPs and
   boosted trees on tabular data", NeurIPS 2024.
"""


def _docs(values: bool) -> dict[str, str]:
    """Return the texts that both docstrings have."""
    presets = presets_in_words(values)
    return {
        "attributes": _SHARED,
        "notes": _NOTES,
        "presets": presets,
        "references": _REFERENCES,
    }


@parameter_group
class _ClassifierParameters(ClassWeights, TableRecipe):
    pass


@with_parameters
class TabularClassifier(_ClassifierParameters, ClassifierMixin, TabularEstimator):
    r"""Classifier for tables as they are: mixed columns, missing cells, no scaling, no tuning.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), or list of such
        Class labels; a list with those of each column for y with several columns of classes.
    {attributes}

    See Also
    --------
    TabularRegressor : The same for regression.
    MLPClassifier : One network, of numbers that are scaled already.

    Notes
    -----
    {notes}

    {presets}

    References
    ----------
    {references}

    Examples
    --------
    >>> import numpy as np
    >>> from nnjit import TabularClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = np.array([rng.normal(size=200), rng.choice(["ape", "bee"], 200)], dtype=object).T
    >>> y = np.where((X[:, 0] > 0) == (X[:, 1] == "ape"), "yes", "no")
    >>> model = TabularClassifier("fast", random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.9
    True
    """

    _shared_docs = _docs(values=False)
    _member_class = ClassMember
    _predicts_values = False
    classes_: Array
    _label_binarizer: Any

    # Targets

    def _take_target(self, y: Array, sample_weight: Array | None) -> Array:
        self._label_binarizer = fit_labels(y)
        self.classes_ = self._label_binarizer.classes_
        return y

    def _given_target(self, y: Any, X: Any) -> Array:
        encode_known(self._label_binarizer, host_target(y), "y_val")  # refuses what is none
        return y  # type: ignore[no-any-return]

    def _member_options(self) -> dict[str, Any]:
        return {"class_weight": self.class_weight}

    def _stratification(self, target: Array) -> Array | None:
        encoded = encode(self._label_binarizer, target)
        return encoded.ravel() if encoded.ndim == 1 or encoded.shape[1] == 1 else None

    def _columns(self) -> LabelColumns | None:
        """Return the classes of several columns of labels, None where there is one column."""
        found = self._label_binarizer
        return found if isinstance(found, LabelColumns) else None

    # Public methods

    @checks_parameters
    def fit(
        self,
        X: MatrixLike,
        y: MatrixLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: MatrixLike | None = None,
        y_val: MatrixLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Find out what the columns are, and train the networks.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Training rows: a frame of pandas, polars or Arrow, an array, or a list of rows. Cells
            may be numbers, strings, booleans, dates, categories, or missing.
        y : array-like of shape (n_samples,) or (n_samples, n_columns)
            Class labels; several columns are a multilabel indicator, if of two numbers, or classes
            of their own each.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row in the loss; all 1 if None. Rows of weight 0 are not looked at.
        X_val : frame or array-like of shape (n_val, n_features), default=None
            Rows to find the best epoch by, in place of rows held out by each member.
        y_val : array-like of shape (n_val,) or (n_val, n_columns), default=None
            Their class labels.
        sample_weight_val : array-like of shape (n_val,), default=None
            Their weights; all 1 if None.

        Returns
        -------
        self : object
            This estimator, fitted.

        Raises
        ------
        TypeError
            If X is sparse.
        ValueError
            If the input is invalid.

        Notes
        -----
        After an error the estimator is as it was before the call.
        """
        return self._fit_table(X, y, sample_weight, Given(X_val, y_val, sample_weight_val))

    def predict(self, X: MatrixLike) -> Array:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Rows to predict, with the columns of the fit.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_columns)
            Class labels, or for a multilabel target zeros and ones.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X is invalid or has other columns than the rows fitted on.
        """
        outputs = self._mean_outputs(self._rows(X))
        if len(self.classes_) == 1:
            return np.repeat(self.classes_, len(outputs))
        labels: Array = decode(self._label_binarizer, outputs)
        return labels

    def predict_proba(self, X: MatrixLike) -> Any:
        """Return the probability of each class.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Rows to predict, with the columns of the fit.

        Returns
        -------
        p : ndarray of shape (n_samples, n_classes), or list of such
            Mean of the members' probabilities, columns in the order of `classes_`; rows sum to 1
            unless the target is multilabel. For y with several columns of classes a list, with one
            array for each.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X is invalid or has other columns than the rows fitted on.
        """
        return self._probabilities(self._rows(X))

    def _probabilities(self, rows: FloatArray) -> Any:
        p, columns = self._mean_outputs(rows), self._columns()
        if columns is not None:
            return [_summing_to_one(part) for part in columns.split(p)]
        if self._label_binarizer.y_type_.startswith("multilabel"):
            return p
        if len(self.classes_) == 1:
            return np.ones((len(p), 1))
        return np.hstack([1 - p, p]) if p.shape[1] == 1 else _summing_to_one(p)

    def predict_log_proba(self, X: MatrixLike) -> Any:
        """Return the logarithm of the probability of each class.

        Where a probability is too small for a number, its logarithm comes from those of the
        members, and is finite.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Rows to predict, with the columns of the fit.

        Returns
        -------
        log_p : ndarray of shape (n_samples, n_classes), or list of such
            As `predict_proba` returns probabilities.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X is invalid or has other columns than the rows fitted on.
        """
        rows = self._rows(X)
        p = self._probabilities(rows)
        parts = p if isinstance(p, list) else [p]
        if all((part > _VANISHING).all() for part in parts):
            logs = [np.log(part) for part in parts]
        else:
            each = [member.predict_log_proba(rows) for member in self.members_]
            each = [one if isinstance(one, list) else [one] for one in each]
            logs = [_log_mean(part, members) for part, members in zip(parts, zip(*each))]
        return logs if isinstance(p, list) else logs[0]

    def score(self, X: MatrixLike, y: MatrixLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy of the predictions.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Rows to predict, with the columns of the fit.
        y : array-like of shape (n_samples,) or (n_samples, n_columns)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; all 1 if None.

        Returns
        -------
        score : float
            The accuracy; with several columns the share of rows with every label right.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X or y is invalid.
        """
        predicted, y, weights = self.predict(X), host_target(y), host_target(sample_weight)
        columns = self._columns()
        if columns is None:
            with explaining(y):
                return float(accuracy_score(y, predicted, sample_weight=weights))
        correct = columns.correct(y, predicted)
        return float(np.average(correct, weights=validate_sample_weight(weights, correct)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


# Probabilities below it have lost digits, as members' are float32.
_VANISHING = float(np.finfo(np.float32).tiny)


def _summing_to_one(p: FloatArray) -> FloatArray:
    """Return means of rows that summed to 1 but for rounding in float32, summing to 1."""
    whole: FloatArray = p / p.sum(axis=1, keepdims=True)
    return whole


def _log_mean(p: FloatArray, members: Any) -> FloatArray:
    """Return log(p) where p has all its digits, else the mean from the members' logarithms."""
    with np.errstate(divide="ignore"):
        log_p = np.log(p)
    exact = logsumexp(np.stack(members, dtype=np.float64), axis=0) - np.log(len(members))
    found: FloatArray = np.where(p > _VANISHING, log_p, exact)
    return found


@parameter_group
class _RegressorParameters(PredictedValues, TableRecipe):
    pass


@with_parameters
class TabularRegressor(_RegressorParameters, RegressorMixin, TabularEstimator):
    r"""Regressor for tables as they are: mixed columns, missing cells, no scaling, no tuning.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    quantiles_ : ndarray of shape (n_quantiles,)
        Quantiles, where `quantile` asks for some.
    {attributes}

    See Also
    --------
    TabularClassifier : The same for classification.
    MLPRegressor : One network, of numbers that are scaled already.

    Notes
    -----
    {notes}

    {presets}

    References
    ----------
    {references}

    Examples
    --------
    >>> import numpy as np
    >>> from nnjit import TabularRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = np.array([rng.normal(size=200), rng.choice(["ape", "bee"], 200)], dtype=object).T
    >>> y = np.where(X[:, 1] == "ape", X[:, 0] ** 2, 0.0).astype(float)
    >>> model = TabularRegressor("fast", random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.8
    True
    >>> model.predict_interval(X[:3], coverage=0.9).shape
    (3, 2)
    """

    _shared_docs = _docs(values=True)
    _member_class = ValueMember
    _predicts_values = True
    quantiles_: FloatArray
    _mean: FloatArray
    _scale: FloatArray
    _range: FloatArray
    _errors: FloatArray | None
    _shift: FloatArray  # of standardized outputs

    # Targets

    def _take_target(self, y: Array, sample_weight: Array | None) -> Array:
        values = y.reshape(len(y), -1).astype(np.float64)
        self.__dict__.pop("quantiles_", None)
        if self.quantile is not None:
            self.quantiles_ = checked_quantiles(self.quantile)
        counted = values if sample_weight is None else values[sample_weight != 0]
        self._range = np.stack([counted.min(axis=0), counted.max(axis=0)])
        unit = np.maximum(np.abs(self._range).max(axis=0), np.finfo(np.float64).tiny)
        scaled = values / unit  # squares of large numbers would overflow
        weights = None if sample_weight is None else np.abs(sample_weight)
        mean = np.average(scaled, axis=0, weights=weights)
        spread = np.sqrt(np.average((scaled - mean) ** 2, axis=0, weights=weights))
        width = self._range[1] / unit - self._range[0] / unit
        spread = np.where(width > 0, np.maximum(spread, _LEAST_SPREAD * width), 1.0)
        self._mean, self._scale = mean * unit, spread * unit
        self._vector = y.ndim == 1
        # as of the fit, whatever is set later
        self._clip = asked_recipe(self, True).clip_predictions
        return self._standardized(values)

    def _standardized(self, values: Array) -> Array:
        found: Array = ((values - self._mean) / self._scale).astype(np.float32)
        return found.ravel() if self._vector else found

    def _given_target(self, y: Any, X: Any) -> Array:
        refuse_dates(y, "y_val")
        y = host_target(y)
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y_val", estimator=self)
        check_consistent_length(X, y)
        y = flattened_column(y) if y.ndim == 2 and y.shape[1] == 1 else y
        columns = y.reshape(len(y), -1)
        if columns.shape[1] != len(self._mean):
            raise ValueError(f"y_val has {columns.shape[1]} columns, but y has {len(self._mean)}.")
        return self._standardized(columns)

    def _member_options(self) -> dict[str, Any]:
        if self.quantile is None:
            return {"loss": "squared_error"}
        return {"loss": "quantile", "quantile": self.quantile}

    def _stratification(self, target: Array) -> Array | None:
        return None

    def _take_outputs(self, fits: list[MemberFit], target: Array, validation: Given | None) -> None:
        """Learn from the errors of rows that members had not trained on."""
        self._errors, self._shift = None, np.zeros(1)
        seen = [fit for fit in fits if fit.outputs is not None]
        if not seen:
            return
        if validation is not None:
            mean = np.mean([fit.outputs for fit in seen], axis=0, dtype=np.float64)
            errors = validation.y.reshape(len(validation.y), -1) - mean
            weights = validation.sample_weight
        else:
            columns = target.reshape(len(target), -1)
            errors = np.vstack([columns[fit.rows[1]] - fit.outputs for fit in seen])
            weights = seen[0].data.sample_weight
            if weights is not None:
                weights = weights[np.concatenate([fit.rows[1] for fit in seen])]
        if self.quantile is not None:
            self._shift = _quantiles_of(errors, self.quantiles_, weights)
            return
        ends = np.linspace(0, 1, min(len(errors), _MOST_ERRORS))
        self._errors = np.quantile(errors, ends, axis=0, method="linear") * self._scale

    # Public methods

    @checks_parameters
    def fit(
        self,
        X: MatrixLike,
        y: MatrixLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: MatrixLike | None = None,
        y_val: MatrixLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Find out what the columns are, and train the networks.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Training rows: a frame of pandas, polars or Arrow, an array, or a list of rows. Cells
            may be numbers, strings, booleans, dates, categories, or missing.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Values.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row in the loss; all 1 if None. Rows of weight 0 are not looked at.
        X_val : frame or array-like of shape (n_val, n_features), default=None
            Rows to find the best epoch by, in place of rows held out by each member.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            Their values.
        sample_weight_val : array-like of shape (n_val,), default=None
            Their weights; all 1 if None.

        Returns
        -------
        self : object
            This estimator, fitted.

        Raises
        ------
        TypeError
            If X is sparse, or there are dates or durations in y.
        ValueError
            If the input is invalid.

        Notes
        -----
        After an error the estimator is as it was before the call.
        """
        return self._fit_table(X, y, sample_weight, Given(X_val, y_val, sample_weight_val))

    def predict(self, X: MatrixLike) -> FloatArray:
        """Return the value predicted for each row.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Rows to predict, with the columns of the fit.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Mean of the members' values. Of several quantiles a column each, in the order of
            `quantiles_`, which do not cross. Quantiles are moved so that as many of the rows held
            out lie below as they say.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X is invalid or has other columns than the rows fitted on.
        """
        outputs = self._mean_outputs(self._rows(X)) + self._shift
        values = outputs * self._scale + self._mean
        quantiles = self.__dict__.get("quantiles_", ())
        if len(quantiles) > 1:
            values = uncrossed(values, quantiles)
        if self._clip:
            values = np.clip(values, *self._range)
        return values.ravel() if values.shape[1] == 1 and self._vector else values

    def predict_interval(self, X: MatrixLike, coverage: float = 0.9) -> FloatArray:
        """Return the interval in which a share of the values is expected for each row.

        Of an estimator of quantiles its ends are the quantiles (1 - coverage) / 2 and
        (1 + coverage) / 2, which have to be among them. Else it is the prediction and these
        quantiles of the errors of the rows that members had held out: as wide for one row as for
        another. As the mean of several members is better than one, and the epoch was chosen by
        these rows, shares are near to `coverage`, not exact; so they are with quantiles.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Rows to predict, with the columns of the fit.
        coverage : float, default=0.9
            Share of the values inside, above 0 and below 1.

        Returns
        -------
        interval : ndarray of shape (n_samples, 2) or (n_samples, n_outputs, 2)
            Lower and upper end.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If there are no such quantiles, no rows were held out, or X is invalid.
        """
        check_is_fitted(self)
        quantiles = self.__dict__.get("quantiles_")
        if quantiles is not None:
            low, high = columns_of_interval(quantiles, coverage)
            ends: FloatArray = self.predict(X)[:, [low, high]]
            return ends
        if not isinstance(coverage, Real) or not 0 < coverage < 1:
            raise ValueError(f"coverage must be above 0 and below 1, got {coverage!r}.")
        if self._errors is None:
            raise ValueError(
                "predict_interval needs errors of rows that were held out: give fit X_val and "
                "y_val or take a validation_fraction above 0; or give quantile=(0.05, 0.5, 0.95)."
            )
        share, n = float(coverage), len(self._errors)
        # so that a further row is as likely anywhere between two of the errors
        places = np.clip(np.array([1 - share, 1 + share]) / 2 * (n + 1) - 1, 0, n - 1) / max(
            n - 1, 1
        )
        below, above = np.quantile(self._errors, places, axis=0)
        predicted = self.predict(X)
        return np.stack([predicted + np.squeeze(below), predicted + np.squeeze(above)], axis=-1)

    def score(self, X: MatrixLike, y: MatrixLike, sample_weight: ArrayLike | None = None) -> float:
        """Return R2 of the predictions, or D2 of quantiles.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Rows to predict, with the columns of the fit.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Values.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; all 1 if None.

        Returns
        -------
        score : float
            The coefficient of determination; of quantiles scikit-learn's `d2_pinball_score`, the
            mean over several.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X or y is invalid.
        """
        refuse_dates(y, "y")
        refuse_dates(sample_weight, "sample_weight")
        predicted, y, weights = self.predict(X), host_target(y), host_target(sample_weight)
        return score_of_values(y, predicted, self.__dict__.get("quantiles_"), weights)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        quantile: Any = self.quantile
        tags.target_tags.multi_output = np.size(quantile) < 2
        return tags


# Errors that are kept of those of all held-out rows: so many quantiles.
_MOST_ERRORS = 10_000
# Least unit of a target, in parts of its range: rows that hardly count may lie far from the others.
_LEAST_SPREAD = 1e-6


def _quantiles_of(errors: FloatArray, quantiles: FloatArray, weights: Any) -> FloatArray:
    """Return of each column its quantile: a further error is below it as often as it says."""
    n = len(errors)
    weights = np.ones(n) if weights is None else np.abs(np.asarray(weights, dtype=np.float64))
    found = np.empty(errors.shape[1])
    for column, quantile in enumerate(np.broadcast_to(quantiles, found.shape)):
        order = np.argsort(errors[:, column])
        shares = np.cumsum(weights[order])
        found[column] = np.interp(
            quantile, shares * (n / (n + 1) / shares[-1]), errors[order, column]
        )
    return found
