"""Tables of any kind of columns as one matrix that a network takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from nnjit._types import Array, FloatArray
from nnjit.estimators._table.categories import Category
from nnjit.estimators._table.columns import Column, LeftOut
from nnjit.estimators._table.dates import Dates
from nnjit.estimators._table.frames import Frame, read_frame
from nnjit.estimators._table.given import given_categories
from nnjit.estimators._table.kinds import read_column
from nnjit.estimators._table.numbers import Number, numbers
from nnjit.estimators._table.scales import Scales, unscaled, write_scaled

__all__ = ["ColumnReport", "TableEncoder"]

# What is listed of the names in an error.
_NAMES_LISTED = 5


class ColumnReport(NamedTuple):
    """What was found about a column.

    Attributes
    ----------
    name : str
    kind : {"number", "duration", "date", "category", "identifier", "constant", "empty"}
    used : bool
    reason : str
        Why it was left out.
    n_missing : int
    n_levels : int
        Levels of a category, those aside that share a code.
    outputs : tuple of str
        What the columns of the matrix that come from it are called.
    """

    name: str
    kind: str
    used: bool
    reason: str
    n_missing: int
    n_levels: int
    outputs: tuple[str, ...]


class TableEncoder:
    """Columns of a frame as numbers, indicators and codes, float32, in this order.

    Parameters
    ----------
    categorical_features : array-like of bool, int or str, or None
        Columns that hold categories whatever they look like; of the others the values tell.
    one_hot : int
        Categories of up to so many levels become indicators, those of more become codes.
    clip : bool
        Whether numbers are smoothly clipped to (-3, 3).

    Attributes
    ----------
    n_numeric, n_indicators : int
        Widths of the first two parts of the matrix.
    levels : tuple of int
        Number of codes of each column of the third part; 0 is what was missing or rare in the fit
        or never seen.
    width : int
        Number of columns of the matrix, at least one: 0 stands for a table of which nothing is
        left.
    columns : list of Column or LeftOut
    labels : list of str
        What the columns are called.
    names : list of str or None
        Their names, if all are strings.

    Notes
    -----
    Numbers are centred by their median and scaled by 1 / (upper quartile - lower quartile), or by
    2 / (largest - smallest) if the quartiles are equal; f(z) = z / sqrt(1 + (z / 3)^2) clips them
    (Holzmueller, Grinsztajn and Steinwart, Better by default, 2024). A missing one is 0 and, if
    there were such in the fit, has an indicator. Numbers of two values only are scaled alike, but
    stand among the indicators.
    """

    n_numeric: int
    n_indicators: int
    levels: tuple[int, ...]
    columns: list[Column | LeftOut]
    labels: list[str]
    names: list[str] | None

    def __init__(
        self,
        categorical_features: Any = None,
        one_hot: int = 8,
        clip: bool = True,
    ) -> None:
        self.categorical_features = categorical_features
        self.one_hot = one_hot
        self.clip = clip

    def fit(self, frame: Any) -> Self:
        """Find out what the columns are.

        Parameters
        ----------
        frame : DataFrame of pandas or polars, Table of pyarrow, or array-like of two axes

        Returns
        -------
        self : object
        """
        source = read_frame(frame)
        given = given_categories(self.categorical_features, source)
        columns = self._numbers_at_once(source, given)
        for place in range(source.n_columns):
            if columns[place] is None:
                raw = source.column(place, None)
                columns[place] = read_column(
                    raw, self.one_hot, bool(given[place]), not source.is_array
                )
        self.columns = [column for column in columns if column is not None]
        self.labels, self.names = source.labels, source.names
        used = [column for column in self.columns if isinstance(column, Column)]
        self.n_numeric = sum(len(column.numeric) for column in used)
        self.n_indicators = sum(len(column.indicators) for column in used)
        self.levels = tuple(column.n_codes for column in used if column.n_codes)
        if not self.n_numeric + self.n_indicators + len(self.levels):
            self.n_numeric = 1  # a column of zeros, so that a network has an input
        return self

    @staticmethod
    def _numbers_at_once(source: Frame, given: Array) -> list[Column | LeftOut | None]:
        """Return the columns of numbers that lie in one array; None for all others."""
        columns: list[Column | LeftOut | None] = [None] * source.n_columns
        if source.block is not None:
            places = np.flatnonzero(~given)
            block = source.block if len(places) == source.n_columns else source.block[:, places]
            for place, column in zip(places, numbers(block, not source.is_array)):
                columns[place] = column
        return columns

    @property
    def width(self) -> int:
        return self.n_numeric + self.n_indicators + len(self.levels)

    def fit_transform(self, frame: Any) -> FloatArray:
        """Fit, and return the matrix."""
        return self.fit(frame).transform(frame)

    def transform(self, frame: Any) -> FloatArray:
        """Return the matrix of a frame with the same columns.

        Parameters
        ----------
        frame : DataFrame of pandas or polars, Table of pyarrow, or array-like of two axes
            By name in any order, if both frames have names.

        Returns
        -------
        ndarray of shape (n_rows, width), float32
        """
        source = read_frame(frame)
        order = self.order(source)
        matrix = np.zeros((source.n_rows, self.width), dtype=np.float32)
        if source.block is not None and self._are_all_numbers():
            self._write_at_once(source.block, order, matrix)
            return matrix
        for place, parts in self._parts(matrix):
            column = self.columns[place]
            assert isinstance(column, Column)
            try:
                column.write(source.column(order[place], column.zone), *parts, self.clip)
            except ValueError as error:
                raise ValueError(f"Column {self.labels[place]!r}: {error}.") from None
        return matrix

    def _parts(self, matrix: Array) -> Iterator[tuple[int, tuple[Array, Array, Array]]]:
        """Yield where each used column is, and where its numbers, indicators and codes go."""
        number, indicator, code = 0, self.n_numeric, self.n_numeric + self.n_indicators
        for place, column in enumerate(self.columns):
            if isinstance(column, Column):
                ends = number + len(column.numeric), indicator + len(column.indicators)
                code_end = code + bool(column.n_codes)
                yield (
                    place,
                    (
                        matrix[:, number : ends[0]],
                        matrix[:, indicator : ends[1]],
                        matrix[:, code:code_end],
                    ),
                )
                (number, indicator), code = ends, code_end

    def _are_all_numbers(self) -> bool:
        used = [column for column in self.columns if isinstance(column, Column)]
        return all(isinstance(column, Number) and column.kind == "number" for column in used)

    def _write_at_once(self, block: Array, order: Sequence[int], matrix: Array) -> None:
        """Write columns that lie in one array of numbers."""
        numbers = [
            (place, column)
            for place, column in zip(order, self.columns)
            if isinstance(column, Number)
        ]
        scaled = [(place, column.scales) for place, column in numbers if column.numeric]
        if scaled:
            places = [place for place, _ in scaled]
            chosen = None if places == [*range(block.shape[1])] else places
            scales = Scales.join([scales for _, scales in scaled])
            write_scaled(block, scales, self.clip, matrix[:, : len(places)], chosen)
        start = self.n_numeric
        for place, column in numbers:
            end = start + len(column.indicators)
            if end > start:
                column.write_indicators(block[:, place], matrix[:, start:end], self.clip)
            start = end

    def order(self, source: Frame) -> Sequence[int]:
        """Return where the columns of the fit are now."""
        if self.names is not None and source.names is not None and self.names != source.names:
            _check_names(self.names, source.names)
            place = {name: i for i, name in enumerate(source.names)}
            return [place[name] for name in self.names]
        if source.n_columns != len(self.columns):
            raise ValueError(
                f"X has {source.n_columns} features, but {type(self).__name__} is expecting "
                f"{len(self.columns)} features as input."
            )
        return range(source.n_columns)

    def numbers_of(self, values: Array) -> Array:
        """Return the numbers that the first part of a matrix was made of, float64.

        Parameters
        ----------
        values : ndarray of shape (n_rows, n_numeric)
            Missing values have become medians. Of dates they are parts, such as days since the
            first date of the fit.
        """
        used = [column for column in self.columns if isinstance(column, Number | Dates)]
        scales = [column.scales for column in used if column.numeric]
        return unscaled(values, Scales.join(scales), self.clip) if scales else np.zeros_like(values)

    def code_names(self) -> list[list[str]]:
        """Return what the codes of each column of the third part stand for."""
        used = [column for column in self.columns if isinstance(column, Category)]
        return [["missing or rare", *column.levels] for column in used if column.n_codes]

    def output_names(self) -> list[str]:
        """Return what the columns of the matrix are called."""
        parts: tuple[list[str], list[str], list[str]] = ([], [], [])
        for label, column in zip(self.labels, self.columns):
            if isinstance(column, Column):
                for part, names in zip(parts, _names(label, column)):
                    part += names
        return [*parts[0], *parts[1], *parts[2]] or ["nothing"]

    def report(self) -> list[ColumnReport]:
        """Return what was found about each column."""
        return [_report(label, column) for label, column in zip(self.labels, self.columns)]


def _names(label: str, column: Column) -> tuple[list[str], list[str], list[str]]:
    return (
        [label + name for name in column.numeric],
        [label + name for name in column.indicators],
        [label] if column.n_codes else [],
    )


def _report(label: str, column: Column | LeftOut) -> ColumnReport:
    if isinstance(column, LeftOut):
        return ColumnReport(label, column.kind, False, column.reason, column.n_missing, 0, ())
    outputs = tuple(name for names in _names(label, column) for name in names)
    n_levels = column.n_levels if isinstance(column, Category) else 0
    return ColumnReport(label, column.kind, True, "", column.n_missing, n_levels, outputs)


def _check_names(expected: list[str], given: list[str]) -> None:
    """Refuse other names, in scikit-learn's words."""
    unseen, absent = sorted(set(given) - set(expected)), sorted(set(expected) - set(given))
    if not unseen and not absent and len(given) == len(expected):
        return
    message = "The feature names should match those that were passed during fit.\n"
    if unseen:
        message += "Feature names unseen at fit time:\n" + _listed(unseen)
    if absent:
        message += "Feature names seen at fit time, yet now missing:\n" + _listed(absent)
    raise ValueError(message)


def _listed(names: list[str]) -> str:
    listed = "".join(f"- {name}\n" for name in names[:_NAMES_LISTED])
    return listed + ("- ...\n" if len(names) > _NAMES_LISTED else "")
