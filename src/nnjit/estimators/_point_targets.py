"""y with an entry for each point of a series, in all the forms that it comes in.

Inside it is flat: the entries of all points of all cases, one after the other, without what stands
behind the ends of series. So the points are samples, for labels and scores as for the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.utils.validation import assert_all_finite, check_array, check_consistent_length

from nnjit._types import Array
from nnjit.backends.dataset import series_lengths
from nnjit.estimators._arrays import native
from nnjit.estimators._dates import refuse_dates

__all__ = [
    "Lengths",
    "are_whole",
    "by_case",
    "case_and_point",
    "gathered",
    "points_of",
    "read_labels",
    "read_values",
    "spread",
    "there",
]

Lengths = NDArray[np.int64]
# Kinds of arrays that go together without a change of what the entries are.
_NUMBERS = "biuf"


# Points of series


def points_of(rows: Array, shape: Sequence[int]) -> Lengths:
    """Return how many points each series has.

    Parameters
    ----------
    rows : ndarray of shape (n_cases, channels * time)
        NaN behind the ends.
    shape : tuple of int
        (channels, time).
    """
    found: Lengths = series_lengths(rows, tuple(shape))
    return found if len(found) else np.full(len(rows), shape[-1], np.int64)


def are_whole(lengths: Lengths, steps: int) -> bool:
    """Whether all series have so many points."""
    return bool((lengths == steps).all())


def there(lengths: Lengths, steps: int) -> NDArray[np.bool_]:
    """Return which of so many points each series has."""
    found: NDArray[np.bool_] = np.arange(steps) < lengths[:, np.newaxis]
    return found


def gathered(array: Array, lengths: Lengths) -> Array:
    """Return what an array (n_cases, steps, ...) has at the points that are there, flat."""
    if are_whole(lengths, array.shape[1]):
        return array.reshape(-1, *array.shape[2:])
    return array[there(lengths, array.shape[1])]


def spread(flat: Array, lengths: Lengths, steps: int, behind: Any = None) -> Array:
    """Return flat entries as an array (n_cases, steps, ...).

    Behind the ends of series stands `behind`; if that is None the first entry, which is as valid a
    target as any other.
    """
    shape = (len(lengths), steps, *flat.shape[1:])
    if are_whole(lengths, steps):
        return flat.reshape(shape)
    array = np.empty(shape, flat.dtype)
    array[...] = flat[0] if behind is None else behind
    array[there(lengths, steps)] = flat
    return array


def by_case(flat: Array, lengths: Lengths, as_list: bool) -> Any:
    """Return flat entries as an array (n_cases, time, ...), or a list of one array for each case.

    It is a list where `as_list` asks for one, and where series are of unequal length.
    """
    if len(lengths) and not as_list and are_whole(lengths, int(lengths[0])):
        return flat.reshape(len(lengths), -1, *flat.shape[1:])
    return np.split(flat, np.cumsum(lengths)[:-1])


def case_and_point(number: int, lengths: Lengths) -> tuple[int, int]:
    """Return the case that an entry belongs to, and at which of its points it stands."""
    ends = np.cumsum(lengths)
    case = int(np.searchsorted(ends, number, side="right"))
    return case, number - int(ends[case] - lengths[case])


# Reading


def read_labels(y: Any, lengths: Lengths, most: int | None, name: str) -> Array:
    """Return the labels of all points, flat.

    Parameters
    ----------
    y : object
        Labels (n_cases, time), or a list of arrays (points of the case,).
    lengths : ndarray of int
        Points of each case.
    most : int or None
        Entries that an array may have for each case, whatever stands behind the ends; None for any
        number of them.
    name : str
        What messages call y.

    Returns
    -------
    ndarray of shape (n_points,)

    Raises
    ------
    ValueError
        That names the case, if y has not as many entries as its series has points; or if there are
        several labels of a point.
    """
    flat = _read(y, lengths, most, name)
    if flat.ndim == 2 and flat.shape[1] == 1:
        flat = flat[:, 0]
    if flat.ndim > 1:
        raise ValueError(
            f"With targets='sequence' {name} has one label for each point, an array of shape "
            f"(n_samples, time) or a list of arrays of shape (time,), but here a point has "
            f"{_sizes(flat)} entries. Several labels of a point, or indicators of them, are not "
            "supported."
        )
    if flat.dtype.kind == "f":
        assert_all_finite(flat, input_name=name)
    return flat


def read_values(y: Any, lengths: Lengths, most: int | None, name: str, estimator: Any) -> Array:
    """Return the values of all points, flat; see `read_labels`.

    Parameters
    ----------
    y : object
        Values (n_cases, time) or (n_cases, time, n_outputs), or a list of arrays.
    lengths, most, name
        As there.
    estimator : estimator
        Whom scikit-learn's messages name.

    Returns
    -------
    ndarray of shape (n_points, n_outputs)

    Raises
    ------
    TypeError
        If there are dates or durations.
    ValueError
        That names the case, if y has not as many entries as its series has points; or if they are
        no finite numbers.
    """
    refuse_dates(y, name)
    flat = _read(y, lengths, most, name)
    if flat.ndim > 2:
        raise ValueError(
            f"With targets='sequence' {name} has the shape (n_samples, time) or (n_samples, time, "
            f"n_outputs), or is a list of arrays (time,) or (time, n_outputs), but here a point "
            f"has {_sizes(flat)} entries."
        )
    checked: Array = check_array(
        flat, ensure_2d=False, dtype="numeric", input_name=name, estimator=estimator
    )
    assert_all_finite(checked, input_name=name)  # of objects, that are numbers only now
    checked = checked if checked.dtype.kind == "f" else checked.astype(np.float64)
    return checked.reshape(len(checked), -1)


def _sizes(flat: Array) -> str:
    return " x ".join(map(str, flat.shape[1:]))


def _read(y: Any, lengths: Lengths, most: int | None, name: str) -> Array:
    """Return the entries of all points, none of them missing."""
    if sp.issparse(y):
        raise ValueError(f"With targets='sequence' {name} is no sparse matrix.")
    if not isinstance(y, list | tuple):
        y = native(np.atleast_1d(np.asarray(y)))
        if y.ndim == 1 and y.dtype.kind == "O":
            y = list(y)
    if not len(y) or all(np.ndim(one) == 0 for one in y):
        raise ValueError(
            f"With targets='sequence' {name} has an entry for each point of each case: an array of "
            "shape (n_samples, time) or a list of arrays of shape (time,). For one target of each "
            "case give targets='one'."
        )
    check_consistent_length(lengths, y)
    if isinstance(y, list | tuple):
        flat = _joined([_of_case(one, k, lengths[k], name) for k, one in enumerate(y)], name)
    else:
        flat = _of_array(y, lengths, most, name)
    _refuse_missing(flat, lengths, name)
    return _plain(flat)


def _of_array(y: Array, lengths: Lengths, most: int | None, name: str) -> Array:
    """Return the entries of an array, whatever it has behind the ends of series."""
    given = y.shape[1]
    if (short := lengths > given).any():
        _refuse_length(name, int(short.argmax()), given, lengths)
    if most is not None and given > most:
        more = ~_missing(y[:, most:]).reshape(len(y), -1).all(axis=1)
        if more.any():
            _refuse_length(name, int(more.argmax()), given, lengths)
    return gathered(y, lengths)


def _of_case(entries: Any, case: int, points: int, name: str) -> Array:
    """Return the entries of a case, behind which there may be missing ones."""
    try:
        array: Array = native(np.asarray(entries))
    except ValueError as error:  # of unequal parts
        raise ValueError(f"Case {case} of {name} is no array: {error}") from None
    given = len(array) if array.ndim else 1
    if not array.ndim or given < points or not _missing(array[points:]).all():
        _refuse_length(name, case, given, {case: points})
    return array[:points]


def _joined(cases: Sequence[Array], name: str) -> Array:
    """Return the entries of all cases one after the other."""
    for number, one in enumerate(cases):
        if one.shape[1:] != cases[0].shape[1:]:
            raise ValueError(
                f"Case {number} of {name} has {_sizes(one) or 1} entries at a point, but case 0 "
                f"has {_sizes(cases[0]) or 1}."
            )
    kinds = {"n" if one.dtype.kind in _NUMBERS else one.dtype.kind for one in cases}
    if len(kinds) > 1:  # NumPy would make text of numbers
        return np.concatenate([one.astype(object) for one in cases])
    return np.concatenate(cases)


def _plain(flat: Array) -> Array:
    """Return numbers among objects, which stood beside missing ones, as numbers."""
    if flat.dtype.kind != "O" or any(isinstance(one, str) for one in flat.flat):
        return flat
    plain = np.array(flat.tolist())
    return plain if plain.dtype.kind in _NUMBERS and plain.shape == flat.shape else flat


# What is missing


def _missing(array: Array) -> NDArray[np.bool_]:
    """Return which entries are NaN, NaT, None or pandas' NA."""
    if array.dtype.kind in "fcmM":
        return np.asarray(np.isnan(array))
    if array.dtype.kind != "O":
        return np.zeros(array.shape, bool)
    return np.array([*map(_is_missing, array.flat)], bool).reshape(array.shape)


def _is_missing(entry: Any) -> bool:
    if entry is None or type(entry).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(entry, float | np.floating) and bool(entry != entry)


def _refuse_missing(flat: Array, lengths: Lengths, name: str) -> None:
    gone: Any = _missing(flat).reshape(len(flat), -1).any(axis=1)
    if not gone.any():
        return
    first = int(gone.argmax())
    case, point = case_and_point(first, lengths)
    points = int(lengths[case])
    if gone[first : first + points - point].all():
        _refuse_length(name, case, point, lengths)
    raise ValueError(
        f"Input {name} contains NaN or None: case {case} has it at point {point} of {points}, but "
        "only what follows the end of a series may be missing."
    )


def _refuse_length(name: str, case: int, given: int, lengths: Any) -> None:
    entries = "1 entry" if given == 1 else f"{given} entries"
    points = "1 point" if lengths[case] == 1 else f"{lengths[case]} points"
    raise ValueError(f"Case {case} of {name} has {entries}, but its series has {points}.")
