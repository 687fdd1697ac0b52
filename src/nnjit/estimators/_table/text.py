"""Texts that are numbers or dates."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from nnjit._types import Array
from nnjit.estimators._notations import (
    COMMA,
    DATE,
    MISSING_NUMBERS,
    NOTATIONS,
    PLAIN,
    POINT,
    Notation,
    with_unit,
)
from nnjit.estimators._table.frames import Words

__all__ = [
    "MICROSECONDS_OF_A_DAY",
    "means_missing",
    "moments_of",
    "read_text",
    "spread",
    "values_of",
]

MICROSECONDS_OF_A_DAY = 86_400_000_000

# How many of a column's texts may be none of the numbers or dates that the others are.
_STRAY = 0.01
# A column of fewer different numbers with stray texts between is one of categories: 1, 2, 3, 4+.
_MANY_NUMBERS = 20
_TEXTS_TO_TRY = 50
# Texts that NumPy reads at once; and lengths of the dates that it does, by day and by second.
_CHUNK = 1 << 14
_DAY_LENGTH, _SECOND_LENGTH = 10, 19


def read_text(words: Words) -> tuple[Array, Notation] | None:
    """Return a column's numbers, or days of its dates, if that is what its values are.

    Parameters
    ----------
    words : Words

    Returns
    -------
    values : ndarray of shape (n_rows,)
        float64, NaN where missing; days are those since 1970-01-01.
    notation : Notation
        The way in which they are written.
    """
    values = words.values
    tried = [v for v in values[:: len(values) // _TEXTS_TO_TRY + 1] if not means_missing(v)]
    texts = [value.strip() for value in tried if isinstance(value, str)]
    for notation in with_unit(texts, [PLAIN, POINT, COMMA, *NOTATIONS]):
        if 2 * np.isnan(_one_by_one(tried, notation)).sum() > len(tried):
            continue
        table = values_of(values, notation)
        if _is_so(words, table):
            if notation.kind == "number" and any(map(_is_code, values)):
                return None
            return spread(table, words.codes, np.nan), notation
    return None


def _is_code(value: Any) -> bool:
    """Whether it is a code that happens to be of digits: 00501."""
    return isinstance(value, str) and (text := value.lstrip())[:1] == "0" and text[1:2].isdigit()


def _is_so(words: Words, table: Array) -> bool:
    """Whether the values that were read are enough of those that are there."""
    unread = np.flatnonzero(np.isnan(table))
    stray = [place for place in unread.tolist() if not means_missing(words.values[place])]
    if not stray or len(unread) == len(table):
        return len(unread) < len(table)
    if len(np.unique(table[~np.isnan(table)])) < _MANY_NUMBERS:
        return False
    counts = np.bincount(words.codes[words.codes >= 0], minlength=len(table))
    return bool(counts[stray].sum() <= _STRAY * counts.sum())


def means_missing(value: Any) -> bool:
    """Return whether it is a text that stands for no value where others are numbers or dates.

    Parameters
    ----------
    value : object
    """
    return isinstance(value, str) and value.strip().lower() in MISSING_NUMBERS


def values_of(values: Sequence[Any], notation: Notation) -> Array:
    """Return the numbers, or days, that single values are; NaN where they are none.

    Parameters
    ----------
    values : sequence of object
    notation : Notation
        The way in which texts among them are written.
    """
    parts = [
        _at_once(values[start : start + _CHUNK], notation)
        for start in range(0, len(values), _CHUNK)
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


def _at_once(values: Sequence[Any], notation: Notation) -> Array:
    """Do what `_one_by_one` does, sooner for the plainest ways of writing."""
    try:
        if notation == PLAIN:
            return np.fromiter(map(float, values), np.float64, len(values))
        if notation == DATE and _are_plain_dates(values):
            moments = np.array(values, dtype="datetime64[us]")
            return moments.astype(np.int64) / MICROSECONDS_OF_A_DAY
    except (TypeError, ValueError, OverflowError):
        pass
    return _one_by_one(values, notation)


def _are_plain_dates(values: Sequence[str]) -> bool:
    """Whether all texts have the length of 2020-12-31 or 2020-12-31 23:59:59, and no zone."""
    lengths = set(map(len, values))
    joined = set(chain.from_iterable(values))
    plain = set("0123456789-")
    if lengths == {_SECOND_LENGTH}:
        return joined <= plain | set("T :") and all(value[16] == ":" for value in values)
    return lengths == {_DAY_LENGTH} and joined <= plain


def _one_by_one(values: Sequence[Any], notation: Notation) -> Array:
    return np.array([_value(value, notation) for value in values], dtype=np.float64)


def _value(value: Any, notation: Notation) -> float:
    try:
        if isinstance(value, str):
            return notation.read(value.strip())
        return float(value) if notation.kind == "number" else np.nan
    except (TypeError, ValueError, OverflowError):
        return np.nan


def spread(table: Array, codes: Array, missing: Any) -> Array:
    """Return what a table has for each code; `missing` for negative ones.

    Parameters
    ----------
    table : ndarray of shape (n_values,)
    codes : ndarray of shape (n_rows,)
    missing : object
    """
    table = np.append(table, np.array([missing], dtype=table.dtype))
    return np.asarray(table[np.maximum(codes, -1)])


def moments_of(days: Array) -> Array:
    """Return dates, datetime64[us], of days since 1970-01-01.

    Parameters
    ----------
    days : ndarray
        NaN where missing.
    """
    missing = np.isnan(days)
    whole = np.rint(np.where(missing, 0.0, days) * MICROSECONDS_OF_A_DAY).astype(np.int64)
    moments: Array = whole.astype("datetime64[us]")
    moments[missing] = np.datetime64("NaT")
    return moments
