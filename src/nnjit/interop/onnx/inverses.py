"""What leads values of a transformed target back, in ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)

from nnjit.interop.onnx.graph import Dimension, Graph, Value
from nnjit.interop.onnx.outputs import Output

__all__ = ["inverse_target"]

# How functions of NumPy are written; they are what lead from log(y) to y and the like.
_FUNCTIONS: dict[Any, Callable[[Graph, Value], Value]] = {
    None: lambda graph, x: x,
    np.exp: lambda graph, x: graph.add("Exp", x),
    np.expm1: lambda graph, x: graph.add("Exp", x) - 1.0,
    np.exp2: lambda graph, x: graph.add("Exp", x * float(np.log(2.0))),
    np.log: lambda graph, x: graph.add("Log", x),
    np.log1p: lambda graph, x: graph.add("Log", x + 1.0),
    np.negative: lambda graph, x: -x,
    np.reciprocal: lambda graph, x: 1.0 / x,
    np.sqrt: lambda graph, x: graph.add("Sqrt", x),
    np.square: lambda graph, x: x * x,
}


def inverse_target(graph: Graph, estimator: Any, values: Value, width: int | None) -> Output:
    """Return the predictions of a `TransformedTargetRegressor`.

    Parameters
    ----------
    graph : Graph
    estimator : TransformedTargetRegressor
        Fitted.
    values : Value
        What the regressor inside predicts, (n,) or (n, width).
    width : int or None

    Raises
    ------
    ValueError
        If the inverse of its transformer has no form here.
    """
    columns = graph.reshape(graph.cast(values, np.float64), -1, width or 1)
    found = _inverse(graph, estimator.transformer_, columns)
    if estimator._training_dim == 1 and (width or 1) == 1:
        return Output(graph.reshape(found, -1), ("n",))
    shape: tuple[Dimension, ...] = ("n", width or 1)
    return Output(found, shape)


def _inverse(graph: Graph, transformer: Any, x: Value) -> Value:
    if isinstance(transformer, Pipeline):
        for _, step in reversed(transformer.steps):
            x = x if step in (None, "passthrough") else _inverse(graph, step, x)
        return x
    if isinstance(transformer, StandardScaler | RobustScaler | MaxAbsScaler):
        center: Any = getattr(transformer, "mean_", getattr(transformer, "center_", None))
        shifted = getattr(transformer, "with_mean", getattr(transformer, "with_centering", False))
        if transformer.scale_ is not None:
            x = x * transformer.scale_
        return x + center if shifted else x
    if isinstance(transformer, MinMaxScaler):
        shifted_back: Value = (x - transformer.min_) / transformer.scale_
        return shifted_back
    if isinstance(transformer, FunctionTransformer):
        function = transformer.inverse_func
        if function in _FUNCTIONS and not transformer.inv_kw_args:
            return _FUNCTIONS[function](graph, x)
        raise ValueError(
            f"inverse_func={function!r} has no form in ONNX; NumPy's "
            f"{', '.join(one.__name__ for one in _FUNCTIONS if one)} have."
        )
    raise ValueError(
        f"{type(transformer).__name__} as the transformer of a target has no form in ONNX; "
        "StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler and functions of NumPy have. "
        "Export regressor_, and lead its values back by transformer_.inverse_transform."
    )
