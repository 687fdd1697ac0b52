"""Self-organizing maps in ONNX: the nearest unit of each row, and the distances to all."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnjit._types import Array
from nnjit.interop.onnx.graph import Dimension, Graph, Value
from nnjit.interop.onnx.outputs import Output, Outputs

__all__ = ["distances", "emit", "inputs", "nearest"]


def inputs(estimator: Any, X: Any) -> dict[str, tuple[Any, tuple[Dimension, ...]]]:
    """Return type and shape of the input."""
    return {"X": (estimator.weights_.dtype, ("n", estimator.n_features_in_))}


def emit(estimator: Any, graph: Graph, X: Value) -> Outputs:
    """Write a fitted `SelfOrganizingMap`: what `predict` and `transform` return."""
    x = graph.cast(X, estimator.weights_.dtype)
    n_units = int(np.prod(estimator.weights_.shape[:2]))
    return {
        "label": Output(nearest(graph, estimator, x), ("n",)),
        "features": Output(distances(graph, estimator, x), ("n", n_units)),
    }


def nearest(graph: Graph, som: Any, x: Value) -> Value:
    r"""Return the number of the unit that is nearest to each row, or of its segment.

    It is the unit u of the largest :math:`\sum_j p_j (x_j w_{uj} - w_{uj}^2 / 2)`, where p is 0 for
    a missing value and else 1.

    Parameters
    ----------
    graph : Graph
    som : SelfOrganizingMap
        Fitted.
    x : Value
        Rows (n, n_features), NaN where missing.
    """
    units, rows, present = _compared(graph, som, x)
    halves = -0.5 * units.astype(np.float64) ** 2
    scores = graph.add("MatMul", rows, np.ascontiguousarray(units.T))
    scores = scores + graph.add(
        "MatMul", graph.cast(present, x.dtype), np.ascontiguousarray(halves.T.astype(units.dtype))
    )
    found = graph.add("ArgMax", scores, dtype=np.int64, axis=1, keepdims=0)
    if som.n_clusters is None:
        return found
    segments: Array = som.segments_.reshape(-1).astype(np.int64)
    return graph.take(segments, found, 0)


def distances(graph: Graph, som: Any, x: Value) -> Value:
    """Return the distance of each row to each unit, (n, n_units).

    Differences are squared as they are, for products would cancel near to a unit; a runtime holds
    n n_units n_features of them.
    """
    units, rows, present = _compared(graph, som, x)
    n = units.shape[1]
    apart = graph.reshape(rows, 0, 1, n) - units[np.newaxis]
    there = graph.reshape(graph.cast(present, x.dtype), 0, 1, n)
    squares = graph.reduce("Sum", apart * apart * there, 2)
    count = graph.reduce("Sum", graph.cast(present, x.dtype), 1, keepdims=True)
    squares = squares * (n / count)
    return squares * 0.5 if som.metric == "cosine" else graph.add("Sqrt", squares)


def _compared(graph: Graph, som: Any, x: Value) -> tuple[Any, Value, Value]:
    """Return units and rows around the units' middle, 0 where missing, and what is present."""
    weights = som.weights_.reshape(-1, som.weights_.shape[-1]).astype(np.float64)
    present = ~graph.add("IsNaN", x, dtype=bool)
    if som.metric == "cosine":
        x = _directions(graph, graph.where(present, x, 0.0))
    origin = weights.mean(axis=0).astype(x.dtype)
    rows = graph.where(present, x - origin[np.newaxis], 0.0)
    return (weights - origin).astype(x.dtype), rows, present


def _directions(graph: Graph, rows: Value) -> Value:
    """Return rows divided by their lengths; a row of zeros stays one."""
    for length in (_largest, _length):
        by = length(graph, rows)
        rows = rows / graph.where(by > 0.0, by, 1.0)
    return rows


def _largest(graph: Graph, rows: Value) -> Value:
    return graph.reduce("Max", abs(rows), 1, keepdims=True)


def _length(graph: Graph, rows: Value) -> Value:
    return graph.add("Sqrt", graph.reduce("Sum", rows * rows, 1, keepdims=True))
