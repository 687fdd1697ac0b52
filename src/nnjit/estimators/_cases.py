"""Series and images in all the forms that they come in, as rows.

A row holds the values of a case in C order of its shape, (channels, time) or (channels, height,
width). Series shorter than the others end in NaN in every channel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.utils.validation import check_array

from nnjit._types import Array
from nnjit.estimators._dates import refuse_dates
from nnjit.estimators._validation import all_finite

__all__ = [
    "Cases",
    "Shape",
    "arranged",
    "channels_first",
    "channels_last_rows",
    "lengths_of",
    "read_cases",
    "read_by_fit",
    "refuse_misplaced",
    "refuse_width",
    "rows_as_given",
    "series_as_given",
    "shape_asked",
    "shape_found",
]

Shape = tuple[int, ...]
_FLOATS = (np.dtype(np.float64), np.dtype(np.float32))
# Values that are looked at together, so that nothing as large as X is made on the way.
_BLOCK = 1 << 18


class Cases(NamedTuple):
    """What was given as X, not yet validated."""

    rows: Any  # for scikit-learn to look at: two-dimensional, or what is no array of cases
    shape: Shape | None  # of a case as its values lie in the rows; None where X does not tell
    built: bool  # whether the rows were made of series, channels first


def shape_asked(given: Any, channels_last: bool, axes: int | None = None) -> Shape | None:
    """Return what `input_shape` stands for, channels first.

    Two numbers are the sides of an image if the network is for images, or if both are equal and it
    may be for either; else channels and time.

    Parameters
    ----------
    given : sequence of int or None
    channels_last : bool
    axes : {1, 2} or None
        Axes of a case beside its channels, where the network says so.

    Returns
    -------
    tuple of int, or None
        (channels, time) or (channels, height, width); None if nothing was given.
    """
    if given is None:
        return None
    shape = tuple(int(size) for size in given)
    sides = len(shape) == 2 and (axes == 2 or (axes is None and shape[0] == shape[1]))
    if len(shape) == 1 or sides:
        return (1, *shape)
    return _channels_moved(shape, channels_last)


def _channels_moved(shape: Shape, channels_last: bool) -> Shape:
    return (shape[-1], *shape[:-1]) if channels_last else shape


def channels_last_rows(shape: Shape) -> Shape:
    """Return a shape, channels first, as its values lie in a row with the channels last."""
    return (*shape[1:], shape[0])


# Reading


def read_cases(X: Any, name: str, channels_last: bool) -> Cases:
    """Return X as rows that scikit-learn can validate.

    Arrays are not copied where their memory allows it.

    Parameters
    ----------
    X : object
        Rows, an array of cases, or a list or an array of series of unequal length.
    name : str
        What messages call it.
    channels_last : bool

    Raises
    ------
    TypeError
        If there are dates or durations.
    ValueError
        If series do not go together, or an array has too many axes.
    """
    refuse_dates(X, name)
    if str(getattr(X, "dtype", "")) == "object" and X.ndim == 1:  # an array or pandas' Series
        X = list(X)
        refuse_dates(X, name)
    if isinstance(X, Sequence) and not isinstance(X, str | bytes):
        return _read_list(X, name, channels_last)
    if getattr(X, "ndim", 2) > 2 and not sp.issparse(X):
        return _read_array(np.asarray(X), name)
    return Cases(X, None, False)


def read_by_fit(cases: Cases, width: int, estimator: Any, name: str) -> Cases:
    """Return cases behind a fit, which tells rows from series that look like some.

    A list of one series of a single channel, or of several that happen to be of equal length, is
    one of vectors, but these are not as long as rows are.

    Parameters
    ----------
    cases : Cases
    width : int
        Values of a case.
    estimator : object
        Fitted, with `input_shape_` and `n_features_in_`.
    name : str
        What messages call X.

    Raises
    ------
    ValueError
        In scikit-learn's words, if rows are not as wide as those of the fit.
    """
    shape = estimator.input_shape_
    if cases.shape is not None or width == estimator.n_features_in_:
        return cases
    if len(shape) == 2 and shape[0] == 1 and isinstance(cases.rows, Sequence):
        return cases._replace(shape=(1, width), built=True)
    raise ValueError(
        f"{name} has {width} features, but {type(estimator).__name__} is expecting "
        f"{estimator.n_features_in_} features as input."
    )


def _read_array(X: Array, name: str) -> Cases:
    if X.ndim > 4:
        raise ValueError(
            f"Found array with dim {X.ndim}, while dim <= 4 is required: {name} is an array of "
            "rows, of (cases, channels, time) or of (cases, channels, height, width)."
        )
    shape = X.shape[1:]
    return Cases(X.reshape(len(X), math.prod(shape)), shape, False)


def _read_list(X: Sequence[Any], name: str, channels_last: bool) -> Cases:
    """Read a list, which may be one of rows as scikit-learn has them."""
    if not any(hasattr(one, "__len__") or np.ndim(one) for one in X):
        return Cases(X, None, False)
    cases = [_one_array(one, k, name) for k, one in enumerate(X)]
    shapes = {case.shape for case in cases}
    if len(shapes) > 1:
        return _read_series(cases, name, channels_last)
    if len(shapes.pop()) < 2:
        return Cases(X, None, False)
    return _read_array(np.stack(cases), name)


def _one_array(case: Any, number: int, name: str) -> Array:
    try:
        array = np.asarray(case)
    except ValueError as error:  # of unequal parts
        raise ValueError(f"Case {number} of {name} is no array: {error}") from None
    if array.dtype.kind in "mMO":
        refuse_dates(array, name)
    return array


def _read_series(cases: Sequence[Array], name: str, channels_last: bool) -> Cases:
    """Put series of unequal length into rows whose ends are filled up with NaN."""
    series = [_one_series(case, k, name, channels_last) for k, case in enumerate(cases)]
    channels = len(series[0])
    for number, one in enumerate(series):
        if len(one) != channels:
            raise ValueError(
                f"Case {number} of {name} has {len(one)} channels, but case 0 has {channels}."
            )
    points = max(one.shape[1] for one in series)
    single = all(one.dtype == np.float32 for one in series)
    rows = np.full((len(series), channels, points), np.nan, np.float32 if single else np.float64)
    for row, one in zip(rows, series, strict=True):
        row[:, : one.shape[1]] = one
    return Cases(rows.reshape(len(series), -1), rows.shape[1:], True)


def _one_series(case: Array, number: int, name: str, channels_last: bool) -> Array:
    if case.ndim not in (1, 2):
        raise ValueError(
            f"{name} has cases of different shapes, which only series may have, of shape (time,), "
            f"or {'(time, channels)' if channels_last else '(channels, time)'}; case {number} has "
            f"shape {case.shape}."
        )
    series = case[np.newaxis] if case.ndim == 1 else case.T if channels_last else case
    if not series.size:
        raise ValueError(f"Case {number} of {name} has no point: a series has at least one.")
    if series.dtype.kind in "biuf":
        return series
    try:
        checked: Array = check_array(
            series, dtype=_FLOATS, ensure_all_finite=False, input_name=name
        )
    except (TypeError, ValueError) as error:
        raise type(error)(f"Case {number} of {name}: {error}") from None
    return checked


# Arranging


def arranged(
    rows: Array,
    cases: Cases,
    shape: Shape | None,
    channels_last: bool,
    name: str,
    axes: int | None = None,
    longer: bool = False,
) -> tuple[Array, Shape]:
    """Return validated rows channels first, shorter series filled up with NaN, and their shape.

    Parameters
    ----------
    rows : ndarray of shape (n, values)
        ``cases.rows``, validated; floats.
    cases : Cases
    shape : tuple of int or None
        What a case should have, channels first, as far as that is known.
    channels_last : bool
    name : str
    axes : {1, 2} or None
        Axes of a case beside its channels, where the network says so.
    longer : bool
        Whether series may be longer than `shape`.

    Raises
    ------
    ValueError
        If that is not the shape of the cases.
    """
    lies = cases.shape
    if lies is None:  # rows
        shape = shape or (1, rows.shape[1])
        refuse_width(rows.shape[1], shape, name)
        return (channels_first(rows, shape) if channels_last else rows), shape
    found = lies if cases.built else shape_found(lies, shape, channels_last, axes)
    _check_shape(found, shape, lies, name, longer)
    if channels_last and not cases.built:
        rows = channels_first(rows, found)
    if shape is None or found[-1] >= shape[-1]:
        return rows, found
    return _filled_up(rows, found, shape[-1]), shape


def refuse_width(width: int, shape: Shape, name: str) -> None:
    """Raise if rows are not as wide as a shape asked for has values."""
    if width != math.prod(shape):
        raise ValueError(
            f"{name} has {width} features, but input_shape is of {math.prod(shape)}: "
            f"{' x '.join(map(str, shape))}."
        )


def shape_found(
    lies: Shape, shape: Shape | None, channels_last: bool, axes: int | None = None
) -> Shape:
    """Return the shape of the cases of an array, channels first.

    Parameters
    ----------
    lies : tuple of int
        As the array has it; a single channel may have no axis.
    shape : tuple of int or None
        What it should be, channels first, as far as that is known.
    channels_last : bool
    axes : {1, 2} or None
        Axes of a case beside its channels, where the network says so.
    """
    expected = (axes and 1 + axes) if shape is None else len(shape)
    if len(lies) + 1 == expected and (shape is None or shape[0] == 1):
        return (1, *lies)
    return _channels_moved(lies, channels_last)


def _check_shape(found: Shape, shape: Shape | None, lies: Shape, name: str, longer: bool) -> None:
    if shape is None or found == shape:
        return
    if len(shape) == 2 and found[:-1] == shape[:-1] and (longer or found[-1] < shape[-1]):
        return
    where = "(channels, time)" if len(shape) == 2 else "(channels, height, width)"
    raise ValueError(
        f"{name} has cases of shape {lies}, but the network is for {shape}, which is {where}."
    )


def channels_first(rows: Array, shape: Shape) -> Array:
    """Return rows whose values lie with the channels last as ones that have them first.

    Parameters
    ----------
    rows : ndarray of shape (n, values)
    shape : tuple of int
        Channels first.
    """
    if shape[0] == 1:
        return rows
    cases = rows.reshape(-1, *channels_last_rows(shape))
    return np.moveaxis(cases, -1, 1).reshape(rows.shape)


def _filled_up(rows: Array, found: Shape, points: int) -> Array:
    filled = np.full((len(rows), found[0], points), np.nan, rows.dtype)
    filled[:, :, : found[-1]] = rows.reshape(-1, *found)
    return filled.reshape(len(rows), -1)


# Giving back


def series_as_given(series: Array, X: Any, channels_last: bool) -> list[Array]:
    """Return series, filled up to be of one length, as the list that they came in.

    Parameters
    ----------
    series : ndarray of shape (n, channels, time)
    X : sequence of array-like
        What they were made of.
    channels_last : bool
        Whether that has the channels last.
    """
    found = []
    for row, one in zip(series, X, strict=True):
        given = np.shape(one)
        part = row[:, : given[0] if len(given) == 1 or channels_last else given[1]]
        found.append((part.T if channels_last else part).reshape(given).copy())
    return found


def rows_as_given(rows: Array, X: Any, estimator: Any) -> Any:
    """Return rows, the channels first, in the form that X came in.

    Parameters
    ----------
    rows : ndarray of shape (n, values)
        Of the shape that a fitted estimator's cases have.
    X : object
        Rows, an array of cases, or a list or an array of series.
    estimator : estimator
        With `input_shape_` and `channels_last`.

    Returns
    -------
    ndarray or list of ndarray
    """
    shape, last = estimator.input_shape_, bool(estimator.channels_last)
    cases = read_cases(X, "X", last)
    if cases.shape is None:
        cases = read_by_fit(cases, np.shape(cases.rows)[-1], estimator, "X")
    values = rows.reshape(len(rows), *shape)
    if cases.built:
        return series_as_given(values, X, last)
    if last:
        values = np.moveaxis(values, 1, -1)
    if cases.shape is None:
        return np.ascontiguousarray(values).reshape(rows.shape)
    if len(shape) == 2:  # series may be shorter than those of the fit
        points = shape_found(cases.shape, shape, last)[1]
        values = values[:, :points] if last else values[:, :, :points]
    return np.ascontiguousarray(values).reshape(len(rows), *cases.shape)


# What is not finite


def lengths_of(rows: Array, shape: Shape) -> NDArray[np.intp]:
    """Return the points of every channel of series, those behind the last being NaN.

    Parameters
    ----------
    rows : ndarray of shape (n, channels * time)
    shape : tuple of int
        (channels, time).

    Returns
    -------
    lengths : ndarray of shape (n, channels)
    """
    there = ~np.isnan(rows.reshape(-1, *shape))
    lengths: NDArray[np.intp] = shape[1] - there[..., ::-1].argmax(axis=2)
    lengths[~there.any(axis=2)] = 0
    return lengths


def refuse_misplaced(rows: Array, shape: Shape, name: str) -> None:
    """Raise if values are infinite, or NaN elsewhere than behind the ends of series.

    scikit-learn's `assume_finite` leaves it out.

    Parameters
    ----------
    rows : ndarray of shape (n, values)
        Channels first.
    shape : tuple of int
    name : str

    Raises
    ------
    ValueError
        That names the first case.
    """
    if all_finite(rows) or get_config()["assume_finite"]:
        return
    step = max(1, _BLOCK // rows.shape[1])
    for start in range(0, len(rows), step):
        _refuse_misplaced(rows[start : start + step], start, shape, name)


def _refuse_misplaced(rows: Array, first: int, shape: Shape, name: str) -> None:
    """Do so for some rows, the first of which has the number `first`."""
    infinite = np.isinf(rows).any(axis=1)
    if infinite.any():
        raise ValueError(
            f"Input {name} contains infinity or a value too large for {rows.dtype!r}: case "
            f"{first + int(infinite.argmax())}."
        )
    there = ~np.isnan(rows)
    if there.all():
        return
    if len(shape) == 3:
        _refuse_nan(name, first + int(there.all(axis=1).argmin()), "an image has none")
    lengths, counts = lengths_of(rows, shape), there.reshape(-1, *shape).sum(axis=2)
    wrong = (counts != lengths).any(axis=1) | (lengths != lengths[:, :1]).any(axis=1)
    wrong |= (lengths == 0).any(axis=1)
    if wrong.any():
        case = int(wrong.argmax())
        why = _what_is_wrong(lengths[case], counts[case], rows[case], shape)
        _refuse_nan(name, first + case, why)


def _what_is_wrong(lengths: Any, counts: Any, row: Array, shape: Shape) -> str:
    """Say what is wrong with a series."""
    if not lengths.any():
        return "a series has at least one point"
    inside = counts != lengths
    if inside.any():
        channel = int(inside.argmax())
        point = int(np.isnan(row.reshape(shape)[channel]).argmax())
        return (
            f"channel {channel} has it at point {point} of {lengths[channel]}, but only what "
            "follows the end of a series may be NaN"
        )
    other = int((lengths != lengths[0]).argmax())
    return (
        f"channel 0 has {lengths[0]} points and channel {other} has {lengths[other]}, but all "
        "channels of a series are of one length"
    )


def _refuse_nan(name: str, case: int, why: str) -> None:
    raise ValueError(f"Input {name} contains NaN: case {case}; {why}.")
