"""The layers of a fitted network in a graph, one after the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nnjit.interop.fitted import FittedLayer, FittedNetwork
from nnjit.interop.onnx.graph import Graph, Value
from nnjit.interop.onnx.registry import find_layer

__all__ = ["Chain", "rows_of", "run_layers"]


@dataclass(eq=False)
class Chain:
    """What the function of a layer knows of the network.

    Attributes
    ----------
    graph : Graph
    fitted : FittedNetwork
    values : list of Value
        What comes into each layer up to this one: (n, values) of vectors, (n, channels, time) or
        (n, channels, height, width).
    lengths : Value or None
        Points that each row's series has, (n,), int64; None where rows are no series.
    """

    graph: Graph
    fitted: FittedNetwork
    lengths: Value | None
    values: list[Value] = field(default_factory=list)

    def layer(self, number: int) -> FittedLayer:
        """Return a layer."""
        return self.fitted.layers[number]

    def spec(self, number: int) -> Any:
        """Return a layer as data."""
        return self.fitted.layers[number].layer

    def parameter(self, number: int, name: str) -> Any:
        """Return an array of a layer's parameters."""
        return self.fitted.layers[number].parameters[name]

    def points(self, number: int) -> Value | None:
        """Return how many points each row has as it comes into a layer, None if there is no time.

        The number of layers stands for what comes out of the last one.
        """
        table = self.fitted.network.lengths[number]
        if self.lengths is None or table is None:
            return None
        if np.array_equal(table, np.arange(len(table))):
            return self.lengths
        return self.graph.take(table, self.lengths, 0)

    def there(self, number: int) -> Value | None:
        """Return which points each row has as it comes into a layer, (n, 1, time)."""
        lengths = self.points(number)
        if lengths is None:
            return None
        points = self.fitted.network.shapes[number][1]  # type: ignore[index]
        numbers = self.graph.constant(np.arange(points, dtype=np.int64).reshape(1, 1, points))
        column = self.graph.reshape(lengths, -1, 1, 1)
        return self.graph.add("Less", numbers, column, dtype=bool)

    def cleared(self, number: int, h: Value) -> Value:
        """Return what comes out of a layer, 0 behind the ends of series."""
        there = self.there(number + 1)
        return h if there is None else self.graph.where(there, h, 0.0)


def rows_of(fitted: FittedNetwork, graph: Graph, X: Value) -> tuple[Value, Value | None]:
    """Return what comes into the first layer, and the lengths of series.

    Parameters
    ----------
    fitted : FittedNetwork
    graph : Graph
    X : Value
        Rows (n, n_features) as `predict` takes them, of any type.
    """
    x = graph.cast(X, fitted.dtype)
    if fitted.origin is not None:
        return (x - fitted.origin) * (1.0 / fitted.unit), None
    shape = fitted.input_shape
    if not shape:
        return x, None
    if fitted.channels_last:
        x = graph.reshape(x, 0, *shape[1:], shape[0])
        x = graph.transpose(x, 0, len(shape), *range(1, len(shape)))
    else:
        x = graph.reshape(x, 0, *shape)
    if not fitted.has_lengths:
        return x, None
    missing = graph.add("IsNaN", x, dtype=bool)
    first = graph.columns(missing, 0, 1)
    there = graph.cast(~first, np.int64)
    return graph.where(missing, 0.0, x), graph.reduce("Sum", there, 1, 2)


def run_layers(
    fitted: FittedNetwork, graph: Graph, X: Value, count: int | None = None
) -> tuple[Value, Chain]:
    """Return what comes out of the first layers, all if there is no count, and what is known."""
    x, lengths = rows_of(fitted, graph, X)
    chain = Chain(graph, fitted, lengths)
    for number, one in enumerate(fitted.layers[:count]):
        chain.values.append(x)
        x = find_layer(one.kind)(chain, number, x)
    chain.values.append(x)
    return x, chain
