"""Which rows are held out for early stopping, and how a later fit finds them again."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from nnjit._types import Array

# Training and validation rows.
Rows: TypeAlias = tuple[NDArray[np.intp], NDArray[np.intp]]

TOO_SMALL = (
    "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
)


class ValidationSplit:
    """A division of the rows 0..n-1 into training and validation rows.

    Parameters
    ----------
    validation : ndarray of int
        Numbers of the validation rows.
    n_samples : int
        Number of all rows.

    Notes
    -----
    It keeps one bit per row, not the row numbers, so that a pickled estimator stays small.
    """

    def __init__(self, validation: NDArray[np.intp], n_samples: int) -> None:
        self.n_samples = n_samples
        mask = np.zeros(self.n_samples, dtype=bool)
        mask[validation] = True
        self._bits = np.packbits(mask)

    def _mask(self) -> NDArray[np.bool_]:
        """Return which rows are held out."""
        return np.unpackbits(self._bits, count=self.n_samples).astype(bool)

    def rows(self, sample_weight: Array | None = None) -> Rows:
        """Return the training and the validation rows, each in ascending order.

        Rows of weight 0 are left out.

        Raises
        ------
        ValueError
            If that leaves no training row or less than two validation rows.
        """
        mask = self._mask()
        if sample_weight is None:
            return np.flatnonzero(~mask), np.flatnonzero(mask)
        counts = sample_weight != 0
        training, validation = np.flatnonzero(~mask & counts), np.flatnonzero(mask & counts)
        if len(training) < 1 or len(validation) < 2:
            raise ValueError(
                f"Only {len(training)} training rows and {len(validation)} of the rows that the "
                "last fit held out have a weight other than 0. Give more of them a weight, or "
                "call fit with warm_start=False."
            )
        return training, validation


class HeldOutRuns(ValidationSplit):
    """A division in which runs of rows that follow one another are held out.

    Parameters
    ----------
    runs : ndarray of int64, shape (n_runs, 2)
        First row of each, and the one behind its last.
    n_samples : int
        Number of all rows.
    """

    def __init__(self, runs: NDArray[np.int64], n_samples: int) -> None:
        self.runs, self.n_samples = runs, n_samples

    def _mask(self) -> NDArray[np.bool_]:
        mask = np.zeros(self.n_samples, dtype=bool)
        for first, last in self.runs:
            mask[first:last] = True
        return mask


def split_rows(
    n_samples: int,
    fraction: float,
    rng: np.random.RandomState,
    *,
    labels: Array | None = None,
    sample_weight: Array | None = None,
) -> Rows:
    """Draw the validation rows by scikit-learn's `train_test_split`.

    Parameters
    ----------
    n_samples : int
        Number of rows.
    fraction : float
        Share of rows to hold out.
    rng : numpy.random.RandomState
        Advanced by the draw.
    labels : ndarray of shape (n_samples,) or None
        Classes by which to stratify. Where that is impossible (a class of one row, fewer
        validation rows than classes), rows are split as they come.
    sample_weight : ndarray of shape (n_samples,) or None
        Rows of weight 0 are left out, as if they were not there.

    Returns
    -------
    training, validation : ndarray of int

    Raises
    ------
    ValueError
        If there are fewer than two validation rows, or no training row.
    """
    rows = np.arange(n_samples)
    if sample_weight is not None:
        rows = np.flatnonzero(sample_weight)
        labels = None if labels is None else labels[rows]
        if len(rows) < n_samples and fraction * len(rows) <= 1:
            raise ValueError(
                f"{TOO_SMALL} Only {len(rows)} of the {n_samples} rows have a weight other than 0."
            )

    def draw(stratify: Array | None) -> Any:
        return train_test_split(rows, random_state=rng, test_size=fraction, stratify=stratify)

    if labels is None:
        training, validation = draw(None)
    else:
        try:
            training, validation = draw(labels)
        except ValueError:
            # It fails before it draws, so the generator is where it was.
            training, validation = draw(None)
            if len(validation) < 2:  # scikit-learn's reason, then
                raise
    if len(validation) < 2:
        raise ValueError(TOO_SMALL)
    return training, validation
