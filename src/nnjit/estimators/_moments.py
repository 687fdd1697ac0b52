"""Number, mean and sum of squared differences from it, of rows that come in parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnjit._types import Array, FloatArray

__all__ = ["Moments", "moments_of", "scale_of", "together", "weighted_quantile"]

Moments = tuple[Any, Any, Any]

# Values that are looked at together, so that nothing as large as X is made on the way.
_BLOCK = 1 << 18


def moments_of(X: Array, sample_weight: Array | None = None) -> Moments:
    """Return weight, mean and weighted squares of each column, float64; NaN does not count.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    sample_weight : ndarray of shape (n_samples,) or None
        All 1 if None.
    """
    found = None
    step = max(1, _BLOCK // X.shape[1])
    for start in range(0, len(X), step):
        weights = None if sample_weight is None else sample_weight[start : start + step]
        part = _moments(X[start : start + step].astype(np.float64), weights)
        found = part if found is None else together(found, part)
    assert found is not None  # there is a row
    return found


def _moments(block: Array, sample_weight: Array | None) -> Moments:
    """Return those of a block, which is overwritten."""
    each: Any = np.ones(len(block)) if sample_weight is None else sample_weight.astype(np.float64)
    weight = np.full(block.shape[1], each.sum())
    there = ~np.isnan(block)
    if not there.all():
        weight = each @ there
        block[~there] = 0.0
    divisor = np.where(weight > 0, weight, 1.0)
    mean = each @ block / divisor
    block -= mean
    block[~there] = 0.0
    return weight, mean, each @ np.square(block, out=block)


def together(one: Moments, other: Moments) -> Moments:
    """Return number, mean and squares of both parts (Chan, Golub and LeVeque, 1983)."""
    (n, mean, squares), (m, other_mean, other_squares) = one, other
    total, difference = n + m, other_mean - mean
    divisor = np.where(total > 0, total, 1.0)
    squares = squares + other_squares + difference**2 * (n * m / divisor)
    return total, mean + difference * (m / divisor), squares


def scale_of(count: Array, mean: Array, variance: Array) -> FloatArray:
    """Return the standard deviation, 1 where it is nothing but rounding of a constant."""
    eps = np.finfo(np.float64).eps
    constant = variance <= count * eps * variance + (count * mean * eps) ** 2
    return np.where(constant, 1.0, np.sqrt(variance))


def weighted_quantile(values: Array, share: float, sample_weight: Array | None) -> float:
    """Return the value below which a share of the weight lies.

    Where that is so of a whole gap between two values, it is the middle of the gap. A value of
    weight two counts as twice that value.

    Parameters
    ----------
    values : ndarray of shape (n,)
    share : float
    sample_weight : ndarray of shape (n,) or None
    """
    weights = np.ones(len(values)) if sample_weight is None else sample_weight
    order = np.argsort(values, kind="stable")
    order = order[weights[order] > 0]
    sums = np.cumsum(weights[order], dtype=np.float64)
    wanted, slack = share * sums[-1], 1e-9 * sums[-1]
    last = len(order) - 1
    low = min(int(np.searchsorted(sums, wanted - slack)), last)
    high = min(int(np.searchsorted(sums, wanted + slack, side="right")), last)
    return float(values[order[low]] + values[order[high]]) / 2
