"""The edges of a piecewise-linear encoding: quantiles of its training values."""

from __future__ import annotations

import numpy as np

from nnjit._types import Array

__all__ = ["choose_edges"]


def choose_edges(values: Array, bins: int, weights: Array | None = None) -> Array:
    """Return the edges of each column's bins.

    Parameters
    ----------
    values : ndarray of shape (n, features)
    bins : int
    weights : ndarray of shape (n,) or None
        Of the rows, above 0; all the same if None.

    Returns
    -------
    ndarray of shape (features, bins + 1)
        Ascending. They are the values with k / bins of the weight up to them, k from 0 to bins,
        each once, or all values if no more than bins + 1 differ. The last one is repeated.
    """
    edges = np.empty((values.shape[1], bins + 1), values.dtype)
    for column, row in zip(values.T, edges, strict=True):
        found = _edges(column, bins, weights)
        row[: len(found)], row[len(found) :] = found, found[-1]
    return edges


def _edges(column: Array, bins: int, weights: Array | None) -> Array:
    """Return the different edges of one column."""
    if weights is None:
        ordered = np.sort(column)
        places = -(-np.arange(1, bins + 1) * len(ordered) // bins) - 1
    else:
        order = np.argsort(column, kind="stable")
        ordered, total = column[order], np.cumsum(weights[order], dtype=np.float64)
        shares = np.arange(1, bins + 1) / bins * total[-1]
        # a sum of rounded weights may miss the share that it is
        places = np.searchsorted(total, shares * (1 - 1e-9)).clip(0, len(ordered) - 1)
    different = ordered[np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))]
    if len(different) <= bins + 1:
        return different
    return np.unique(ordered[np.append(0, places)])
