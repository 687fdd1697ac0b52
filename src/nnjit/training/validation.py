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
    training, validation : ndarray of int
        Row numbers, in the order in which they are used.

    Notes
    -----
    It keeps one bit per row, not the row numbers, so that a pickled estimator stays small.
    """

    def __init__(self, training: NDArray[np.intp], validation: NDArray[np.intp]) -> None:
        self.n_samples = len(training) + len(validation)
        mask = np.zeros(self.n_samples, dtype=bool)
        mask[validation] = True
        self._bits = np.packbits(mask)

    def rows(self) -> Rows:
        """Return the training and the validation rows, each in ascending order."""
        mask = np.unpackbits(self._bits, count=self.n_samples).astype(bool)
        return np.flatnonzero(~mask), np.flatnonzero(mask)


def split_rows(
    n_samples: int,
    fraction: float,
    rng: np.random.RandomState,
    *,
    labels: Array | None = None,
    stratify_or_fail: bool = False,
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
        Classes by which to stratify.
    stratify_or_fail : bool, default=False
        Whether labels by which the rows cannot be stratified (a class of one row, fewer
        validation rows than classes) are an error. Otherwise such rows are split as they come.

    Returns
    -------
    training, validation : ndarray of int

    Raises
    ------
    ValueError
        If there are fewer than two validation rows, or no training row, or stratification fails
        and `stratify_or_fail` is set.
    """
    rows = np.arange(n_samples)

    def draw(stratify: Array | None) -> Any:
        return train_test_split(rows, random_state=rng, test_size=fraction, stratify=stratify)

    if labels is None:
        training, validation = draw(None)
    else:
        try:
            training, validation = draw(labels)
        except ValueError:
            # It fails before it draws, so the generator is where it was.
            if stratify_or_fail:
                raise
            training, validation = draw(None)
    if len(validation) < 2:
        raise ValueError(TOO_SMALL)
    return training, validation
