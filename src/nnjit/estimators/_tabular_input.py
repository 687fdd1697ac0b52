"""Tables as the user has them, checked in scikit-learn's words without being looked into."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import (
    _check_y,
    _num_features,
    _num_samples,
    check_array,
    check_consistent_length,
    validate_data,
)

from nnjit._types import Array
from nnjit.estimators._dates import refuse_dates
from nnjit.estimators._device import host_rows, host_target
from nnjit.estimators._validation import (
    checked_values,
    flattened_column,
    refuse_no_target,
    validate_sample_weight,
)

__all__ = ["checked_table", "checked_target", "checked_weights", "is_frame"]


def is_frame(X: Any) -> bool:
    """Whether this is a table with columns of types of their own."""
    return hasattr(X, "__dataframe__") or (hasattr(X, "columns") and hasattr(X, "dtypes"))


def checked_table(estimator: Any, X: Any, *, reset: bool, name: str = "X") -> Any:
    """Return X, an array or a frame, of the columns that the estimator knows or gets to know.

    Parameters
    ----------
    estimator : estimator
        Gets `n_features_in_`, and `feature_names_in_` or none, if `reset`.
    X : array-like or frame of shape (n_samples, n_features)
    reset : bool
        Whether this is a fit, which takes two rows at least.
    name : str
        What messages call it.

    Raises
    ------
    TypeError
        If it is sparse.
    ValueError
        If it is no table, empty, or of other columns than those of the fit.
    """
    if sp.issparse(X):
        raise TypeError(
            f"Sparse data was passed for {name}, but dense data is required: tables have columns "
            "of different kinds. Use X.toarray() where that fits into memory; MLPClassifier and "
            "MLPRegressor take sparse matrices as they are."
        )
    if hasattr(X, "collect") and not hasattr(X, "shape"):
        raise TypeError(
            f"A {type(X).__name__} was passed for {name}; call its method collect() first."
        )
    X, least = host_rows(X), 2 if reset else 1
    if is_frame(X):
        _refuse_few(estimator, X, least)
    else:
        X = check_array(
            _with_types(X),
            dtype=None,
            ensure_all_finite=False,
            ensure_min_samples=least,
            input_name=name,
            estimator=estimator,
        )
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    return X


def _with_types(X: Any) -> Any:
    """Return rows in lists as an array of objects where they are not numbers alone."""
    if not isinstance(X, list | tuple):
        return X
    try:
        array = np.asarray(X)
    except ValueError:  # rows of unequal length, for which there are words
        return X
    return np.array(X, dtype=object) if array.dtype.kind in "USO" else array


def _refuse_few(estimator: Any, X: Any, least: int) -> None:
    """Raise, in scikit-learn's words, if a frame has too few rows or no columns."""
    n_rows, n_columns = _num_samples(X), _num_features(X)
    whose = f" is required by {type(estimator).__name__}."
    if n_rows < least:
        raise ValueError(
            f"Found array with {n_rows} sample(s) (shape={(n_rows, n_columns)}) while a minimum of "
            f"{least}{whose}"
        )
    if n_columns < 1:
        raise ValueError(
            f"Found array with 0 feature(s) (shape={(n_rows, 0)}) while a minimum of 1{whose}"
        )


def checked_target(estimator: Any, y: Any, X: Any, *, values: bool) -> Array:
    """Return y, one column as a vector, checked as that of a network is.

    Parameters
    ----------
    estimator : estimator
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    X : array or frame
        Checked.
    values : bool
        Whether it has to be numbers.

    Raises
    ------
    TypeError
        If values are dates or durations.
    ValueError
        If it is invalid, or has not as many rows as X.
    """
    refuse_no_target(estimator, y)
    if values:
        refuse_dates(y, "y")
    y = _check_y(host_target(_plain(y)), multi_output=True, y_numeric=values, estimator=estimator)
    y = checked_values(y) if values else y
    check_consistent_length(X, y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = flattened_column(y)
    return np.asarray(y) if not sp.issparse(y) else y


def _plain(y: Any) -> Any:
    """Return what scikit-learn does not read of pandas' own types as it should.

    Integers and booleans, which it makes floats, stay such unless some are missing.
    """
    if getattr(y, "ndim", None) != 1 or not hasattr(y, "iloc"):
        return y
    values = y.to_numpy()
    if values.dtype.kind == "O" and str(y.dtype) == "boolean" and not y.isna().any():
        values = values.astype(bool)
    return values if values.dtype.kind in "iub" else y


def checked_weights(sample_weight: Any, X: Any) -> Array | None:
    """Return the weights of the rows of a table, None where all are 1."""
    rows = np.empty((_num_samples(X), 1))
    weights: Array | None = validate_sample_weight(host_target(sample_weight), rows)
    return weights
