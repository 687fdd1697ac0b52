"""Columns of numbers."""

from __future__ import annotations

import dataclasses

import numpy as np

from nnjit._types import Array
from nnjit.estimators._notations import PLAIN, Notation
from nnjit.estimators._table.columns import Column, Kind, LeftOut, constant, empty, missing_name
from nnjit.estimators._table.frames import Raw
from nnjit.estimators._table.readings import numbers_in
from nnjit.estimators._table.scales import Scales, fit_scales, write_scaled

__all__ = ["Number", "number", "numbers"]

# Whole numbers, all different, that fill this part of their range are a running number.
_FILLED = 1 / 3
_LONG_ENOUGH = 20
_YEARS = (1500, 2200)
_FIRST = 100


@dataclasses.dataclass
class Number(Column):
    """Numbers, or durations in seconds.

    Attributes
    ----------
    scales : Scales
    notation : Notation
        The way in which they are written in text.
    has_two : bool
        Whether it has two values only; these stand among the indicators, since nothing that an
        embedding of numbers makes of them is more than they are.
    """

    scales: Scales
    notation: Notation
    has_two: bool

    def write(self, raw: Raw, numeric: Array, indicators: Array, codes: Array, clip: bool) -> None:
        values = numbers_in(raw, self.notation, self.kind)
        if self.numeric:
            write_scaled(values[:, np.newaxis], self.scales, clip, numeric)
        if self.indicators:
            self.write_indicators(values, indicators, clip)

    def write_indicators(self, values: Array, indicators: Array, clip: bool) -> None:
        """Write numbers of two values only, and what is missing."""
        if self.has_two:
            write_scaled(values[:, np.newaxis], self.scales, clip, indicators[:, :1])
        if self.n_missing:
            indicators[:, -1] = np.isnan(values)


def numbers(block: Array, may_be_identifier: bool) -> list[Column | LeftOut]:
    """Return what columns of numbers that lie in one array are.

    Parameters
    ----------
    block : ndarray of shape (n_rows, n_columns)
    may_be_identifier : bool
    """
    scales, may_be_identifier = fit_scales(block), may_be_identifier and block.dtype.kind in "iu"
    return [
        _number_column(block[:, i], scales.take([i]), PLAIN, "number", may_be_identifier)
        for i in range(block.shape[1])
    ]


def number(
    values: Array, notation: Notation, kind: Kind, may_be_identifier: bool
) -> Column | LeftOut:
    """Return what a column of numbers is.

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
        NaN where missing.
    notation : Notation
        The way in which they are written in text.
    kind : {"number", "duration"}
    may_be_identifier : bool
    """
    scales = fit_scales(values[:, np.newaxis])
    return _number_column(values, scales, notation, kind, may_be_identifier)


def _number_column(
    values: Array, scales: Scales, notation: Notation, kind: Kind, may_be_identifier: bool
) -> Column | LeftOut:
    n_missing, varies = int(scales.missing[0]), bool(scales.varies[0])
    if n_missing == len(values):
        return empty(n_missing)
    if not varies and not n_missing:
        return constant(f"{scales.center[0]:g}", n_missing)
    if varies and may_be_identifier and _is_running_number(values, scales):
        return LeftOut("identifier", "its whole numbers number the rows", n_missing)
    has_two = varies and _has_two(values, scales)
    numeric, binary = [""] if varies and not has_two else [], [""] if has_two else []
    indicators = binary + missing_name(n_missing)
    return Number(kind, numeric, indicators, 0, n_missing, scales, notation, has_two)


def _has_two(values: Array, scales: Scales) -> bool:
    """Whether there are two values only, missing ones aside."""
    low, high = scales.low[0], scales.high[0]
    parts = (values[:_FIRST], values[_FIRST:])  # mostly the first values tell
    return all(bool(np.all((x == low) | (x == high) | np.isnan(x))) for x in parts)


def _is_running_number(values: Array, scales: Scales) -> bool:
    """Whether the values number rows, all of a table or those that a split has left of it."""
    low, high, n_rows = scales.low[0], scales.high[0], len(values)
    if n_rows < _LONG_ENOUGH or scales.missing[0] or high - low + 1 > n_rows / _FILLED:
        return False
    if _YEARS[0] <= low and high <= _YEARS[1]:
        return False
    whole = bool(np.all(values == np.rint(values)))
    return whole and len(np.unique(values)) == n_rows
