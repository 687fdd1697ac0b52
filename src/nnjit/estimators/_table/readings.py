"""A column as what it was in the fit, whatever it has become."""

from __future__ import annotations

import numpy as np

from nnjit._types import Array
from nnjit.estimators._notations import DATE, Notation
from nnjit.estimators._table.columns import Kind
from nnjit.estimators._table.frames import Durations, Moments, Numbers, Raw, Words
from nnjit.estimators._table.text import means_missing, moments_of, spread, values_of

__all__ = ["moments_in", "numbers_in", "words_in"]


def numbers_in(raw: Raw, notation: Notation, kind: Kind) -> Array:
    """Return a column's values as numbers, float64 or of the column's own type."""
    if isinstance(raw, Words):
        return _read_now(raw, notation, kind)
    values: Array = raw.values
    if isinstance(raw, Moments) or isinstance(raw, Durations) != (kind == "duration"):
        _refuse_another_kind(raw, kind)
        return np.full(len(values), np.nan)
    return values


def moments_in(raw: Raw) -> Array:
    """Return a column's values as dates."""
    if isinstance(raw, Moments):
        return raw.values
    if isinstance(raw, Words):
        return moments_of(_read_now(raw, DATE, "date"))
    _refuse_another_kind(raw, "date")
    return np.full(len(raw.values), np.datetime64("NaT", "us"))


def words_in(raw: Raw) -> Words:
    """Return any column as one of words."""
    if isinstance(raw, Words):
        return raw
    values, codes = np.unique(raw.values, return_inverse=True)
    return Words(codes.ravel(), values.tolist())


def _read_now(words: Words, notation: Notation, kind: Kind) -> Array:
    """Return the numbers, or days, that a column's values are; single ones may be none."""
    table = values_of(words.values, notation)
    found = np.unique(words.codes[words.codes >= 0])
    if len(found) and np.isnan(table[found]).all():
        texts = [words.values[place] for place in found.tolist()]
        stray = next((text for text in texts if not means_missing(text)), None)
        if stray is not None:
            raise ValueError(f"it held {kind}s in fit and holds values such as {stray!r} now")
    return spread(table, words.codes, np.nan)


def _refuse_another_kind(raw: Numbers | Moments | Durations, kind: Kind) -> None:
    """Raise unless all values are missing, which says nothing about their kind."""
    missing = np.isnat(raw.values) if isinstance(raw, Moments) else np.isnan(raw.values)
    if not missing.all():
        now = type(raw).__name__.lower().replace("moments", "dates")
        raise ValueError(f"it held {kind}s in fit and holds {now} now")
