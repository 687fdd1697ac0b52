"""Estimators of tables in a graph: from columns as they are to the mean of the members."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnjit.estimators._label_columns import LabelColumns
from nnjit.estimators._table.categories import Category
from nnjit.estimators._table.columns import Column
from nnjit.estimators._table.numbers import Number
from nnjit.interop.fitted import FittedNetwork, fitted_network
from nnjit.interop.onnx.chain import run_layers
from nnjit.interop.onnx.columns import (
    METADATA,
    has_one_input,
    in_metadata,
    one_input_type,
    table_inputs,
)
from nnjit.interop.onnx.formulas import output_activation
from nnjit.interop.onnx.graph import Dimension, Graph, Value
from nnjit.interop.onnx.labels import as_tensor
from nnjit.interop.onnx.network import in_order
from nnjit.interop.onnx.outputs import Output, Outputs
from nnjit.interop.onnx.table_columns import encoded, encoded_rows

__all__ = ["emit", "emit_places", "inputs", "least_opset", "metadata"]

# Texts are split at blanks since then.
_OF_TEXTS = 20


def inputs(estimator: Any, X: Any) -> dict[str, tuple[Any, tuple[Dimension, ...]]]:
    """Return type and shape of each input: the columns that are used, or X of arrays of numbers."""
    encoder = estimator._encoder
    if has_one_input(encoder, X):
        return {"X": (one_input_type(X), ("n", estimator.n_features_in_))}
    return {one.name: (one.dtype, ("n", 1)) for one in table_inputs(encoder, X)}


def least_opset(estimator: Any) -> int:
    """Return the version of ONNX's operators that a table needs."""
    texts = any(isinstance(column, Category) for column in estimator._encoder.columns)
    return _OF_TEXTS if texts else 0


def metadata(estimator: Any, X: Any) -> dict[str, str]:
    """Return what the model says about its inputs."""
    encoder = estimator._encoder
    if has_one_input(encoder, X):
        return {}
    return {METADATA: in_metadata(table_inputs(encoder, X))}


def emit(estimator: Any, graph: Graph, X: Value | dict[str, Value]) -> Outputs:
    """Write a fitted classifier or regressor of tables.

    Parameters
    ----------
    estimator : TabularClassifier or TabularRegressor
    graph : Graph
    X : Value or dict of str to Value
        Rows (n, n_features) of numbers, or the columns by the names that `inputs` gives.
    """
    encoder = estimator._encoder
    used = {k: one for k, one in enumerate(encoder.columns) if isinstance(one, Column)}
    if isinstance(X, dict):
        places = {one.name: one.place for one in table_inputs(encoder)}
        columns = {places[name]: value for name, value in X.items() if name in places}
        return emit_places(estimator, graph, columns)
    if all(isinstance(one, Number) for one in used.values()):
        return _predicted(estimator, graph, encoded_rows(graph, encoder, X))
    return emit_places(estimator, graph, {k: graph.columns(X, k, k + 1) for k in used})


def emit_places(estimator: Any, graph: Graph, columns: dict[int, Value]) -> Outputs:
    """Write an estimator of tables whose used columns are given by their places in the fit."""
    return _predicted(estimator, graph, encoded(graph, estimator._encoder, columns))


def _predicted(estimator: Any, graph: Graph, rows: Value) -> Outputs:
    outputs = _mean_outputs(estimator, graph, rows)
    if not hasattr(estimator, "classes_"):
        return _values(estimator, graph, outputs)
    name, binarizer = type(estimator).__name__, estimator._label_binarizer
    if isinstance(binarizer, LabelColumns):
        return _columns_of_classes(binarizer, graph, outputs, name)
    classes = as_tensor(binarizer.classes_, name)
    if binarizer.y_type_.startswith("multilabel"):
        shape = ("n", len(classes))
        label = graph.cast(outputs > 0.5, np.int64)
        return {"label": Output(label, shape), "probabilities": Output(outputs, shape)}
    label, p = _of_classes(graph, outputs, len(classes))
    return {
        "label": Output(graph.take(classes, label, 0), ("n",)),
        "probabilities": Output(p, ("n", len(classes))),
    }


def _mean_outputs(estimator: Any, graph: Graph, rows: Value) -> Value:
    """Return the mean of the members' outputs, in float64."""
    parts = [
        graph.cast(_member_outputs(fitted_network(member), graph, rows), np.float64)
        for member in estimator.members_
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total / float(len(parts))


def _member_outputs(fitted: FittedNetwork, graph: Graph, rows: Value) -> Value:
    logits, _ = run_layers(fitted, graph, rows)
    if not fitted.groups:
        return output_activation(graph, fitted.output, logits)
    ends = np.cumsum([0, *fitted.groups]).tolist()
    parts = [graph.columns(logits, *pair) for pair in zip(ends[:-1], ends[1:])]
    return graph.concatenate([output_activation(graph, fitted.output, part) for part in parts], 1)


def _of_classes(graph: Graph, outputs: Value, n_classes: int) -> tuple[Value, Value]:
    """Return the number of the most probable class, and the probabilities, summing to 1."""
    if n_classes == 1:
        p = outputs * 0.0 + 1.0
        return graph.cast(graph.reshape(outputs * 0.0, -1), np.int64), p
    if n_classes == 2:  # one output
        label = graph.cast(graph.reshape(outputs, -1) > 0.5, np.int64)
        return label, graph.concatenate([1.0 - outputs, outputs], 1)
    label = graph.add("ArgMax", outputs, dtype=np.int64, axis=1, keepdims=0)
    return label, outputs / graph.reduce("Sum", outputs, 1, keepdims=True)


def _columns_of_classes(
    binarizer: LabelColumns, graph: Graph, outputs: Value, name: str
) -> Outputs:
    found: Outputs = {}
    ends = np.cumsum([0, *binarizer.sizes]).tolist()
    for number, given in enumerate(binarizer.classes_):
        part = graph.columns(outputs, ends[number], ends[number + 1])
        best = graph.add("ArgMax", part, dtype=np.int64, axis=1, keepdims=0)
        p = part / graph.reduce("Sum", part, 1, keepdims=True)
        label = graph.take(as_tensor(given, name), best, 0)
        found[f"label_{number}"] = Output(label, ("n",))
        found[f"probabilities_{number}"] = Output(p, ("n", len(given)))
    return found


def _values(estimator: Any, graph: Graph, outputs: Value) -> Outputs:
    """Return values in the target's units, quantiles in their order, cut off at its range."""
    values = (outputs + estimator._shift) * estimator._scale + estimator._mean
    quantiles = estimator.__dict__.get("quantiles_", ())
    count = max(len(quantiles), len(estimator._mean))
    if len(quantiles) > 1:
        values = in_order(graph, values, quantiles)
    if estimator._clip:
        low, high = estimator._range
        values = graph.add("Min", graph.add("Max", values, low), high)
    if count == 1 and estimator._vector:
        return {"prediction": Output(graph.reshape(values, -1), ("n",))}
    return {"prediction": Output(values, ("n", count))}
