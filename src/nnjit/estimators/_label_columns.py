"""Labels in several columns of several classes each, as scikit-learn's trees take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils.multiclass import check_classification_targets, is_multilabel
from sklearn.utils.validation import check_array

from nnjit._types import Array
from nnjit.estimators._arrays import native

__all__ = [
    "LabelColumns",
    "are_columns",
    "are_columns_of_classes",
    "columns_of_classes",
    "fit_columns",
    "same_columns",
]


class LabelColumns:
    """The classes of each column; stands where scikit-learn's `LabelBinarizer` does for one.

    Parameters
    ----------
    classes : list of ndarray
        Sorted, those of each column.
    """

    y_type_ = "multiclass-multioutput"

    def __init__(self, classes: list[Array]) -> None:
        self.classes_ = classes

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of classes of each column."""
        return tuple(len(classes) for classes in self.classes_)

    def check(self, y: Any, *, all_present: bool) -> None:
        """Refuse labels of a later fit that are not those of the first.

        Parameters
        ----------
        y : array
            Validated labels.
        all_present : bool
            Whether `y` has to hold every class (warm start) or only classes among them.

        Raises
        ------
        ValueError
        """
        for k, (column, classes) in enumerate(zip(self._columns(y), self.classes_)):
            found = np.unique(column)
            if all_present and not np.array_equal(found, classes):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous "
                    f"call to fit. In column {k} previously got {classes}, `y` has {found}"
                )
            if not np.isin(found, classes).all():
                raise ValueError(
                    f"`y` has classes not in `self.classes_`. `self.classes_[{k}]` has {classes}. "
                    f"Column {k} of 'y' has {found}."
                )

    def encode(self, y: Any) -> Array:
        """Return the number of each label among its column's classes, which have to have it.

        Returns
        -------
        target : ndarray of shape (n_samples, n_columns), int32
        """
        numbers = [
            np.searchsorted(classes, column)
            for column, classes in zip(self._columns(y), self.classes_)
        ]
        return np.stack(numbers, axis=1).astype(np.int32)

    def decode(self, output: Array) -> Array:
        """Return the labels of the largest output of each column's classes.

        Raises
        ------
        ValueError
            If there is not one output for each class.
        """
        if output.shape[1] != sum(self.sizes):
            raise ValueError(
                f"The network has {output.shape[1]} outputs, but the columns of its labels "
                f"(_label_binarizer) have {list(self.sizes)} classes."
            )
        chosen = [part.argmax(axis=1) for part in self.split(output)]
        dtype = _common_type(self.classes_)
        labels = np.empty((len(output), len(chosen)), dtype)
        for k, (classes, numbers) in enumerate(zip(self.classes_, chosen)):
            labels[:, k] = classes[numbers]
        return labels

    def split(self, output: Array) -> list[Array]:
        """Return the outputs of each column's classes."""
        return np.split(output, np.cumsum(self.sizes)[:-1], axis=1)

    def correct(self, y: Any, predicted: Array) -> Array:
        """Return which rows of predicted labels equal `y` in every column.

        Raises
        ------
        ValueError
            If `y` has another shape, NaN, or text where the classes are numbers.
        """
        y = check_array(native(y), dtype=None, ensure_2d=False, input_name="y")
        if len(y) != len(predicted):
            raise ValueError(f"y has {len(y)} rows, but X has {len(predicted)}.")
        columns = [column == predicted[:, k] for k, column in enumerate(self._columns(y))]
        return np.asarray(np.logical_and.reduce(columns), dtype=bool)

    def _columns(self, y: Any) -> list[Array]:
        """Return the columns of labels, of the kinds of the classes."""
        if sp.issparse(y):
            y = y.toarray()
        if y.ndim != 2 or y.shape[1] != len(self.classes_):
            raise ValueError(
                f"y has shape {y.shape}, but the network was fitted on y with "
                f"{len(self.classes_)} columns."
            )
        columns = [tidy(y[:, k], k) for k in range(y.shape[1])]
        for k, (column, classes) in enumerate(zip(columns, self.classes_)):
            if _is_text(column) != _is_text(classes):
                kinds = ("numbers", "text") if _is_text(column) else ("text", "numbers")
                raise ValueError(
                    f"Column {k} of y holds {kinds[1]}, but its classes are {kinds[0]}: {classes}."
                )
        return columns


