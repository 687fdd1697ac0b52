"""Columns of categories."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from nnjit._types import Array
from nnjit.estimators._notations import MISSING
from nnjit.estimators._table.columns import Column, LeftOut, constant, empty, missing_name
from nnjit.estimators._table.frames import Raw, Words
from nnjit.estimators._table.readings import words_in

__all__ = ["Category", "category", "word_of"]

# A text column is one of identifiers where fewer rows share their value with another.
_SHARED = 0.1
# Of so few values no column is one of identifiers.
_FEW = 8
# What truth may be called where it was boolean in the fit.
_TRUTH = {"False": ("0", "false", "FALSE"), "True": ("1", "true", "TRUE")}


@dataclasses.dataclass
class Category(Column):
    """Categories: binary ones as -1 and 1, a few as indicators, many as codes.

    Attributes
    ----------
    levels : list of str
        What has an indicator or a code of its own.
    table : ndarray of shape (n_levels + 2, n_indicators + n_codes)
        What is written for each level, for one never seen, and for a missing value.
    """

    levels: list[str]
    table: Array

    @property
    def n_levels(self) -> int:
        return len(self.levels)

    def places(self) -> dict[str, int]:
        """Return the row of the table of each word that is known."""
        places = {level: place for place, level in enumerate(self.levels)}
        if places.keys() <= _TRUTH.keys():
            places |= {other: places[level] for level in places for other in _TRUTH[level]}
        return places

    def write(self, raw: Raw, numeric: Array, indicators: Array, codes: Array, clip: bool) -> None:
        places, unseen, missing = self.places(), len(self.levels), len(self.levels) + 1
        words = words_in(raw)
        found = [
            missing if w is None else places.get(w, unseen) for w in map(word_of, words.values)
        ]
        table = self.table[[*found, missing]]  # code -1 takes the last
        rows = table[np.maximum(words.codes, -1)]
        indicators[...] = rows[:, : indicators.shape[1]]
        codes[...] = rows[:, indicators.shape[1] :]


def category(words: Words, one_hot: int, is_given: bool) -> Column | LeftOut:
    """Return how a column of categories is written, or why it is not.

    Parameters
    ----------
    words : Words
    one_hot : int
        Categories of more levels than that get codes.
    is_given : bool
        Whether the user says that these are categories, and no identifiers.
    """
    n_rows = len(words.codes)
    counts = np.bincount(words.codes[words.codes >= 0], minlength=len(words.values))
    has_many = len(counts) > min(one_hot, _FEW)
    if not is_given and has_many and counts[counts > 1].sum() < _SHARED * counts.sum():
        return _identifier(counts, n_rows - int(counts.sum()))
    total: dict[str, int] = {}
    for value, count in zip(words.values, counts.tolist()):
        word = word_of(value)
        if count and word is not None:
            total[word] = total.get(word, 0) + count
    n_missing = n_rows - sum(total.values())
    if not total:
        return empty(n_missing)
    if len(total) == 1 and not n_missing:
        return constant(repr(next(iter(total))), n_missing)
    if len(total) <= one_hot or len(total) <= 2:
        return _indicated(sorted(total, key=_by_number), n_missing)
    return _coded(total, n_missing)


def _identifier(counts: Array, n_missing: int) -> LeftOut:
    nearly = "nearly " if (counts > 1).any() else ""
    return LeftOut("identifier", f"{nearly}every row has another value", n_missing)


def _indicated(levels: list[str], n_missing: int) -> Category:
    """-1 and 1 for two levels, an indicator each for more; 0 for what was never seen."""
    n_levels, names = len(levels), [f"={level}" for level in levels]
    if n_levels == 1:
        names, table = [], np.zeros((3, 0))
    elif n_levels == 2:
        names, table = names[1:], np.array([[-1.0], [1.0], [0.0], [0.0]])
    else:
        table = np.eye(n_levels + 2, n_levels)
    if n_missing:
        is_missing = np.zeros((n_levels + 2, 1))
        is_missing[-1] = 1.0
        table = np.hstack([table, is_missing])
    names += missing_name(n_missing)
    return Category("category", [], names, 0, n_missing, levels, table.astype(np.float32))


def _coded(total: dict[str, int], n_missing: int) -> Column | LeftOut:
    """Codes for levels that occur twice; those of a single row share that of levels never seen."""
    levels = sorted((word for word, count in total.items() if count > 1), key=_by_number)
    if not levels:
        return _identifier(np.ones(1), n_missing)
    codes = np.array([*range(1, len(levels) + 1), 0, 0], dtype=np.float32)
    return Category("category", [], [], len(levels) + 1, n_missing, levels, codes[:, np.newaxis])


def word_of(value: Any) -> str | None:
    """Return what a value is called: 1, 1.0 and "1" are the same, and so are "a" and " a"."""
    if isinstance(value, str):
        text = value.strip()
        return None if text.lower() in MISSING else text
    if isinstance(value, bytes):
        return word_of(value.decode(errors="replace"))
    if value is None or value != value:
        return None
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _by_number(word: str) -> tuple[bool, float, str]:
    """Return what levels are sorted by: numbers first, as numbers."""
    try:
        return False, float(word), word
    except ValueError:
        return True, 0.0, word
