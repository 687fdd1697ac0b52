"""Input and parameters that are valid as they are, found without scikit-learn's long way.

On a small network that way takes longer than the training. Whatever is not plainly valid goes
through scikit-learn, which finds the right words.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.validation import (
    _check_sample_weight,
    _check_y,
    assert_all_finite,
    check_array,
    check_consistent_length,
    column_or_1d,
    validate_data,
)

from nnjit._warnings import warn
from nnjit.estimators._dates import refuse_dates
from nnjit.rows._source import RowSource

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
# Elements up to which a scalar product is the quickest search for NaN; BLAS shares longer ones.
_FEW = 1024
# Keys of parameters found valid, and how many are remembered.
_VALID: set[tuple[Any, ...] | None] = set()
_REMEMBERED = 1000
_SIMPLE = frozenset({bool, int, float, str, tuple, type(None)})


def is_valid_if_finite(estimator: Any, X: Any) -> bool:
    """Return whether X, if finite, would pass scikit-learn's validation unchanged and silently.

    That is so for a plain two-dimensional float array with rows and the fitted number of
    columns, if the estimator is fitted and knows no feature names.
    """
    known = estimator.__dict__
    return "coefs_" in known and _has_fitted_columns(known, X)


def validate_training_data(
    estimator: Any, X: Any, y: Any, *, reset: bool, y_numeric: bool = False
) -> tuple[Any, Any]:
    """Return X and y as scikit-learn's `validate_data` would, which is asked unless both are plain.

    Parameters
    ----------
    estimator : object
        Gets `n_features_in_`, and `feature_names_in_` or none, if `reset`.
    X, y : array-like
    reset : bool
        Whether this is a fit from scratch; else X has to match the one before.
    y_numeric : bool, default=False
        Whether y has to be numbers, to which objects in it are converted.

    Raises
    ------
    TypeError
        If there are dates or durations where numbers belong.
    ValueError
        If the input is invalid.
    """
    if isinstance(X, RowSource):
        from nnjit.estimators._rows import validate_source

        return validate_source(estimator, X, y, reset=reset, y_numeric=y_numeric)
    if estimator._takes_arrays():
        return _validate_cases(estimator, X, y, reset, y_numeric)
    known = estimator.__dict__
    columns_fit = _is_float_matrix(X) if reset else _has_fitted_columns(known, X)
    if columns_fit and _is_plain_target(y, X.shape[0]) and all_finite(X):
        if reset:
            known.pop("feature_names_in_", None)
            estimator.n_features_in_ = X.shape[1]
        return X, y
    refuse_dates(X, "X")
    if y_numeric:
        refuse_dates(y, "y")
    X, y = validate_data(
        estimator,
        X,
        y,
        accept_sparse=estimator._accepted_sparse,
        multi_output=True,
        y_numeric=y_numeric,
        dtype=(np.float64, np.float32),
        reset=reset,
    )
    return X, checked_values(y) if y_numeric else y


def checked_values(y: Any, name: str = "y") -> Any:
    """Return a target that was checked as numbers for what scikit-learn's check leaves out.

    Texts become numbers, as they do there where they are objects. These are looked at there before
    they are numbers, which may be none or infinite.

    Raises
    ------
    TypeError
        If it is sparse.
    ValueError
        If a text is no number, or a number not finite.
    """
    if sp.issparse(y):
        check_array(y, input_name=name)  # refuses it
    if y.dtype.kind in "USO":
        y = y.astype(object).astype(np.float64)
    if not all_finite(y):
        assert_all_finite(y, input_name=name)
    return y


def _validate_cases(
    estimator: Any, X: Any, y: Any, reset: bool, y_numeric: bool
) -> tuple[Any, Any]:
    """Return X, series or images in any form, as rows, and y."""
    refuse_no_target(estimator, y)
    if y_numeric:
        refuse_dates(y, "y")
    X = estimator._given_rows(X, reset, longer=False)
    if not _is_plain_target(y, len(X)):
        y = _check_y(y, multi_output=True, y_numeric=y_numeric, estimator=estimator)
        check_consistent_length(X, y)
        if y_numeric:
            y = checked_values(y)
    return X, y


def refuse_no_target(estimator: Any, y: Any) -> None:
    """Raise, in scikit-learn's words, if there is no y."""
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y "
            "is None."
        )


def flattened_column(y: Any) -> Any:
    """Return a target of one column as a vector, with scikit-learn's warning."""
    warn(
        "A column-vector y was passed when a 1d array was expected. Please change the shape of y "
        "to (n_samples, ), for example using ravel().",
        DataConversionWarning,
    )
    return column_or_1d(y)


def validate_sample_weight(sample_weight: Any, X: Any) -> Any:
    """Return checked weights of the rows X, or None for None.

    Raises
    ------
    TypeError
        If they are dates or durations.
    ValueError
        If they are invalid, or all 0.
    """
    if sample_weight is None:
        return None
    refuse_dates(sample_weight, "sample_weight")
    sample_weight = _check_sample_weight(sample_weight, X)
    refuse_all_zero(sample_weight)
    return sample_weight


def weights_of_rows(sample_weight: Any) -> Any:
    """Return the weight of each row, the sum of those of its points where they have some.

    None stands for rows that all have a weight; what it is does not matter where this is asked.
    """
    if sample_weight is None or sample_weight.ndim == 1:
        return sample_weight
    sums = sample_weight.sum(axis=1)
    return None if (sums > 0).all() else sums


def refuse_all_zero(sample_weight: Any) -> None:
    """Raise if no row has a weight, which scikit-learn does from 1.9 on."""
    if sample_weight is None:
        return
    weights = np.asarray(sample_weight)
    if weights.size and not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")


def _is_float_matrix(X: Any) -> bool:
    return type(X) is np.ndarray and X.ndim == 2 and X.dtype in _FLOATS and X.size > 0


def _has_fitted_columns(known: dict[str, Any], X: Any) -> bool:
    return (
        _is_float_matrix(X)
        and X.shape[1] == known.get("n_features_in_")
        and "feature_names_in_" not in known
    )


def _is_plain_target(y: Any, n_rows: int) -> bool:
    if type(y) is not np.ndarray or y.shape != (n_rows,):
        return False
    return y.dtype.kind in "iub" or (y.dtype in _FLOATS and all_finite(y))


def all_finite(array: Any) -> bool:
    """Whether all values are surely finite; a sum that overflows says no."""
    with np.errstate(over="ignore", invalid="ignore"):
        if array.size <= _FEW and array.flags.c_contiguous:
            values = array.reshape(-1)
            return math.isfinite(values.dot(values))
        return math.isfinite(array.sum())


def validate_parameters(estimator: Any, validate: Callable[[], None]) -> None:
    """Call `validate` unless these parameters have passed it before."""
    key = parameters_key(estimator)
    if key in _VALID:
        return
    validate()
    if key is not None:
        if len(_VALID) >= _REMEMBERED:
            _VALID.clear()
        _VALID.add(key)


def parameters_key(estimator: Any) -> tuple[Any, ...] | None:
    """Return what the validity of the parameters depends on, None where they are not all simple.

    Simple are numbers, texts and tuples: nothing that can change, or that equals something else
    that is not valid.
    """
    values = [getattr(estimator, name) for name in estimator._get_param_names()]
    kinds = tuple([type(value) for value in values])
    if not _SIMPLE.issuperset(kinds):
        return None
    key = (type(estimator), kinds, *values)
    try:
        hash(key)
    except TypeError:  # a tuple of lists or arrays
        return None
    return key
