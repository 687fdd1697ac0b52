"""Votes, stacks and bags of estimators in ONNX.

skl2onnx's converters weigh the wrong estimators where one was dropped, take no list of weights,
stack probabilities where predictions were stacked, and read the columns of a bag's member that
missed a class as those of others; so these are written here.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)

from nnjit.interop.onnx import pipelines
from nnjit.interop.onnx.graph import Graph, Value
from nnjit.interop.onnx.labels import as_tensor
from nnjit.interop.onnx.outputs import Output, Outputs
from nnjit.interop.onnx.pipelines import inputs, least_opset, metadata
from nnjit.interop.onnx.steps import joined

__all__ = ["ENSEMBLES", "emit", "inputs", "least_opset", "metadata"]

Given: TypeAlias = "Value | dict[str, Value]"

ENSEMBLES = (
    *(BaggingClassifier, BaggingRegressor, StackingClassifier, StackingRegressor),
    *(VotingClassifier, VotingRegressor),
)


def emit(estimator: Any, graph: Graph, X: Given) -> Outputs:
    """Write a fitted ensemble of scikit-learn.

    Parameters
    ----------
    estimator : estimator
        One of `ENSEMBLES`.
    graph : Graph
    X : Value or dict of str to Value
        Rows (n, n_features), or the columns of a frame by name.

    Raises
    ------
    ValueError
        If it has several targets, or a stack holds what has no form here.
    """
    if isinstance(estimator, VotingClassifier):
        return _voted(estimator, graph, X)
    if isinstance(estimator, VotingRegressor):
        members = [pipelines.emit_part(one, graph, X) for one in estimator.estimators_]
        return _mean_values(graph, members, _weights(estimator))
    if isinstance(estimator, StackingClassifier | StackingRegressor):
        return _stacked(estimator, graph, X)
    if isinstance(estimator, BaggingClassifier):
        return _bagged(estimator, graph, X)
    bags = _bags(estimator, graph, X)
    return _mean_values(graph, [pipelines.emit_part(one, graph, rows) for one, rows in bags])


# -- votes -------------------------------------------------------------------------------


def _of_members(graph: Graph, ensemble: Any, X: Given, name: str) -> list[Value]:
    """Return an output of each of the estimators that were not dropped."""
    return [pipelines.emit_part(one, graph, X)[name].value for one in ensemble.estimators_]


def _weights(ensemble: Any) -> list[float]:
    """Return the weights of the estimators that were not dropped; they sum to 1."""
    kept = [one != "drop" for _, one in ensemble.estimators]
    given = np.ones(len(kept)) if ensemble.weights is None else np.asarray(ensemble.weights)
    weights = given.astype(np.float64)[kept]
    return [*map(float, weights / weights.sum())]


def _mean(graph: Graph, members: list[Value], weights: list[float] | None = None) -> Value:
    """Return the mean of values, in float64."""
    weights = weights or [1.0 / len(members)] * len(members)
    total: Any = 0.0
    for one, weight in zip(members, weights, strict=True):
        total = graph.cast(one, np.float64) * weight + total
    mean: Value = total
    return mean


def _mean_values(
    graph: Graph, members: list[Outputs], weights: list[float] | None = None
) -> Outputs:
    values = [one["prediction"] for one in members]
    mean = _mean(graph, [one.value for one in values], weights)
    return {"prediction": Output(mean, values[0].shape)}


def _voted(ensemble: VotingClassifier, graph: Graph, X: Given) -> Outputs:
    classes = as_tensor(ensemble.classes_, type(ensemble).__name__)
    if ensemble.voting == "soft":
        members = _of_members(graph, ensemble, X, "probabilities")
        p = _mean(graph, members, _weights(ensemble))
        return _classified(graph, p, classes)
    votes: Any = 0.0
    numbers = np.arange(len(classes), dtype=np.int64)[np.newaxis]
    # Members tell the numbers of classes.
    for label, weight in zip(_of_members(graph, ensemble, X, "label"), _weights(ensemble)):
        is_it = graph.reshape(graph.cast(label, np.int64), -1, 1) == graph.constant(numbers)
        votes = graph.cast(is_it, np.float64) * weight + votes
    return {"label": _classified(graph, votes, classes)["label"]}


def _classified(graph: Graph, p: Value, classes: Any) -> Outputs:
    """Return the labels of the largest probabilities, and these."""
    best = graph.add("ArgMax", p, dtype=np.int64, axis=1, keepdims=0)
    return {
        "label": Output(graph.take(classes, best, 0), ("n",)),
        "probabilities": Output(p, ("n", len(classes))),
    }


# -- stacks ------------------------------------------------------------------------------


def _stacked(ensemble: Any, graph: Graph, X: Given) -> Outputs:
    classes = getattr(ensemble, "classes_", None)
    if isinstance(classes, list):
        raise ValueError("StackingClassifier of several targets has no form in ONNX.")
    outputs = [
        _stacked_part(graph, one, method, X, classes)
        for one, method in zip(ensemble.estimators_, ensemble.stack_method_, strict=True)
    ]
    if ensemble.passthrough:
        columns = [X] if isinstance(X, Value) else [*X.values()]
        if any(one.dtype.kind == "O" for one in columns):
            raise ValueError(
                f"{type(ensemble).__name__}(passthrough=True) of text has no form in ONNX."
            )
        outputs += columns
    found = pipelines.emit_part(ensemble.final_estimator_, graph, joined(graph, outputs))
    if classes is None:
        return found
    label = graph.take(as_tensor(classes, type(ensemble).__name__), found["label"].value, 0)
    known = {"label": Output(label, ("n",))}
    return known | {name: found[name] for name in ("probabilities",) if name in found}


def _stacked_part(graph: Graph, member: Any, method: str, X: Given, classes: Any) -> Value:
    """Return the columns that a member gives to the last estimator."""
    if method == "decision_function":
        raise ValueError(
            f"The decision_function of {type(member).__name__} in a stack has no form in ONNX: "
            "stack_method 'predict_proba' and 'predict' have."
        )
    found = pipelines.emit_part(member, graph, X)
    if method == "predict_proba":
        p = found["probabilities"].value
        return graph.columns(p, 1, 2) if len(classes) == 2 else p
    values = found["prediction" if classes is None else "label"].value
    if values.dtype.kind == "O":
        raise ValueError("A stack of labels that are text has no form in ONNX.")
    return graph.reshape(values, -1, 1)


# -- bags --------------------------------------------------------------------------------


def _bags(ensemble: Any, graph: Graph, X: Given) -> list[tuple[Any, Value]]:
    """Return each member and the rows with its features."""
    rows = X if isinstance(X, Value) else joined(graph, [*X.values()])
    everything = [*range(ensemble.n_features_in_)]
    found = []
    for one, features in zip(ensemble.estimators_, ensemble.estimators_features_, strict=True):
        chosen = np.asarray(features, np.int64)
        own = rows if chosen.tolist() == everything else graph.take(rows, chosen, 1)
        found.append((one, own))
    return found


def _bagged(ensemble: BaggingClassifier, graph: Graph, X: Given) -> Outputs:
    if not all(hasattr(one, "predict_proba") for one in ensemble.estimators_):
        return pipelines.emit(ensemble, graph, X)
    classes = as_tensor(ensemble.classes_, type(ensemble).__name__)
    members = []
    for one, rows in _bags(ensemble, graph, X):
        p = pipelines.emit_part(one, graph, rows)["probabilities"].value
        if len(one.classes_) < len(classes):  # it has not met the others; its own are numbers
            among = np.zeros((len(one.classes_), len(classes)), p.dtype)
            among[np.arange(len(one.classes_)), np.asarray(one.classes_, int)] = 1.0
            p = graph.add("MatMul", graph.columns(p, 0, len(one.classes_)), among)
        members.append(p)
    return _classified(graph, _mean(graph, members), classes)
