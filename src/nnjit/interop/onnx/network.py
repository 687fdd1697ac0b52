"""Networks in a graph: from rows to what `predict` and its kin return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnjit._types import Array
from nnjit.interop.fitted import FittedNetwork, fitted_network
from nnjit.interop.onnx.chain import Chain, run_layers
from nnjit.interop.onnx.formulas import output_activation
from nnjit.interop.onnx.graph import Graph, Value
from nnjit.interop.onnx.labels import as_tensor
from nnjit.interop.onnx.outputs import Output, Outputs

__all__ = ["emit", "in_order"]


def emit(estimator: Any, graph: Graph, X: Value) -> Outputs:
    """Write a fitted network.

    Parameters
    ----------
    estimator : estimator
        One that `nnjit.interop.fitted.fitted_network` reads.
    graph : Graph
    X : Value
        Rows (n, n_features), of any floating type.

    Returns
    -------
    dict of str to Output
    """
    fitted = fitted_network(estimator)
    if fitted.target == "reconstruction":
        return _autoencoder(fitted, graph, X)
    logits, chain = run_layers(fitted, graph, X)
    if fitted.by_points:
        return _of_points(chain, logits)
    return _of_rows(fitted, graph, logits)


# -- one target for each row -------------------------------------------------------------


def _of_rows(fitted: FittedNetwork, graph: Graph, logits: Value) -> Outputs:
    """Return what is made of the logits (n, n_outputs)."""
    if fitted.target == "values":
        outputs = output_activation(graph, fitted.output, logits)
        if len(fitted.quantiles) == fitted.n_outputs > 1:
            outputs = in_order(graph, outputs, fitted.quantiles)
        if fitted.n_outputs == 1:
            return {"prediction": Output(graph.reshape(outputs, -1), ("n",))}
        return {"prediction": Output(outputs, ("n", fitted.n_outputs))}
    if fitted.target in ("best", "means"):
        return _of_agent(fitted, graph, logits)
    if fitted.target == "columns":
        return _of_columns(fitted, graph, logits)
    p, label = _probabilities(fitted, graph, logits)
    labels = ("n", len(fitted.classes[0])) if fitted.target == "multilabel" else ("n",)
    n_classes = max(fitted.n_outputs, 2) if fitted.target != "multilabel" else fitted.n_outputs
    return {"label": Output(label, labels), "probabilities": Output(p, ("n", n_classes))}


def _probabilities(fitted: FittedNetwork, graph: Graph, logits: Value) -> tuple[Value, Value]:
    """Return the probabilities of the classes, (n, n_classes), and the labels."""
    classes = fitted.classes[0]
    if fitted.n_outputs == 1 and fitted.target != "multilabel":
        if fitted.output == "logistic":  # accurate at both ends
            p = graph.add("Sigmoid", graph.concatenate([-logits, logits], 1))
        else:
            p = output_activation(graph, fitted.output, logits)
            p = graph.concatenate([1.0 - p, p], 1)
    else:
        p = output_activation(graph, fitted.output, logits)
    if fitted.target == "multilabel":
        return p, graph.cast(p > fitted.threshold, np.int64)
    if fitted.target == "multiclass":
        numbers = graph.add("ArgMax", p, dtype=np.int64, axis=1, keepdims=0)
    else:
        second = graph.reshape(graph.columns(p, 1, 2), -1) > fitted.threshold
        numbers = graph.cast(second, np.int64)
        if len(classes) == 1:  # which is predicted whatever comes out
            numbers = numbers * 0
    return p, graph.take(as_tensor(classes, fitted.estimator), numbers, 0)


def _of_columns(fitted: FittedNetwork, graph: Graph, logits: Value) -> Outputs:
    """Return a label and probabilities for each column of classes."""
    found, start = {}, 0
    for number, (classes, size) in enumerate(zip(fitted.classes, fitted.groups)):
        p = output_activation(graph, fitted.output, graph.columns(logits, start, start + size))
        best = graph.add("ArgMax", p, dtype=np.int64, axis=1, keepdims=0)
        label = graph.take(as_tensor(classes, fitted.estimator), best, 0)
        found[f"label_{number}"] = Output(label, ("n",))
        found[f"probabilities_{number}"] = Output(p, ("n", size))
        start += size
    return found


def in_order(graph: Graph, outputs: Value, quantiles: Sequence[float]) -> Value:
    """Return outputs (n, n_quantiles) sorted so that they ascend with the quantiles."""
    count = len(quantiles)
    # A row more, for older versions of onnxruntime end the process where there is none.
    rows = graph.concatenate([outputs, graph.constant(np.zeros((1, count), outputs.dtype))], 0)
    ordered, _ = graph.add_many(
        "TopK", rows, np.array([count], np.int64), dtypes=[None, np.int64], axis=1, largest=0
    )
    ranks = np.argsort(np.argsort(quantiles))
    return graph.take(graph.columns(ordered, 0, -1, 0), ranks.astype(np.int64), 1)


def _of_agent(fitted: FittedNetwork, graph: Graph, outputs: Value) -> Outputs:
    """Return the best actions as the environment takes them, and on demand the outputs."""
    space = fitted.action_space
    more = {"outputs": Output(outputs, ("n", fitted.n_outputs), extra=True)}
    if fitted.target == "best":
        best = graph.add("ArgMax", outputs, dtype=np.int64, axis=1, keepdims=0)
        return {"action": Output(best + int(space.start), ("n",))} | more
    low, high = np.array(space.low), np.array(space.high)
    bounded = np.isfinite(low) & np.isfinite(high)
    with np.errstate(invalid="ignore"):
        center = np.where(bounded, 0.5 * low + 0.5 * high, 0.0)
        half = np.where(bounded, 0.5 * high - 0.5 * low, 1.0)
    means = graph.cast(graph.columns(outputs, 0, len(low)), np.float64)
    action = graph.add("Min", graph.add("Max", means * half + center, low), high)
    action = graph.reshape(graph.cast(action, space.dtype), 0, *space.shape)
    return {"action": Output(action, ("n", *space.shape))} | more


# -- a target for each point -------------------------------------------------------------


def _of_points(chain: Chain, logits: Value) -> Outputs:
    """Return what is made of the logits (n, n_outputs, time), NaN behind the ends of series.

    Points are rows in between, of which there are n times as many.
    """
    fitted, graph = chain.fitted, chain.graph
    time, outputs = fitted.network.steps, fitted.n_outputs
    flat = graph.reshape(graph.transpose(logits, 0, 2, 1), -1, outputs)
    there = chain.there(len(fitted.layers))
    assert there is not None and chain.lengths is not None
    found: Outputs = {}
    for name, one in _of_rows(fitted, graph, flat).items():
        rest = [int(size) for size in one.shape[1:]]
        value = graph.add("Reshape", one.value, _by_case(graph, logits, time, rest))
        if value.dtype.kind == "f":
            order = (0, 2, 1) if rest else (0, 1, 2)
            mask = graph.transpose(there, *order)
            mask = mask if rest else graph.reshape(mask, 0, time)
            value = graph.where(mask, value, np.nan)
        found[name] = Output(value, ("n", time, *rest))
    found["lengths"] = Output(chain.lengths, ("n",))
    return found


def _by_case(graph: Graph, logits: Value, time: int, rest: list[int]) -> Value:
    """Return the shape (n, time, ...), n being the number of rows of the logits."""
    n = graph.add("Shape", logits, dtype=np.int64, start=0, end=1)
    return graph.concatenate([n, graph.constant(np.array([time, *rest], np.int64))], 0)


# -- autoencoders ------------------------------------------------------------------------


def _autoencoder(fitted: FittedNetwork, graph: Graph, X: Value) -> Outputs:
    """Return the code, the rows as they are given back, and on demand their scores."""
    given_back, errors, code = None, [], None
    for member in (fitted, *fitted.members):
        logits, chain = run_layers(member, graph, X)
        outputs = output_activation(graph, member.output, logits)
        errors.append(_errors(fitted, graph, chain, outputs))
        if given_back is None:
            assert member.code_layer is not None
            code = chain.values[member.code_layer + 1]
            given_back = _as_rows(fitted, graph, chain, outputs)
    assert given_back is not None and code is not None and fitted.code_layer is not None
    n_components = fitted.layers[fitted.code_layer].outputs
    assert isinstance(n_components, int)
    total: Value = errors[0]
    for one in errors[1:]:
        total = total + one
    scores = -(total / float(len(errors)))
    return {
        "features": Output(code, ("n", n_components)),
        "reconstruction": Output(given_back, ("n", fitted.n_features_in)),
        "scores": Output(scores, ("n",), extra=True),
    }


def _as_rows(fitted: FittedNetwork, graph: Graph, chain: Chain, outputs: Value) -> Value:
    """Return rows that the network gives back as they lie in X, NaN behind the ends of series."""
    if not fitted.input_shape:
        return outputs
    cases = graph.reshape(outputs, 0, *fitted.input_shape)
    there = chain.there(0)
    if there is not None:
        cases = graph.where(there, cases, np.nan)
    if fitted.channels_last:
        axes = len(fitted.input_shape)
        cases = graph.transpose(cases, 0, *range(2, axes + 1), 1)
    return graph.reshape(cases, 0, fitted.n_features_in)


def _errors(fitted: FittedNetwork, graph: Graph, chain: Chain, outputs: Value) -> Value:
    """Return each row's mean over the values that it has of ((x - x') / scale)^2, in float64."""
    scale: Array | None = fitted.error_scale
    assert scale is not None
    width = fitted.n_features_in
    rows, there = graph.reshape(chain.values[0], 0, width), chain.there(0)
    differences = graph.cast(outputs, np.float64) - graph.cast(rows, np.float64)
    each = differences * differences * (1.0 / np.square(scale))
    if there is None:
        return graph.reduce("Mean", each, 1)
    shape = fitted.input_shape
    present = graph.where(there, graph.reshape(each, 0, *shape), 0.0)
    assert chain.lengths is not None
    counts = graph.cast(chain.lengths, np.float64) * float(shape[0])
    return graph.reduce("Sum", present, 1, 2) / counts
