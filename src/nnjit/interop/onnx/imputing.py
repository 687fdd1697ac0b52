"""Missing values filled in, in ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnjit.interop.onnx.graph import Graph, Value
from nnjit.interop.onnx.outputs import Output, Outputs
from nnjit.interop.onnx.steps import Given
from nnjit.interop.onnx.table_categories import looked_up

__all__ = ["imputed"]


def imputed(graph: Graph, imputer: Any, given: list[Given]) -> Outputs:
    """Write a fitted `SimpleImputer` behind what comes into it.

    Parameters
    ----------
    graph : Graph
    imputer : SimpleImputer
    given : list of Given
        Columns of numbers, or of texts, where "" is missing.

    Raises
    ------
    ValueError
        If it does what has no form here.
    """
    if imputer.add_indicator:
        raise ValueError("SimpleImputer(add_indicator=True) has no form in ONNX.")
    kinds = {one.value.dtype.kind for one in given}
    if "O" in kinds:
        return _texts(graph, imputer, given, kinds)
    wanted = np.float64 if any(one.value.dtype == np.float64 for one in given) else np.float32
    x = graph.concatenate([graph.cast(one.value, wanted) for one in given], 1)
    missing = _is_missing(graph, imputer, x)
    fill = np.asarray(imputer.statistics_, np.float64)
    kept = ~np.isnan(fill) if not imputer.keep_empty_features else np.full(len(fill), True)
    fill = np.nan_to_num(fill).astype(wanted)
    found = graph.where(missing, fill[np.newaxis], x)
    if not kept.all():
        found = graph.take(found, np.flatnonzero(kept), 1)
    return {"features": Output(found, ("n", int(kept.sum())))}


def _is_missing(graph: Graph, imputer: Any, x: Value) -> Value:
    """Return where a value is missing."""
    sign = imputer.missing_values
    if isinstance(sign, float | np.floating) and np.isnan(sign):
        return graph.add("IsNaN", x, dtype=bool)
    return graph.add("Equal", x, np.asarray(sign, x.dtype), dtype=bool)


def _texts(graph: Graph, imputer: Any, given: list[Given], kinds: set[str]) -> Outputs:
    if kinds != {"O"}:
        raise ValueError(
            "SimpleImputer of text and numbers together has no form in ONNX: give each its own."
        )
    x = graph.concatenate([one.value for one in given], 1)
    missing = imputer.missing_values
    sign = missing if isinstance(missing, str) else ""
    is_missing = graph.cast(looked_up(graph, x, {sign: 1}, 0), bool)
    fill = graph.constant(np.asarray(imputer.statistics_, dtype=object)[np.newaxis])
    return {
        "features": Output(
            graph.add("Where", is_missing, fill, x, dtype=object), ("n", len(imputer.statistics_))
        )
    }
