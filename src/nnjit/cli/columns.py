"""What the cells of a column are: numbers in one of several notations, dates or text."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from typing import Literal, TypeAlias

import numpy as np

from nnjit._types import Array
from nnjit.cli.cells import RawColumn
from nnjit.estimators._notations import (
    COMMA,
    MISSING,
    MISSING_NUMBERS,
    NOTATIONS,
    PLAIN,
    POINT,
    Notation,
    all_read,
    with_unit,
)

__all__ = ["Column", "read_columns"]

Kind: TypeAlias = Literal["number", "date", "text", "unread date"]

_TRUTH = {way(word): word for word in ("True", "False") for way in (str.lower, str.upper, str)}
_OTHER_DATE = re.compile(
    r"(\d{1,2}[./-]\d{1,2}[./-]\d{4}|\d{1,2}/\d{1,2}/\d\d|\d{4}[./]\d{1,2}[./]\d{1,2}"
    r"|\d{1,2}[ -]?[A-Za-z]{3,9}[ -]\d{2,4}|[A-Za-z]{3,9} \d{1,2}, ?\d{4})([T ,].*\d:\d\d.*)?"
    r"|\d{1,2}:\d\d(:\d\d([.,]\d+)?)?( ?[AaPp][Mm])?",
    re.ASCII,
)
_NO_COMMA_NUMBER = re.compile(r"[^-+0-9eE,\0]")
_TEXTS_TO_JUDGE_BY = 1000


@dataclasses.dataclass
class Column:
    """A column's values.

    Attributes
    ----------
    kind : {"number", "date", "text", "unread date"}
        Dates become days since 1970-01-01; those that are not written as 2020-12-31 stay text.
    values : ndarray
        float64, NaN where missing; or text (dtype object), "" where missing.
    notation : str
        A name for the way its numbers are written, where Python would not read them so.
    example : tuple of (str, float)
        A cell that is written so and its value. In a text column that is mostly numbers, a text
        that is none; in one of unread dates, a date.
    """

    kind: Kind
    values: Array
    notation: str = ""
    example: tuple[str, float] | None = None

    @property
    def missing(self) -> Array:
        if self.values.dtype == object:
            return np.asarray(self.values == "", dtype=bool)
        return np.asarray(np.isnan(self.values), dtype=bool)


def read_columns(columns: list[RawColumn], separator: str) -> list[Column]:
    """Find out what the cells of each column are.

    Parameters
    ----------
    columns : list of (list of str, or ndarray of float64)
    separator : str
        The file's. Where it is a semicolon, a comma in a number is rather a decimal one; and where
        one column has such, 1.234 in another is a whole number if all its points fit that.

    Returns
    -------
    list of Column
    """
    if separator != ";":
        return [_read(cells, [PLAIN, POINT, COMMA, *NOTATIONS]) for cells in columns]
    found = [_read(cells, [PLAIN, COMMA, POINT, *NOTATIONS]) for cells in columns]
    if any(column.notation == COMMA.name for column in found):
        for i, cells in enumerate(columns):
            if isinstance(cells, list) and any("." in cell for cell in cells):
                found[i] = _read(cells, [COMMA, PLAIN, POINT, *NOTATIONS])
    return found


def _read(cells: RawColumn, notations: list[Notation]) -> Column:
    if isinstance(cells, np.ndarray):
        return Column("number", cells)
    column = _read_at_once(cells, notations)
    if column is not None:
        return column
    stripped = {cell: cell.strip() for cell in dict.fromkeys(cells)}
    texts = [t for t in dict.fromkeys(stripped.values()) if t.lower() not in MISSING_NUMBERS]
    for notation in with_unit(texts, notations):
        read = all_read(texts, notation)
        if read is not None:
            value = {cell: read.get(text, np.nan) for cell, text in stripped.items()}
            values = np.array([value[cell] for cell in cells])
            if notation is PLAIN:
                return Column(notation.kind, values)
            example = next((pair for pair in read.items() if not _is_plain(*pair)), None)
            return Column(notation.kind, values, notation.name if example else "", example)
    return _text_column(cells, stripped, texts, notations)


def _read_at_once(cells: list[str], notations: list[Notation]) -> Column | None:
    """What `_read` finds where each cell is empty or a number, and at a fraction of its cost."""
    if notations[0] is not PLAIN:
        return None
    with contextlib.suppress(ValueError):
        return Column("number", _floats(cells))
    joined = "\0".join(cells)
    # Of what float() takes, the notation knows digits, signs and exponents only.
    if notations[1] is COMMA and "," in joined and not _NO_COMMA_NUMBER.search(joined):
        with contextlib.suppress(ValueError):
            values = _floats(joined.replace(",", ".").split("\0"))
            i = next(i for i, cell in enumerate(cells) if "," in cell)
            return Column("number", values, COMMA.name, (cells[i].strip(), values[i]))
    return None


def _floats(cells: list[str]) -> Array:
    return np.array([float(cell) if cell else np.nan for cell in cells])


def _text_column(
    cells: list[str], stripped: dict[str, str], texts: list[str], notations: list[Notation]
) -> Column:
    word = {cell: "" if text.lower() in MISSING else text for cell, text in stripped.items()}
    if all(text in _TRUTH for text in texts):
        word = {cell: _TRUTH.get(text, text) for cell, text in word.items()}
    values = np.array([word[cell] for cell in cells], dtype=object)
    if all(_OTHER_DATE.fullmatch(text) for text in texts):
        return Column("unread date", values, "", (texts[0], np.nan))
    return Column("text", values, "", _odd_one(texts, notations))


def _odd_one(texts: list[str], notations: list[Notation]) -> tuple[str, float] | None:
    """The first text that is no number, where most are."""

    def is_number(text: str) -> bool:
        return any(all_read([text], way) for way in notations if way.kind == "number")

    judged = [is_number(text) for text in texts[:_TEXTS_TO_JUDGE_BY]]
    if 2 * sum(judged) <= len(judged):
        return None
    odd = next((text for text in texts if not is_number(text)), None)
    if odd is None:  # numbers, but written in more than one way
        odd = next(text for text in texts if all_read([text], PLAIN) is None)
    return odd, np.nan


def _is_plain(text: str, value: float) -> bool:
    read = all_read([text], PLAIN)
    return read is not None and (read[text] == value or np.isnan(value))
