"""Columns of dates."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from nnjit._types import Array
from nnjit.estimators._table.columns import Column, LeftOut, constant, empty, missing_name
from nnjit.estimators._table.frames import Raw
from nnjit.estimators._table.readings import moments_in
from nnjit.estimators._table.scales import Scales, fit_scales, write_scaled
from nnjit.estimators._table.text import MICROSECONDS_OF_A_DAY

__all__ = ["Dates", "dates"]

_PARTS = ("days", "year", "month", "day", "weekday", "hour")
_FIRST_YEAR = 1970
_WEEKDAY_OF_EPOCH = 3  # a Thursday; 0 is Monday


@dataclasses.dataclass
class Dates(Column):
    """Dates as parts: days since the first, year, month, day, weekday and hour, those that vary."""

    scales: Scales
    first: Any
    local_zone: str | None

    @property
    def zone(self) -> str | None:
        return self.local_zone

    def write(self, raw: Raw, numeric: Array, indicators: Array, codes: Array, clip: bool) -> None:
        moments = moments_in(raw)
        parts = [name.strip() for name in self.numeric]
        for place, name in enumerate(parts):
            values = _part(moments, name, self.first)[:, np.newaxis]
            write_scaled(values, self.scales.take([place]), clip, numeric[:, place : place + 1])
        if self.indicators:
            indicators[:, 0] = np.isnat(moments)


def dates(moments: Array, zone: str | None) -> Column | LeftOut:
    """Return what parts of a column's dates tell something.

    Parameters
    ----------
    moments : ndarray of shape (n_rows,)
        datetime64[us], NaT where missing.
    zone : str or None
        The one whose time these are.
    """
    missing = np.isnat(moments)
    n_missing = int(missing.sum())
    if n_missing == len(moments):
        return empty(n_missing)
    first = moments[~missing].min()
    columns = [_part(moments, name, first) for name in _PARTS]
    found = [fit_scales(values[:, np.newaxis]) for values in columns]
    varying = [i for i, scales in enumerate(found) if scales.varies[0]]
    if not varying and not n_missing:
        return constant(str(first), n_missing)
    scales = Scales.join([found[i] for i in varying] or [found[0].take([])])
    names = [f" {_PARTS[i]}" for i in varying]
    return Dates("date", names, missing_name(n_missing), 0, n_missing, scales, first, zone)


def _part(moments: Array, name: str, first: Any) -> Array:
    """Return a part of each date, float64, NaN where missing."""
    missing = np.isnat(moments)
    known = np.where(missing, first, moments)
    days = known.astype("datetime64[D]")
    values: Any
    if name == "days":
        values = (known - first).astype(np.int64) / MICROSECONDS_OF_A_DAY
    elif name == "year":
        values = known.astype("datetime64[Y]").astype(np.int64) + float(_FIRST_YEAR)
    elif name == "month":
        values = known.astype("datetime64[M]").astype(np.int64) % 12 + 1.0
    elif name == "day":
        first_day = known.astype("datetime64[M]").astype("datetime64[D]")
        values = (days - first_day).astype(np.int64) + 1.0
    elif name == "weekday":
        values = (days.astype(np.int64) + _WEEKDAY_OF_EPOCH) % 7 + 0.0
    else:
        values = (known - days).astype(np.int64) * (24 / MICROSECONDS_OF_A_DAY)
    return np.where(missing, np.nan, values)
