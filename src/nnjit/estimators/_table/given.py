"""Columns that the user says are categories."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnjit._types import Array
from nnjit.estimators._table.frames import Frame

__all__ = ["given_categories"]


def given_categories(categorical_features: Any, source: Frame) -> Array:
    """Return which columns the user says are categories, with scikit-learn's checks and words."""
    n_columns = source.n_columns
    is_given = np.zeros(n_columns, dtype=bool)
    if categorical_features is None:
        return is_given
    features = np.asarray(categorical_features)
    if features.size == 0:
        return is_given
    if features.dtype.kind not in ("i", "b", "U", "O"):
        raise ValueError(
            "categorical_features must be an array-like of bool, int or str, got: "
            f"{features.dtype.name}."
        )
    if features.dtype.kind == "O" and {type(feature) for feature in features.flat} != {str}:
        names = ", ".join(sorted({type(feature).__name__ for feature in features.flat}))
        raise ValueError(
            f"categorical_features must be an array-like of bool, int or str, got: {names}."
        )
    if features.dtype.kind in ("U", "O"):
        return _given_by_name(features.ravel().tolist(), source.names, is_given)
    if features.dtype.kind == "i":
        if features.max() >= n_columns or features.min() < 0:
            raise ValueError(
                "categorical_features set as integer indices must be in [0, n_features - 1]"
            )
        is_given[features] = True
        return is_given
    if features.shape != (n_columns,):
        raise ValueError(
            "categorical_features set as a boolean mask must have shape (n_features,), got: "
            f"{features.shape}"
        )
    return features


def _given_by_name(features: list[str], names: list[str] | None, is_given: Array) -> Array:
    if names is None:
        raise ValueError(
            "categorical_features should be passed as an array of integers or as a boolean mask "
            "when the model is fitted on data without feature names."
        )
    for feature in features:
        if feature not in names:
            raise ValueError(
                f"categorical_features has a item value {feature!r} which is not a valid feature "
                f"name of the training data. Observed feature names: {names}"
            )
        is_given[names.index(feature)] = True
    return is_given