def are_columns(y: Any) -> bool:
    """Whether validated labels are several columns of classes, and no multilabel indicator."""
    if sp.issparse(y) or y.ndim != 2 or y.shape[1] < 2:
        return False
    return not (y.dtype.kind in "biuf" and is_multilabel(y))


def fit_columns(y: Array) -> LabelColumns:
    """Return the classes of the columns of validated labels.

    Raises
    ------
    ValueError, TypeError
        If a column has no classes: continuous values, None, several types.
    """
    if y.dtype.kind != "O" or not any(isinstance(label, str) for label in y.flat):
        check_classification_targets(y)
    return LabelColumns([np.unique(tidy(y[:, k], k)) for k in range(y.shape[1])])


def are_columns_of_classes(classes: Any) -> bool:
    """Whether `classes` of `partial_fit` are a list with one array for each column of y.

    A list that is a multilabel indicator is none, for scikit-learn takes it as such.
    """
    if not isinstance(classes, list | tuple) or len(classes) < 2:
        return False
    nested = all(np.ndim(one) == 1 and not isinstance(one, str) for one in classes)
    if not nested or len({len(one) for one in classes}) > 1:
        return nested
    together = np.array([*map(np.asarray, classes)])
    return not (together.dtype.kind in "biuf" and is_multilabel(together))


def columns_of_classes(classes: Sequence[Any]) -> LabelColumns:
    """Return the columns that a call of `partial_fit` announces.

    Raises
    ------
    ValueError, TypeError
        If a column has no classes, or values that are none.
    """
    found = []
    for k, one in enumerate(classes):
        column = check_array(
            native(np.asarray(one)), dtype=None, ensure_2d=False, input_name=f"classes[{k}]"
        )
        check_classification_targets(tidy(column, k))
        found.append(np.unique(tidy(column, k)))
    return LabelColumns(found)


def same_columns(classes: Any, others: Any) -> bool:
    """Whether these are the same classes, column by column."""
    return (
        isinstance(classes, list | tuple)
        and isinstance(others, list | tuple)
        and len(classes) == len(others)
        and all(np.array_equal(a, b) for a, b in zip(classes, others))
    )


def tidy(column: Array, number: int) -> Array:
    """Return a column in native byte order, numbers among objects as numbers.

    Raises
    ------
    ValueError, TypeError
        If there are missing labels, or labels of several types.
    """
    column = native(column)
    if column.dtype.kind in "mM" and np.isnat(column).any():
        raise ValueError(f"Column {number} of y contains NaT.")
    if column.dtype.kind != "O":
        return column
    if any(label is None for label in column):
        raise ValueError(f"Column {number} of y contains None. Leave those rows out.")
    texts = sum(isinstance(label, str) for label in column)
    if texts == len(column):
        return column
    kinds = sorted({type(label).__name__ for label in column})
    if texts:
        raise TypeError(
            f"Labels must be uniformly strings or numbers. Got {kinds} in column {number} of y."
        )
    plain = np.array(column.tolist())
    if plain.dtype.kind not in "biuf" or plain.ndim != 1:
        raise ValueError(
            f"Unknown label type: column {number} of y holds objects ({', '.join(kinds)}), which "
            "have to be converted to numbers, text or datetime64."
        )
    check_classification_targets(plain)
    return plain


def _is_text(column: Array) -> bool:
    return column.dtype.kind in "OUST"


def _common_type(classes: list[Array]) -> Any:
    """Return the type of an array that holds labels of all columns as they are."""
    kinds = {one.dtype.kind for one in classes}
    if len(kinds) == 1 or kinds <= set("iu"):
        return np.result_type(*classes)
    return np.dtype(object)
