"""What the cells of a column are: numbers in one of several notations, dates or text."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import re
from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from nnjit._types import Array
from nnjit.cli.cells import MISSING, RawColumn

__all__ = ["Column", "read_columns"]

Kind: TypeAlias = Literal["number", "date", "text", "unread date"]
Reader: TypeAlias = Callable[[str], float]

# In lower case: also "no value" where the other cells are numbers or dates. In a column of text
# they may be words of their own: "-" beside "+", "none" beside "severe".
_MISSING_NUMBERS = MISSING | {
    *("-", "--", "\u2013", "\u2014", ".", "none", "n.a.", "missing", "unknown"),
    *("#value!", "#div/0!", "#ref!", "#num!", "#name?", "#null!"),
}
_TRUTH = {way(word): word for word in ("True", "False") for way in (str.lower, str.upper, str)}
_PLAIN_SIGNS = str.maketrans("\u2212\u00a0\u2009\u202f\u2019", "-   '")
_UNITS = "$\u20ac\u00a3\u00a5\u20b9%"
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_ISO_DATE = re.compile(
    r"\d{4}-\d\d(-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?( ?(Z|[+-]\d\d(:?\d\d)?))?)?)?",
    re.ASCII,
)
_OTHER_DATE = re.compile(
    r"(\d{1,2}[./-]\d{1,2}[./-]\d{4}|\d{1,2}/\d{1,2}/\d\d|\d{4}[./]\d{1,2}[./]\d{1,2}"
    r"|\d{1,2}[ -]?[A-Za-z]{3,9}[ -]\d{2,4}|[A-Za-z]{3,9} \d{1,2}, ?\d{4})([T ,].*\d:\d\d.*)?"
    r"|\d{1,2}:\d\d(:\d\d([.,]\d+)?)?( ?[AaPp][Mm])?",
    re.ASCII,
)
_NO_COMMA_NUMBER = re.compile(r"[^-+0-9eE,\0]")
_TEXTS_TO_JUDGE_BY = 1000


class Notation(NamedTuple):
    """A way of writing numbers or dates; `read` raises ValueError where a text is not so."""

    kind: Kind
    name: str
    read: Reader


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
        return [_read(cells, [_PLAIN, _POINT, _COMMA, *_OTHERS]) for cells in columns]
    found = [_read(cells, [_PLAIN, _COMMA, _POINT, *_OTHERS]) for cells in columns]
    if any(column.notation == _COMMA.name for column in found):
        for i, cells in enumerate(columns):
            if isinstance(cells, list) and any("." in cell for cell in cells):
                found[i] = _read(cells, [_COMMA, _PLAIN, _POINT, *_OTHERS])
    return found


def _read(cells: RawColumn, notations: list[Notation]) -> Column:
    if isinstance(cells, np.ndarray):
        return Column("number", cells)
    column = _read_at_once(cells, notations)
    if column is not None:
        return column
    stripped = {cell: cell.strip() for cell in dict.fromkeys(cells)}
    texts = [t for t in dict.fromkeys(stripped.values()) if t.lower() not in _MISSING_NUMBERS]
    for notation in _with_unit(texts, notations):
        read = _all_read(texts, notation)
        if read is not None:
            value = {cell: read.get(text, np.nan) for cell, text in stripped.items()}
            values = np.array([value[cell] for cell in cells])
            if notation is _PLAIN:
                return Column(notation.kind, values)
            example = next((pair for pair in read.items() if not _is_plain(*pair)), None)
            return Column(notation.kind, values, notation.name if example else "", example)
    return _text_column(cells, stripped, texts, notations)


def _read_at_once(cells: list[str], notations: list[Notation]) -> Column | None:
    """What `_read` finds where each cell is empty or a number, and at a fraction of its cost."""
    if notations[0] is not _PLAIN:
        return None
    with contextlib.suppress(ValueError):
        return Column("number", _floats(cells))
    joined = "\0".join(cells)
    # Of what float() takes, the notation knows digits, signs and exponents only.
    if notations[1] is _COMMA and "," in joined and not _NO_COMMA_NUMBER.search(joined):
        with contextlib.suppress(ValueError):
            values = _floats(joined.replace(",", ".").split("\0"))
            i = next(i for i, cell in enumerate(cells) if "," in cell)
            return Column("number", values, _COMMA.name, (cells[i].strip(), values[i]))
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
        return any(_all_read([text], way) for way in notations if way.kind == "number")

    judged = [is_number(text) for text in texts[:_TEXTS_TO_JUDGE_BY]]
    if 2 * sum(judged) <= len(judged):
        return None
    odd = next((text for text in texts if not is_number(text)), None)
    if odd is None:  # numbers, but written in more than one way
        odd = next(text for text in texts if _all_read([text], _PLAIN) is None)
    return odd, np.nan


def _all_read(texts: list[str], notation: Notation) -> dict[str, float] | None:
    try:
        return {text: notation.read(text) for text in texts}
    except ValueError:
        return None


def _is_plain(text: str, value: float) -> bool:
    read = _all_read([text], _PLAIN)
    return read is not None and (read[text] == value or np.isnan(value))


def _convention(group: str, point: str) -> Notation:
    """Numbers with a sign between thousands and a decimal one, and with brackets for a minus."""
    form = re.compile(
        rf"[+-]?(?:[1-9]\d{{0,2}}(?:\{group}\d{{3}})+|\d*)(?:\{point}\d*)?(?:[eE][+-]?\d+)?",
        re.ASCII,
    )

    def read(text: str) -> float:
        text = text.translate(_PLAIN_SIGNS)
        if text.startswith("(") and text.endswith(")"):
            text = "-" + text[1:-1]
        if not form.fullmatch(text):
            raise ValueError(text)
        return float(text.replace(group, "").replace(point, "."))

    return Notation("number", f"1{group}234{point}5", read)


def _with_unit(texts: list[str], notations: list[Notation]) -> list[Notation]:
    """The notations, and again without the one currency or percent sign that each text has."""
    units = [unit for unit in _UNITS if texts and texts[0].count(unit) == 1]
    if len(units) != 1:
        return notations
    unit = units[0]

    def without(notation: Notation) -> Notation:
        def read(text: str) -> float:
            before, found, after = text.partition(unit)
            if not found or (before.strip("+-\u2212( ") and after.strip(") ")):
                raise ValueError(text)
            return notation.read(before.strip() + after.strip())

        return Notation("number", f"{notation.name} {unit}", read)

    return notations + [without(notation) for notation in notations if notation.kind == "number"]


def _days(text: str) -> float:
    """Days since 1970-01-01 of 2020-12-31, 2020-12, 2020-12-31 23:59 and longer ones."""
    if not _ISO_DATE.fullmatch(text):
        raise ValueError(text)
    moment = datetime.datetime.fromisoformat(text if len(text) > 7 else f"{text}-01")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return (moment - _EPOCH) / datetime.timedelta(days=1)


_PLAIN = Notation("number", "", float)
_POINT, _COMMA = _convention(",", "."), _convention(".", ",")
_OTHERS = [
    *(_convention(" ", ","), _convention(" ", "."), _convention("'", ".")),
    Notation("date", "date", _days),
]
