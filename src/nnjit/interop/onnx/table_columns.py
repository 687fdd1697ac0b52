"""What a table's encoder does with columns, as nodes of a graph: columns in, one matrix out."""

from __future__ import annotations

import itertools

import numpy as np

from nnjit.estimators._table.categories import Category
from nnjit.estimators._table.columns import Column
from nnjit.estimators._table.dates import Dates
from nnjit.estimators._table.encoder import TableEncoder
from nnjit.estimators._table.numbers import Number
from nnjit.estimators._table.scales import FAR, LIMIT, Scales
from nnjit.interop.onnx.graph import Graph, Value
from nnjit.interop.onnx.table_categories import rows_of
from nnjit.interop.onnx.table_dates import NOT_A_TIME, part_of

__all__ = ["encoded", "encoded_rows"]


def encoded(graph: Graph, encoder: TableEncoder, columns: dict[int, Value]) -> Value:
    """Return the matrix (n, width) of float32 that an encoder makes of columns.

    Parameters
    ----------
    graph : Graph
    encoder : TableEncoder
    columns : dict of int to Value
        The used columns by their places in the fit, each of shape (n, 1): numbers of any type,
        dates as int64 microseconds since 1970-01-01, categories as strings, numbers or truth.
    """
    parts = _Parts(graph)
    for place, column in enumerate(encoder.columns):
        if isinstance(column, Number):
            _number(parts, column, columns[place])
        elif isinstance(column, Dates):
            _dates(graph, parts, column, columns[place])
        elif isinstance(column, Category):
            _category(graph, parts, column, columns[place])
        elif isinstance(column, Column):
            raise TypeError(f"Columns of kind {column.kind!r} are not known in ONNX.")
    return parts.matrix(encoder)


def encoded_rows(graph: Graph, encoder: TableEncoder, X: Value) -> Value:
    """Return the matrix that an encoder makes of rows (n, n_features) of numbers alone."""
    x, parts = graph.cast(X, np.float64), _Parts(graph)
    numbers = {k: column for k, column in enumerate(encoder.columns) if isinstance(column, Number)}

    def taken(chosen: list[int]) -> Value:
        return graph.take(x, np.array(chosen, np.int64), 1)

    scaled = [k for k, column in numbers.items() if column.numeric]
    scaled += [k for k, column in numbers.items() if column.has_two]
    if scaled:
        scales = Scales.join([numbers[k].scales for k in scaled])
        parts.add(_scaled(graph, taken(scaled), scales, encoder.clip))
    missing = [k for k, column in numbers.items() if column.n_missing]
    if missing:
        parts.add(graph.add("IsNaN", taken(missing), dtype=bool))
    for k, column in numbers.items():
        if column.numeric or column.has_two:
            parts.put(int(column.has_two), 1, scaled.index(k))
        if column.n_missing:
            parts.put(1, 1 + bool(scaled), missing.index(k))
    return parts.matrix(encoder)


class _Parts:
    """What becomes columns of the matrix, in three lists: numbers, indicators, codes."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        # What is scaled together, float64 (n, 1) each.
        self._values: list[Value] = []
        self._scales: list[Scales] = []
        # Where each column of the matrix comes from: the number of a block, and a column of it.
        self._places: tuple[list[tuple[int, int]], ...] = ([], [], [])
        self._blocks: list[Value] = []

    def scaled(self, part: int, value: Value, scales: Scales) -> None:
        """Add a number that is to be scaled."""
        self.put(part, 0, len(self._values))
        self._values.append(value)
        self._scales.append(scales)

    def block(self, part: int, value: Value, width: int) -> None:
        """Add columns as they are."""
        number = self.add(value)
        for k in range(width):
            self.put(part, number, k)

    def add(self, value: Value) -> int:
        """Add columns that will be put in their places; return the number of their block."""
        self._blocks.append(self._graph.cast(value, np.float32))
        return len(self._blocks)

    def put(self, part: int, block: int, column: int) -> None:
        """Say that the next column of a part is one of a block."""
        self._places[part].append((block, column))

    def matrix(self, encoder: TableEncoder) -> Value:
        """Return all columns in their order."""
        graph, blocks = self._graph, list(self._blocks)
        whole = [*itertools.chain(*self._places)]
        if not whole:
            raise ValueError(
                "No column tells rows apart (see report_): all are predicted alike, for which "
                "there is no need of a model."
            )
        if self._values:
            scales = Scales.join(self._scales)
            together = graph.concatenate(self._values, 1)
            blocks.insert(0, _scaled(graph, together, scales, encoder.clip))
        widths = [0] * (len(self._blocks) + 1)
        for block, column in whole:
            widths[block] = max(widths[block], column + 1)
        starts = np.cumsum([0, *widths[:-1]]).tolist()
        order = [starts[block] + column for block, column in whole]
        joined = graph.concatenate(blocks, 1)
        if order == [*range(sum(widths))]:
            return joined
        return graph.take(joined, np.array(order, np.int64), 1)


def _scaled(graph: Graph, values: Value, scales: Scales, clip: bool) -> Value:
    """Return what `write_scaled` writes."""
    if not clip:
        for sign, ends in ((-1, scales.low), (1, scales.high)):
            infinite = graph.add(
                "IsInf", values, dtype=bool, detect_negative=int(sign < 0),
                detect_positive=int(sign > 0),
            )  # fmt: skip
            values = graph.where(infinite, ends[np.newaxis], values)
    difference = (values - scales.center[np.newaxis]) * scales.factor[np.newaxis]
    missing = graph.add("IsNaN", difference, dtype=bool)
    z = graph.cast(graph.add("Clip", difference, -FAR, FAR), np.float32)
    if clip:
        part = z * (1 / LIMIT)
        z = z / graph.add("Sqrt", part * part + 1.0)
    return graph.where(missing, 0.0, z)


def _number(parts: _Parts, column: Number, values: Value) -> None:
    graph = values.graph
    values = graph.cast(values, np.float64)
    if column.numeric:
        parts.scaled(0, values, column.scales)
    if column.has_two:
        parts.scaled(1, values, column.scales)
    if column.n_missing:
        parts.block(1, graph.add("IsNaN", values, dtype=bool), 1)


def _dates(graph: Graph, parts: _Parts, column: Dates, moments: Value) -> None:
    first = int(np.datetime64(column.first, "us").astype(np.int64))
    missing = graph.add("Equal", moments, np.array(NOT_A_TIME), dtype=bool)
    known = graph.where(missing, np.array(first), moments)
    names = [name.strip() for name in column.numeric]
    for place, name in enumerate(names):
        value = graph.where(missing, np.nan, part_of(graph, known, name, first))
        parts.scaled(0, value, column.scales.take([place]))
    if column.indicators:
        parts.block(1, missing, 1)


def _category(graph: Graph, parts: _Parts, column: Category, values: Value) -> None:
    table, width = np.asarray(column.table, np.float32), len(column.indicators)
    rows = graph.reshape(rows_of(graph, column, values), -1)
    found = graph.take(table, rows, 0)
    if width:
        parts.block(1, found if width == table.shape[1] else graph.columns(found, 0, width), width)
    if column.n_codes:
        parts.block(2, found if not width else graph.columns(found, width, width + 1), 1)
