"""Series and images scaled by channel or by case, in ONNX."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnjit.interop.onnx.graph import Dimension, Graph, Value
from nnjit.interop.onnx.outputs import Output, Outputs

__all__ = ["emit", "inputs", "scaled_series"]

_EPS = float(np.finfo(np.float64).eps)


def inputs(estimator: Any, X: Any) -> dict[str, tuple[Any, tuple[Dimension, ...]]]:
    """Return type and shape of the input: that of X, or float32."""
    given = np.float64 if getattr(X, "dtype", None) == np.float64 else np.float32
    return {"X": (given, ("n", estimator.n_features_in_))}


def emit(estimator: Any, graph: Graph, X: Value) -> Outputs:
    """Write a fitted `SeriesScaler`."""
    features = scaled_series(graph, estimator, X)
    return {"features": Output(features, ("n", estimator.n_features_in_))}


def scaled_series(graph: Graph, scaler: Any, x: Value) -> Value:
    """Return rows of series or images as `SeriesScaler.transform` does.

    Parameters
    ----------
    graph : Graph
    scaler : SeriesScaler
        Fitted.
    x : Value
        Rows (n, n_features) with the values of a case as they lie in X, NaN behind shorter ones.
    """
    channels, points = scaler.input_shape_[0], math.prod(scaler.input_shape_[1:])
    last = bool(scaler.channels_last)
    shape, axis = ((points, channels), 1) if last else ((channels, points), 2)
    cases = graph.reshape(graph.cast(x, np.float64), 0, *shape)
    if scaler.per == "channel":
        form = (1, 1, -1) if last else (1, -1, 1)
        mean: Any = scaler.mean_.reshape(form)
        scale: Any = scaler.scale_.reshape(form)
    else:
        mean, scale = _of_cases(graph, cases, axis)
    found = graph.reshape((cases - mean) / scale, 0, channels * points)
    return graph.cast(found, x.dtype)


def _of_cases(graph: Graph, cases: Value, axis: int) -> tuple[Value, Value]:
    """Return mean and standard deviation of each channel of each case, of what is no NaN."""
    there = ~graph.add("IsNaN", cases, dtype=bool)
    count = graph.reduce("Sum", graph.cast(there, np.float64), axis, keepdims=True)
    mean = graph.reduce("Sum", graph.where(there, cases, 0.0), axis, keepdims=True) / count
    apart = graph.where(there, cases - mean, 0.0)
    variance = graph.reduce("Sum", apart * apart, axis, keepdims=True) / count
    # What is nothing but rounding of a constant is left as it is; see `scale_of`.
    rounding = count * mean * _EPS
    constant = variance <= count * _EPS * variance + rounding * rounding
    return mean, graph.where(constant, 1.0, graph.add("Sqrt", variance))
