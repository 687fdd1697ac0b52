"""Weights of classes, as factors of the rows' weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils.class_weight import compute_class_weight

from nnjit._types import Array

__all__ = ["class_factors", "refuse_balanced"]


def refuse_balanced(class_weight: Any) -> None:
    """Raise, in the words of scikit-learn's SGD, if weights cannot be counted.

    Raises
    ------
    ValueError
    """
    found = class_weight if isinstance(class_weight, list) else [class_weight]
    for name in found:
        if isinstance(name, str):
            raise ValueError(
                f"class_weight '{name}' is not supported for partial_fit. In order to use "
                f"'balanced' weights, use compute_class_weight('{name}', classes=classes, y=y). "
                "In place of y you can use a large enough sample of the full training set target "
                "to properly estimate the class frequency distributions. Pass the resulting "
                "weights as the class_weight parameter."
            )


def class_factors(class_weight: Any, columns: Sequence[tuple[Array, Array]]) -> Array:
    """Return each row's product of the weights of its classes.

    The numbers are those of scikit-learn's `compute_sample_weight`, to the bit; but where the rows
    are some of all, weights of classes that are not among them are no error.

    Parameters
    ----------
    class_weight : dict, 'balanced' or list
        As the estimator has it, not None.
    columns : sequence of (ndarray, ndarray)
        Of each column of the target the classes, and the number of each row's class.

    Returns
    -------
    factors : ndarray of shape (n_samples,), float64

    Raises
    ------
    ValueError
        In scikit-learn's words, if there is not one for each column, or some class has none; or if
        a weight is not finite.
    """
    factors = [
        _of_classes(given, classes, rows)[rows]
        for given, (classes, rows) in zip(_each(class_weight, len(columns)), columns)
    ]
    return np.asarray(np.prod(factors, axis=0, dtype=np.float64))


def _each(class_weight: Any, count: int) -> list[Any]:
    """Return what is given for each column."""
    if count == 1 or isinstance(class_weight, str):
        return [class_weight] * count
    if not isinstance(class_weight, list):
        raise ValueError(
            "For multi-output, class_weight should be a list of dicts, or the string 'balanced'."
        )
    if len(class_weight) != count:
        raise ValueError(
            "For multi-output, number of elements in class_weight should match number of outputs. "
            f"Got {len(class_weight)} element(s) while having {count} outputs."
        )
    return class_weight


def _of_classes(class_weight: Any, classes: Array, rows: Array) -> Array:
    """Return the weight of each class."""
    if isinstance(class_weight, str):  # counted; a label of a multilabel target may be in all rows
        present = np.unique(rows)
        weights = np.ones(len(classes))
        weights[present] = compute_class_weight(class_weight, classes=present, y=rows)
    else:
        try:
            weights = compute_class_weight(class_weight, classes=classes, y=classes)
        except TypeError as error:
            raise ValueError(f"A weight in class_weight is no number: {error}.") from None
    if not np.isfinite(weights).all():
        raise ValueError(f"class_weight has a weight that is not finite: {class_weight}.")
    return np.asarray(weights)
