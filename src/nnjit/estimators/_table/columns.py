"""What is known about a column of a table."""

from __future__ import annotations

import dataclasses
from typing import Literal, TypeAlias

from nnjit._types import Array
from nnjit.estimators._table.frames import Raw

__all__ = ["Column", "Kind", "LeftOut", "constant", "empty", "missing_name"]

Kind: TypeAlias = Literal[
    "number", "duration", "date", "category", "identifier", "constant", "empty"
]


@dataclasses.dataclass
class LeftOut:
    """A column that is not used."""

    kind: Kind
    reason: str
    n_missing: int


@dataclasses.dataclass
class Column:
    """A column that is used.

    Attributes
    ----------
    kind : str
    numeric : list of str
        What its numbers are called, behind the column's name.
    indicators : list of str
        The same of its indicators.
    n_codes : int
        Number of its codes, 0 if it has none.
    n_missing : int
        Missing values in the fit.
    """

    kind: Kind
    numeric: list[str]
    indicators: list[str]
    n_codes: int
    n_missing: int

    @property
    def n_levels(self) -> int:
        """Number of levels of a category that have an indicator or a code of their own."""
        return 0

    @property
    def zone(self) -> str | None:
        """The zone whose time its moments come in."""
        return None

    def write(self, raw: Raw, numeric: Array, indicators: Array, codes: Array, clip: bool) -> None:
        """Write the column's values.

        Parameters
        ----------
        raw : Numbers, Moments, Durations or Words
        numeric, indicators, codes : ndarray of shape (n_rows, ...)
            OUT. float32; as many columns as are named, and one of codes if there are such.
        clip : bool
            Whether numbers are smoothly clipped.

        Raises
        ------
        ValueError
            If the column is another one than in the fit.
        """
        raise NotImplementedError


def missing_name(n_missing: int) -> list[str]:
    """Return what the indicator of missing values is called, if there is one."""
    return [" missing"] if n_missing else []


def empty(n_missing: int) -> LeftOut:
    """Return a column without any value."""
    return LeftOut("empty", "all of its values are missing", n_missing)


def constant(value: str, n_missing: int) -> LeftOut:
    """Return a column that has only one value."""
    return LeftOut("constant", f"it has only one value, {value}", n_missing)
