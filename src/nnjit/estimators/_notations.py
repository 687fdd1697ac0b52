"""Ways of writing numbers and dates in text."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import re
from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias

__all__ = [
    *("COMMA", "DATE", "MISSING", "MISSING_NUMBERS", "NOTATIONS", "PLAIN", "POINT"),
    *("Notation", "all_read", "notation_named", "with_unit"),
]

NotationKind: TypeAlias = Literal["number", "date"]

# In lower case: what means "no value" whatever the column holds.
MISSING = frozenset({"", "?", "na", "n/a", "#n/a", "<na>", "nan", "null"})
# In lower case: also "no value" where the other cells are numbers or dates. In a column of text
# they may be words of their own: "-" beside "+", "none" beside "severe".
MISSING_NUMBERS = MISSING | {
    *("-", "--", "\u2013", "\u2014", ".", "none", "n.a.", "missing", "unknown"),
    *("#value!", "#div/0!", "#ref!", "#num!", "#name?", "#null!"),
}

_PLAIN_SIGNS = str.maketrans("\u2212\u00a0\u2009\u202f\u2019", "-   '")
_UNITS = "$\u20ac\u00a3\u00a5\u20b9%"
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_ISO_DATE = re.compile(
    r"\d{4}-\d\d(-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?( ?(Z|[+-]\d\d(:?\d\d)?))?)?)?",
    re.ASCII,
)


class Notation(Protocol):
    """A way of writing numbers or dates; `read` raises ValueError where a text is not so."""

    @property
    def kind(self) -> NotationKind:
        """What it writes."""

    @property
    def name(self) -> str:
        """An example, or "" for the way that Python reads."""

    def read(self, text: str) -> float:
        """Return the number, or the days since 1970-01-01."""


@dataclasses.dataclass(frozen=True)
class _Plain:
    """Numbers as Python reads them."""

    kind: NotationKind = "number"
    name: str = ""

    def read(self, text: str) -> float:
        return float(text)


@dataclasses.dataclass(frozen=True)
class _Convention:
    """Numbers with a sign between thousands and a decimal one, and with brackets for a minus."""

    group: str
    point: str
    kind: NotationKind = "number"

    @property
    def name(self) -> str:
        return f"1{self.group}234{self.point}5"

    def read(self, text: str) -> float:
        text = text.translate(_PLAIN_SIGNS)
        if text.startswith("(") and text.endswith(")"):
            text = "-" + text[1:-1]
        if not _form(self.group, self.point).fullmatch(text):
            raise ValueError(text)
        return float(text.replace(self.group, "").replace(self.point, "."))


@functools.cache
def _form(group: str, point: str) -> re.Pattern[str]:
    return re.compile(
        rf"[+-]?(?:[1-9]\d{{0,2}}(?:\{group}\d{{3}})+|\d*)(?:\{point}\d*)?(?:[eE][+-]?\d+)?",
        re.ASCII,
    )


@dataclasses.dataclass(frozen=True)
class _WithUnit:
    """Numbers with a currency or percent sign before or behind."""

    notation: Notation
    unit: str
    kind: NotationKind = "number"

    @property
    def name(self) -> str:
        return f"{self.notation.name} {self.unit}"

    def read(self, text: str) -> float:
        before, found, after = text.partition(self.unit)
        if not found or (before.strip("+-\u2212( ") and after.strip(") ")):
            raise ValueError(text)
        return self.notation.read(before.strip() + after.strip())


@dataclasses.dataclass(frozen=True)
class _IsoDate:
    """Dates: 2020-12-31, 2020-12, 2020-12-31 23:59 and longer ones."""

    kind: NotationKind = "date"
    name: str = "date"

    def read(self, text: str) -> float:
        if not _ISO_DATE.fullmatch(text):
            raise ValueError(text)
        moment = datetime.datetime.fromisoformat(text if len(text) > 7 else f"{text}-01")
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        return (moment - _EPOCH) / datetime.timedelta(days=1)


PLAIN: Notation = _Plain()
POINT: Notation = _Convention(",", ".")
COMMA: Notation = _Convention(".", ",")
DATE: Notation = _IsoDate()
# The order in which they are tried, behind those above.
NOTATIONS: list[Notation] = [
    *(_Convention(" ", ","), _Convention(" ", "."), _Convention("'", ".")),
    DATE,
]


def with_unit(texts: Sequence[str], notations: list[Notation]) -> list[Notation]:
    """Return the notations, and again without the one currency or percent sign of each text."""
    units = [unit for unit in _UNITS if texts and texts[0].count(unit) == 1]
    if len(units) != 1:
        return notations
    return notations + [
        _WithUnit(notation, units[0]) for notation in notations if notation.kind == "number"
    ]


def notation_named(name: str) -> Notation:
    """Return the notation of a name.

    Raises
    ------
    ValueError
        If there is none.
    """
    plain = [PLAIN, POINT, COMMA, *NOTATIONS]
    for notation in [one for unit in ("", *_UNITS) for one in with_unit([unit], plain)]:
        if notation.name == name:
            return notation
    raise ValueError(f"There is no way of writing numbers that is called {name!r}.")


def all_read(texts: Sequence[str], notation: Notation) -> dict[str, float] | None:
    """Return what the texts say, or None if one is not written so."""
    try:
        return {text: notation.read(text) for text in texts}
    except ValueError:
        return None
