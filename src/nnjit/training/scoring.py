"""Scores of a network's output on validation rows that are known beforehand.

Each class does once what scikit-learn's metric functions do on every call (checks, encodings, the
denominator of R2), so that scoring after each epoch costs little more than the prediction. The
values equal those of `sklearn.metrics.accuracy_score` and `sklearn.metrics.r2_score`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnjit._types import Array


class ClassAccuracy:
    """Share of rows whose largest output is that of their class.

    Parameters
    ----------
    target : ndarray of int, shape (n_samples,)
        Class indices.
    sample_weight : ndarray of shape (n_samples,) or None
    """

    def __init__(self, target: Array, sample_weight: Array | None) -> None:
        self.target = target
        self.sample_weight = sample_weight

    def __call__(self, output: Array) -> float:
        """Return the score of `output`, shape (n_samples, n_classes)."""
        return float(np.average(output.argmax(axis=1) == self.target, weights=self.sample_weight))


class ColumnAccuracy:
    """Share of rows whose largest output among those of each column is that of their class.

    Parameters
    ----------
    target : ndarray of int, shape (n_samples, n_columns)
        Class indices.
    sizes : sequence of int
        Classes of each column, whose outputs follow one another.
    sample_weight : ndarray of shape (n_samples,) or None
    """

    def __init__(self, target: Array, sizes: Sequence[int], sample_weight: Array | None) -> None:
        self.target = target
        self.ends = np.cumsum(sizes)[:-1]
        self.sample_weight = sample_weight

    def __call__(self, output: Array) -> float:
        """Return the score of `output`, shape (n_samples, sum of the sizes)."""
        parts = np.split(output, self.ends, axis=1)
        chosen = np.stack([part.argmax(axis=1) for part in parts], axis=1)
        correct = (chosen == self.target).all(axis=1)
        return float(np.average(correct, weights=self.sample_weight))


class LabelAccuracy:
    """Share of rows in which every label is on the right side of 0.5.

    Parameters
    ----------
    target : ndarray of shape (n_samples, n_labels)
        Zeros and ones.
    sample_weight : ndarray of shape (n_samples,) or None
    """

    def __init__(self, target: Array, sample_weight: Array | None) -> None:
        self.target = target > 0.5
        self.sample_weight = sample_weight

    def __call__(self, output: Array) -> float:
        """Return the score of `output`, shape (n_samples, n_labels)."""
        correct = ((output > 0.5) == self.target).all(axis=1)
        return float(np.average(correct, weights=self.sample_weight))


class R2:
    r"""Coefficient of determination, averaged over the outputs.

    .. math:: 1 - \sum_i w_i (y_i - o_i)^2 / \sum_i w_i (y_i - \bar y)^2

    An output whose targets are all equal scores 1 if predicted exactly and 0 otherwise. A
    prediction that is not finite scores NaN. Computed in float64.

    Parameters
    ----------
    target : ndarray of shape (n_samples, n_outputs)
    sample_weight : ndarray of shape (n_samples,) or None
    """

    def __init__(self, target: Array, sample_weight: Array | None) -> None:
        self.target = target.astype(np.float64)
        self.weight: Any = (
            1.0 if sample_weight is None else sample_weight[:, None].astype(np.float64)
        )
        mean = np.average(self.target, axis=0, weights=sample_weight)
        self.denominator = (self.weight * (self.target - mean) ** 2).sum(axis=0)

    def __call__(self, output: Array) -> float:
        """Return the score of `output`, shape (n_samples, n_outputs)."""
        if not np.isfinite(output).all():
            return np.nan
        with np.errstate(over="ignore"):
            numerator = (self.weight * (self.target - output) ** 2).sum(axis=0)
        scores = np.where(numerator == 0.0, 1.0, 0.0)
        varies = self.denominator != 0.0
        scores[varies] = 1.0 - numerator[varies] / self.denominator[varies]
        return float(np.average(scores))
