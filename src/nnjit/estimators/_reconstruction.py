"""How well a network gives rows back: errors beside the usual one of each feature, and R2."""

from __future__ import annotations

import numpy as np

from nnjit._types import Array, FloatArray

__all__ = ["ExplainedSquares", "error_scale", "explained", "scaled_errors", "squared_errors"]


# Least scale of a feature beside that of all: what hardly ever differs from what is expected
# must not outweigh all else.
_FLOOR = 0.1


def squared_errors(X: Array, reconstructed: Array) -> FloatArray:
    """Return (x - x')^2, in float64; 0 where X is NaN, behind the ends of series.

    Parameters
    ----------
    X, reconstructed : ndarray of shape (n_samples, n_features)
    """
    errors = np.subtract(reconstructed, X, dtype=np.float64)
    with np.errstate(over="ignore"):
        np.square(errors, out=errors)
    there = ~np.isnan(X)
    if not there.all():
        errors[~there] = 0.0
    return errors


def scaled_errors(X: Array, reconstructed: Array, scale: FloatArray) -> FloatArray:
    """Return the mean over the features of ((x - x') / scale)^2 for each row, in float64.

    What is NaN in X, behind the ends of series, does not count.

    Parameters
    ----------
    X, reconstructed : ndarray of shape (n_samples, n_features)
    scale : ndarray of shape (n_features,)
    """
    errors = squared_errors(X, reconstructed)
    with np.errstate(over="ignore"):
        errors /= np.square(scale)
    present = np.maximum((~np.isnan(X)).sum(axis=1), 1)
    return np.asarray(errors.sum(axis=1) / present)


def error_scale(squares: FloatArray, weight: FloatArray) -> FloatArray:
    """Return the root of each feature's mean squared error, at least a tenth of that of all.

    Parameters
    ----------
    squares, weight : ndarray of shape (n_features,)
        Weighted sums of the squared errors, and the weights that they belong to.
    """
    means = squares / np.where(weight > 0, weight, 1.0)
    least = _FLOOR**2 * squares.sum() / weight.sum()
    found: FloatArray = np.sqrt(np.maximum(means, least))
    return np.where(found > 0, found, 1.0)


def explained(
    X: Array, reconstructed: Array, mean: FloatArray, sample_weight: Array | None
) -> float:
    r"""Return the share of the squared distances from a mean that is given back.

    .. math:: 1 - \sum_i w_i |x_i - x_i'|^2 / \sum_i w_i |x_i - \bar x|^2

    It is NaN where a value is not finite, and where all rows are the mean 1 if they are given back
    exactly and else 0.
    """
    return ExplainedSquares(X, mean, sample_weight)(reconstructed)


class ExplainedSquares:
    """That share for rows that are known beforehand.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        NaN, behind the ends of series, does not count.
    mean : ndarray of shape (n_features,)
    sample_weight : ndarray of shape (n_samples,) or None
    """

    def __init__(self, X: Array, mean: FloatArray, sample_weight: Array | None) -> None:
        self.X = X
        self.sample_weight = sample_weight
        self.squares = self._sum(np.broadcast_to(mean, X.shape))

    def _sum(self, other: Array) -> float:
        """Return the sum of the squared differences from other rows."""
        by_row = squared_errors(self.X, other).sum(axis=1)
        weights = self.sample_weight
        return float(by_row.sum() if weights is None else by_row @ weights.astype(np.float64))

    def __call__(self, reconstructed: Array) -> float:
        """Return the share of `reconstructed`, shape (n_samples, n_features)."""
        if not np.isfinite(reconstructed).all():
            return float("nan")
        left = self._sum(reconstructed)
        if self.squares == 0.0:
            return 1.0 if left == 0.0 else 0.0
        return 1.0 - left / self.squares
