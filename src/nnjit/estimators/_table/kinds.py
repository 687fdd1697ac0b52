"""What a column is, found from its values."""

from __future__ import annotations

import numpy as np

from nnjit.estimators._notations import PLAIN
from nnjit.estimators._table.categories import category
from nnjit.estimators._table.columns import Column, LeftOut
from nnjit.estimators._table.dates import dates
from nnjit.estimators._table.frames import Durations, Moments, Raw, Words
from nnjit.estimators._table.numbers import number
from nnjit.estimators._table.readings import words_in
from nnjit.estimators._table.text import moments_of, read_text

__all__ = ["read_column"]


def read_column(
    raw: Raw, one_hot: int, is_category: bool, may_be_identifier: bool
) -> Column | LeftOut:
    """Find out what a column is and how it is written.

    Parameters
    ----------
    raw : Numbers, Moments, Durations or Words
    one_hot : int
        Categories of more levels than that get codes.
    is_category : bool
        Whether the user says that these are categories.
    may_be_identifier : bool
        Whether whole numbers may be a running number.
    """
    if is_category or (isinstance(raw, Words) and raw.is_category):
        return category(words_in(raw), one_hot, is_category)
    if isinstance(raw, Moments):
        return dates(raw.values, raw.zone)
    if isinstance(raw, Words):
        is_boolean = all(isinstance(value, bool | np.bool_) for value in raw.values)
        found = None if is_boolean else read_text(raw)
        if found is None:
            return category(raw, one_hot, is_category)
        values, notation = found
        if notation.kind == "date":
            return dates(moments_of(values), None)
        return number(values, notation, "number", may_be_identifier)
    if isinstance(raw, Durations):
        return number(raw.values, PLAIN, "duration", False)
    return number(raw.values, PLAIN, "number", may_be_identifier and raw.values.dtype.kind in "iu")
