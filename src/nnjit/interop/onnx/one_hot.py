"""Categories as indicators in ONNX; skl2onnx cuts off what numbers have behind the point."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnjit._types import Array
from nnjit.interop.onnx.graph import Graph, Value
from nnjit.interop.onnx.outputs import Output, Outputs
from nnjit.interop.onnx.steps import Given
from nnjit.interop.onnx.table_categories import looked_up

__all__ = ["indicators"]


def indicators(graph: Graph, encoder: Any, given: list[Given]) -> Outputs:
    """Write a fitted `OneHotEncoder` behind what comes into it.

    Parameters
    ----------
    graph : Graph
    encoder : OneHotEncoder
    given : list of Given
        Columns of numbers or of texts.

    Raises
    ------
    ValueError
        If some categories are infrequent and others dropped.
    """
    floats = np.float64 if any(one.value.dtype == np.float64 for one in given) else np.float32
    columns = [
        graph.columns(one.value, k, k + 1) if one.width != 1 else one.value
        for one in given
        for k in range(one.width or 1)
    ]
    parts, width = [], 0
    for place, (x, known) in enumerate(zip(columns, encoder.categories_, strict=True)):
        hot = graph.cast(_is_it(graph, x, np.asarray(known)), floats)
        into, unknown = _led(encoder, place, len(known))
        if not np.array_equal(into, np.eye(len(known))):
            rest = 1.0 - graph.reduce("Sum", hot, 1, keepdims=True)
            hot = graph.add("MatMul", hot, into.astype(floats))
            if unknown is not None:
                hot = hot + rest * unknown.astype(floats)
        parts.append(hot)
        width += into.shape[1]
    return {"features": Output(graph.concatenate(parts, 1), ("n", width))}


def _is_it(graph: Graph, x: Value, known: Array) -> Value:
    """Return which of the categories a value is, (n, n_categories)."""
    if x.dtype.kind == "O":
        numbers = looked_up(graph, x, {str(one): k for k, one in enumerate(known.tolist())}, -1)
        return numbers == np.arange(len(known), dtype=np.int64)[np.newaxis]
    values = np.array(known.tolist())
    if x.dtype.kind == "f" or values.dtype.kind == "f":
        x, values = graph.cast(x, np.float64), values.astype(np.float64)
        if x.dtype == np.float64 and np.isnan(values).any():
            missing = graph.add("IsNaN", x, dtype=bool)
            return (x == values[np.newaxis]) | (missing & graph.constant(np.isnan([values])))
        return x == values[np.newaxis]
    return graph.cast(x, np.int64) == values.astype(np.int64)[np.newaxis]


def _led(encoder: Any, place: int, count: int) -> tuple[Array, Array | None]:
    """Return which indicator each category has, and the indicator of what was never seen."""
    infrequent = getattr(encoder, "infrequent_categories_", None)
    dropped = None if encoder.drop_idx_ is None else encoder.drop_idx_[place]
    if infrequent is None or infrequent[place] is None:
        return np.delete(np.eye(count), [] if dropped is None else [dropped], axis=1), None
    if dropped is not None:
        raise ValueError("OneHotEncoder with infrequent categories and drop has no form in ONNX.")
    few = infrequent[place].tolist()
    rare = np.array([_is_among(one, few) for one in encoder.categories_[place].tolist()])
    last = int((~rare).sum())  # the indicator of all that are infrequent
    into = np.zeros((count, last + 1))
    into[~rare, :last], into[rare, last] = np.eye(last), 1.0
    unknown = np.eye(last + 1)[last:] if encoder.handle_unknown != "ignore" else None
    return into, unknown


def _is_among(category: Any, others: list[Any]) -> bool:
    missing = category != category
    return any(one != one if missing else one == category for one in others)
