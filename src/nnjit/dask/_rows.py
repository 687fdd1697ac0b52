"""Rows of one part, checked on the worker that has them, and what others have to know of them."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import _check_sample_weight

from nnjit._types import Array
from nnjit.estimators._dates import refuse_dates
from nnjit.estimators._labels import explaining, fit_labels
from nnjit.estimators._validation import validate_training_data

__all__ = ["Facts", "Rows", "bytes_of", "check_rows", "facts_of"]


@dataclass(frozen=True, eq=False)
class Rows:
    """Checked rows of a part; all None where it has none."""

    X: Any
    y: Any
    weight: Array | None
    names: tuple[str, ...] | None  # of the features

    def __len__(self) -> int:
        return 0 if self.X is None else int(self.X.shape[0])

    def __sizeof__(self) -> int:  # which Dask goes by
        return bytes_of(self.X, self.y, self.weight)


class Facts(NamedTuple):
    """What the client learns of a part."""

    n_rows: int
    n_features: int
    single: bool  # float32
    names: tuple[str, ...] | None
    ndim: int  # of y
    # Of each column of y: its classes and how many rows each has, or its least and largest value.
    values: list[Array]
    counts: list[Array]
    weight: float  # of all rows together


def bytes_of(*arrays: Any) -> int:
    """Return the size of arrays, sparse matrices among them."""
    return 100 + sum(
        sum(getattr(one, name).nbytes for name in ("data", "indices", "indptr"))
        if sp.issparse(one)
        else getattr(one, "nbytes", 0)
        for one in arrays
    )


def check_rows(estimator: Any, number: int, X: Any, y: Any, weight: Any) -> Rows:
    """Return the rows of a part as scikit-learn would check them.

    Parameters
    ----------
    estimator : estimator
        With the parameters alone.
    number : int
        Of the part.
    X, y, weight
        Arrays or pandas objects; no weights if None.

    Raises
    ------
    TypeError, ValueError
        In scikit-learn's words, and if there are not as many rows in X as in y.
    """
    n_rows = X.shape[0]
    for name, other in (("y", y), ("sample_weight", weight)):
        if other is not None and len(other) != n_rows:
            raise ValueError(
                f"Part {number} of X has {n_rows} rows, but that of {name} has {len(other)}: the "
                "parts of both have to hold the same rows."
            )
    if not n_rows:
        return Rows(None, None, None, None)
    estimator = copy.copy(estimator)  # the same one may be another task's
    numeric = not hasattr(estimator, "predict_proba")
    X, y = validate_training_data(estimator, X, y, reset=True, y_numeric=numeric)
    if sp.issparse(y):
        y = y.toarray()
    if weight is not None:
        refuse_dates(weight, "sample_weight")
        weight = np.asarray(weight)
        # That no row of all has a weight is refused elsewhere.
        weight = _check_sample_weight(weight, X) if weight.any() else np.zeros(len(weight))
    names = getattr(estimator, "feature_names_in_", None)
    return Rows(X, y, weight, None if names is None else tuple(names))


def facts_of(rows: Rows, classes: bool) -> Facts:
    """Return what the client has to know of checked rows.

    Parameters
    ----------
    rows : Rows
    classes : bool
        Whether y has classes, not values.

    Raises
    ------
    TypeError, ValueError
        If y should have classes and has none.
    """
    if not len(rows):
        return Facts(0, 0, True, None, 0, [], [], 0.0)
    X, y = rows.X, rows.y
    columns = y.reshape(len(y), -1).T
    if classes:
        fit_labels(y)  # says what is no class
        with explaining(y):
            found = [np.unique(one, return_counts=True) for one in columns]
        values, counts = [one for one, _ in found], [count for _, count in found]
    else:
        values, counts = [np.array([one.min(), one.max()]) for one in columns], []
    weight = float(len(y)) if rows.weight is None else float(rows.weight.sum(dtype=float))
    return Facts(
        len(y), X.shape[1], X.dtype == np.float32, rows.names, y.ndim, values, counts, weight
    )
