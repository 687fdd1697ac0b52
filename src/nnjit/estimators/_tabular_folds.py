"""Which rows each of several members holds out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnjit._types import Array
from nnjit.training.validation import Rows

__all__ = ["folds"]

# Held-out rows that are enough to tell epochs apart; of a larger fold the others are trained on.
_ENOUGH = 50_000


def folds(
    rows: NDArray[np.intp],
    n_members: int,
    fraction: float,
    rng: np.random.RandomState,
    labels: Array | None,
) -> list[Rows]:
    """Return the training and the held-out rows of each member, in ascending order.

    The rows are dealt into folds, class by class, and each member holds out the next one. When all
    have been held out, they are dealt anew.

    Parameters
    ----------
    rows : ndarray of int
        Rows that there are; others are nobody's.
    n_members : int
    fraction : float
        Share of the rows in a fold; 0 for none.
    rng : numpy.random.RandomState
    labels : ndarray of shape (n_samples,) or None
        Classes. The row of a class that has no other is always trained on.
    """
    if fraction == 0 or len(rows) < 2:
        return [(rows, rows[:0])] * n_members
    n_folds = max(2, min(round(1 / fraction), len(rows)))
    found: list[Rows] = []
    for member in range(n_members):
        if member % n_folds == 0:
            numbers = _dealt(rows, n_folds, rng, labels)
        held_out = rows[numbers == member % n_folds]
        if len(held_out) > _ENOUGH:
            held_out = np.sort(rng.permutation(held_out)[:_ENOUGH])
        found.append((np.setdiff1d(rows, held_out, assume_unique=True), held_out))
    return found


def _dealt(rows: Array, n_folds: int, rng: np.random.RandomState, labels: Any) -> Array:
    """Return the number of each row's fold, -1 for rows of none."""
    order = rng.permutation(len(rows))
    numbers = np.empty(len(rows), dtype=np.intp)
    if labels is None:
        numbers[order] = np.arange(len(rows)) % n_folds
        return numbers
    _, classes, counts = np.unique(labels[rows], return_inverse=True, return_counts=True)
    alone = counts[classes] == 1
    # the largest class first: folds of few rows then have those that there are most of
    order = order[np.argsort(-counts[classes[order]], kind="stable")]
    order = order[np.argsort(classes[order], kind="stable")]
    order = order[~alone[order]]
    numbers[alone] = -1
    numbers[order] = np.arange(len(order)) % n_folds
    return numbers
