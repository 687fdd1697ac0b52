"""Dates and durations where numbers belong.

NumPy converts them without a word, to a count of whatever unit they happen to be stored in.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np

__all__ = ["date_type_in", "refuse_dates"]

_DATES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)
_PLAIN_KINDS = frozenset("biufcSU")
# How pandas, polars and Arrow begin the names of such types of columns.
_TYPE_NAMES = ("date", "time", "duration", "period")


def refuse_dates(values: Any, name: str) -> None:
    """Raise if there are dates, times or durations among values that have to be numbers.

    Parameters
    ----------
    values : object
        What was given: an array, a frame, a sequence, ...
    name : str
        What the message calls it.

    Raises
    ------
    TypeError
    """
    found = date_type_in(values)
    if found is not None:
        raise TypeError(
            f"Input {name} contains dates or durations ({found}). Convert them to numbers of a "
            "unit that you choose, for example days: (date - first_date) / "
            "numpy.timedelta64(1, 'D')."
        )


def date_type_in(values: Any) -> str | None:
    """Return the name of the first type of date or duration among the values, None without one.

    Parameters
    ----------
    values : object

    Returns
    -------
    str or None
    """
    if hasattr(values, "columns") and hasattr(values, "dtypes"):
        return _in_frame(values)
    dtype = getattr(values, "dtype", None)
    if dtype is not None:
        return _in_column(values, dtype)
    if isinstance(values, Sequence) and not isinstance(values, str | bytes):
        return _in_sequence(values)
    if hasattr(values, "__array__"):
        try:
            array = np.asarray(values)
        except Exception:  # validation finds the words for it
            return None
        return _in_column(array, array.dtype)
    return None


def _in_frame(frame: Any) -> str | None:
    for place, (label, dtype) in enumerate(zip(frame.columns, frame.dtypes)):
        column = None
        if _holds_objects(dtype):
            column = frame.iloc[:, place] if hasattr(frame, "iloc") else frame[:, place]
        found = _in_column(column, dtype)
        if found is not None:
            return f"column {label!r} of type {found}"
    return None


def _in_column(values: Any, dtype: Any) -> str | None:
    """Look at the dtype, and at the values if they are objects."""
    if getattr(dtype, "kind", None) in _PLAIN_KINDS:
        return None
    dtype = getattr(getattr(dtype, "categories", None), "dtype", dtype)
    if getattr(dtype, "kind", None) in ("m", "M") or str(dtype).lower().startswith(_TYPE_NAMES):
        return str(dtype)
    if values is not None and _holds_objects(dtype):
        return _among(map(type, np.asarray(values).flat))
    return None


def _holds_objects(dtype: Any) -> bool:
    return str(dtype).lower() == "object"


def _in_sequence(rows: Sequence[Any]) -> str | None:
    """Look at the items, at those of nested sequences, and into arrays among them."""
    nested = {kind for kind in set(map(type, rows)) if issubclass(kind, list | tuple)}
    inside = chain.from_iterable(row for row in rows if type(row) in nested)
    found = _among(map(type, chain((row for row in rows if type(row) not in nested), inside)))
    if found is not None:
        return found
    arrays = (row for row in rows if getattr(row, "shape", ()) and hasattr(row, "dtype"))
    return next(filter(None, map(date_type_in, arrays)), None)


def _among(types: Iterable[type]) -> str | None:
    for kind in set(types):
        if issubclass(kind, _DATES) or kind.__name__ == "Period":  # pandas's has no such base
            return kind.__name__
    return None
