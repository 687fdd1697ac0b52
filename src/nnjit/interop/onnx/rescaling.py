"""Rows rescaled by scikit-learn's `Normalizer`, `MinMaxScaler` and `MaxAbsScaler`, in ONNX.

onnxruntime's own normalizer divides by the largest value, not by the largest magnitude, and knows
no float64; skl2onnx's scalers take no columns of whole numbers among others, or do not clip.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, Normalizer

from nnjit.interop.onnx.graph import Graph, Value
from nnjit.interop.onnx.outputs import Output, Outputs
from nnjit.interop.onnx.steps import Given, joined

__all__ = ["RESCALERS", "rescaled"]

RESCALERS = (MaxAbsScaler, MinMaxScaler, Normalizer)


def rescaled(graph: Graph, transformer: Any, given: list[Given]) -> Outputs:
    """Write one of these, fitted, behind what comes into it."""
    x = joined(graph, [one.value for one in given])
    x = x if x.dtype.kind == "f" else graph.cast(x, np.float64)
    limits = getattr(transformer, "feature_range", (-1.0, 1.0))
    if isinstance(transformer, Normalizer):
        found = x / _norms(graph, transformer.norm, x)
    elif isinstance(transformer, MinMaxScaler):
        found = x * transformer.scale_[np.newaxis] + transformer.min_[np.newaxis]
    else:
        found = x / transformer.scale_[np.newaxis]
    if getattr(transformer, "clip", False):
        found = graph.add("Clip", found, *map(float, limits))
    return {"features": Output(found, ("n", int(transformer.n_features_in_)))}


def _norms(graph: Graph, norm: str, x: Value) -> Value:
    """Return the length of each row, 1 where it is as good as 0."""
    if norm == "l2":
        found = graph.add("Sqrt", graph.reduce("Sum", x * x, 1, keepdims=True))
    else:
        found = graph.reduce("Sum" if norm == "l1" else "Max", abs(x), 1, keepdims=True)
    none = found < 10.0 * float(np.finfo(x.dtype).eps)
    return graph.where(none, 1.0, found)
