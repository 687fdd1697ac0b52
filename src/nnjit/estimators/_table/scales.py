"""Numbers made ready for a network: centred, scaled by quartiles, smoothly clipped."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from nnjit._types import Array

__all__ = ["FAR", "LIMIT", "Scales", "fit_scales", "unscaled", "write_scaled"]

# What values of any size stay below: f(z) = z / sqrt(1 + (z / 3)^2).
LIMIT = 3.0
# Beyond this f is the limit to the last bit, and its square is still a number.
FAR = 1e9
_LARGEST_FACTOR = 1e300
# Values that are looked at together, so that nothing as large as the table is made on the way.
_BLOCK = 1 << 18
# Values that are scaled together, so that they stay in the cache.
_PART = 1 << 14
_QUANTILES = (0.25, 0.5, 0.75)


@dataclasses.dataclass
class Scales:
    """What was found about columns of numbers; arrays of shape (n_columns,).

    Attributes
    ----------
    center : ndarray
        Medians of the finite values, NaN if there are none.
    factor : ndarray
        1 / (upper quartile - lower quartile), or 2 / (largest - smallest) if these are equal.
    low, high : ndarray
        Smallest and largest finite value.
    missing : ndarray of int
        Number of missing values.
    infinite : ndarray of bool
        Whether there were infinite ones.
    """

    center: Array
    factor: Array
    low: Array
    high: Array
    missing: Array
    infinite: Array

    @property
    def varies(self) -> Array:
        """Whether a column has two values at least, missing ones aside."""
        return np.asarray((self.low < self.high) | self.infinite, dtype=bool)

    def take(self, places: Array | list[int]) -> Scales:
        """Return those of some columns."""
        return Scales(*(getattr(self, field.name)[places] for field in dataclasses.fields(self)))

    @classmethod
    def join(cls, parts: Sequence[Scales]) -> Scales:
        """Return those of the columns of all parts."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def fit_scales(block: Array) -> Scales:
    """Find median, range and quartiles of columns.

    Parameters
    ----------
    block : ndarray of shape (n_rows, n_columns)
        Numbers, NaN where missing.
    """
    n_columns = block.shape[1]
    low, center, high = (np.full(n_columns, np.nan) for _ in range(3))
    spread = np.zeros(n_columns)
    missing, infinite = np.zeros(n_columns, dtype=np.int64), np.zeros(n_columns, dtype=bool)
    for columns in _groups(block):
        # A column's values side by side.
        values = np.array(block[:, columns].T, dtype=np.float64, order="C")
        whole = np.isfinite(values).all(axis=1)
        for place in np.flatnonzero(~whole):
            column = values[place]
            number = columns.start + place
            missing[number] = np.isnan(column).sum()
            infinite[number] = np.isinf(column).any()
            finite = column[np.isfinite(column)]
            if len(finite):
                found = _order(finite[np.newaxis])
                low[number], center[number], high[number], spread[number] = found[:, 0]
        if whole.any():
            places = columns.start + np.flatnonzero(whole)
            found = _order(values if whole.all() else values[whole])
            low[places], center[places], high[places], spread[places] = found
    return Scales(center, _factor(spread, low, high), low, high, missing, infinite)


def _groups(block: Array) -> Iterator[slice]:
    step = max(1, _BLOCK // len(block))
    for start in range(0, block.shape[1], step):
        yield slice(start, min(start + step, block.shape[1]))


def _order(values: Array) -> Array:
    """Return smallest value, median, largest value and distance of the quartiles of each row."""
    low, high = values.min(axis=1), values.max(axis=1)
    lower, median, upper = np.quantile(values, _QUANTILES, axis=1, overwrite_input=True)
    with np.errstate(over="ignore"):
        return np.array([low, median, high, upper - lower])


def _factor(spread: Array, low: Array, high: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        factor = np.where(spread > 0, 1.0 / spread, 2.0 / (high - low))
    return np.asarray(np.minimum(np.nan_to_num(factor, nan=1.0), _LARGEST_FACTOR))


def write_scaled(
    values: Array, scales: Scales, clip: bool, out: Array, places: list[int] | None = None
) -> None:
    """Write columns scaled; missing values are 0, as the median is.

    Parameters
    ----------
    values : ndarray of shape (n_rows, ...)
        IN.
    scales : Scales
        IN.
    clip : bool
        Whether to clip smoothly. If not, infinite values are the smallest and the largest finite
        ones of the fit.
    out : ndarray of shape (n_rows, n_columns)
        OUT. float32.
    places : list of int or None
        Which columns of `values`; None for all.
    """
    step = max(1, _PART // out.shape[1])
    for start in range(0, len(values), step):
        part = values[start : start + step]
        out[start : start + step] = _scaled(
            part if places is None else part[:, places], scales, clip
        )


def _scaled(values: Array, scales: Scales, clip: bool) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        if not clip:
            values = np.where(np.isneginf(values), scales.low, values)
            values = np.where(np.isposinf(values), scales.high, values)
        difference = np.subtract(values, scales.center, dtype=np.float64)
        difference *= scales.factor
        z = np.clip(difference, -FAR, FAR, out=difference).astype(np.float32)
    if clip:
        divisor = z * np.float32(1 / LIMIT)
        divisor *= divisor
        divisor += np.float32(1.0)
        z /= np.sqrt(divisor, out=divisor)
    z[np.isnan(z)] = 0.0
    return z


def unscaled(values: Array, scales: Scales, clip: bool) -> Array:
    """Return what was scaled to `values`, float64; NaN beyond what is scaled to anything.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_columns)
    scales : Scales
    clip : bool
    """
    z = np.asarray(values, dtype=np.float64)
    if clip:
        with np.errstate(divide="ignore", invalid="ignore"):
            z = z / np.sqrt(1.0 - (z / LIMIT) ** 2)
    return np.asarray(z / scales.factor + scales.center)
