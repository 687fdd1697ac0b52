"""Numbers, strings and names as C text. Nothing that a user chose can become code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from nnjit._types import Array

__all__ = [
    "DOUBLE",
    "SINGLE",
    "Real",
    "checked_name",
    "comment",
    "identifier",
    "lines_of",
    "literals",
    "real_of",
    "string_literal",
]

# Letters of ASCII, digits and single underscores: two in a row belong to C++'s library, one in
# front to C's, and one at the end would be the first of two.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*")
_PLAIN = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 !#$%&'()*+,-./:;<=>@[]^_{|}~"
)
# Characters that every compiler of C99 takes in one string, but the zero at its end.
_LONGEST = 4095
_WIDTH = 96


class Real(NamedTuple):
    """A type of floating-point numbers in C."""

    name: str  # of the type
    suffix: str  # of literals, and of the functions in math.h
    dtype: np.dtype[Any]

    def literal(self, value: Any) -> str:
        """Return one number, which C reads back to the bit."""
        return literals(np.asarray(value).reshape(1), self)[0]


SINGLE = Real("float", "f", np.dtype(np.float32))
DOUBLE = Real("double", "", np.dtype(np.float64))


def real_of(dtype: Any) -> Real:
    """Return the type of a network's numbers."""
    return SINGLE if np.dtype(dtype) == np.float32 else DOUBLE


def literals(values: Array, real: Real) -> list[str]:
    """Return numbers in the fewest digits that give them back to the bit.

    Raises
    ------
    ValueError
        If one is not finite.
    """
    flat = np.ravel(values).astype(real.dtype)
    if not np.isfinite(flat).all():
        raise ValueError("A number of the network is not finite, so that it cannot be exported.")
    if real is DOUBLE:
        return [*map(repr, flat.tolist())]
    # NumPy's text of a float32 is the shortest one
    return [f"{text}f" for text in flat.astype("U32").tolist()]


def lines_of(items: Iterable[str], indent: str = "    ") -> list[str]:
    """Return items of a list, a comma behind each, in lines."""
    lines, line = [], indent
    for item in items:
        if len(line) + len(item) + 2 > _WIDTH and line != indent:
            lines.append(line.rstrip())
            line = indent
        line += f"{item}, "
    return [*lines, line.rstrip()] if line.strip() else lines


def checked_name(name: Any) -> str:
    """Return the name that all names of a file begin with.

    Raises
    ------
    ValueError
        If C has no such identifiers.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            "name must be a C identifier: letters of ASCII, digits and single underscores between "
            f"them, a letter first; got {name!r}."
        )
    return name


def identifier(text: str) -> str:
    """Return what is left of a text as a part of an identifier."""
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_") or "own"


def comment(text: str) -> str:
    """Return a text that can stand in a comment and does not end it."""
    kept = "".join(c if c.isascii() and c.isprintable() and c not in "\\?" else "." for c in text)
    return kept.replace("*/", "* .").replace("/*", ". *")


def string_literal(label: Any) -> str:
    """Return a label as a string literal of its UTF-8.

    What is no plain character of ASCII is three octal digits, so that it runs into nothing behind
    it; so are quotes, backslashes, and question marks, of which trigraphs are made.

    Raises
    ------
    ValueError
        If C has no such string.
    """
    try:
        data = label if isinstance(label, bytes) else str(label).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"The label {label!r} has no UTF-8: {error}") from None
    if 0 in data or len(data) > _LONGEST:
        why = "has a character 0" if 0 in data else f"is longer than {_LONGEST} bytes"
        raise ValueError(f"The label {label!r:.80} {why}, which strings of C cannot hold.")
    return '"' + "".join(chr(c) if c in _PLAIN else f"\\{c:03o}" for c in data) + '"'


def joined(lines: Sequence[str], indent: str = "    ") -> list[str]:
    """Return lines with an indent."""
    return [f"{indent}{line}" if line else line for line in lines]
