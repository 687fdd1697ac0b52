"""Calibrated classifiers in ONNX.

skl2onnx's converter takes the nearest step of an isotonic calibration where scikit-learn
interpolates between two, and has no temperatures; so classifiers that give probabilities, as
nnjit's do, are written here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.isotonic import IsotonicRegression

from nnjit.interop.onnx import pipelines
from nnjit.interop.onnx.graph import Graph, Value
from nnjit.interop.onnx.labels import as_tensor
from nnjit.interop.onnx.outputs import Output, Outputs
from nnjit.interop.onnx.pipelines import inputs, least_opset, metadata

__all__ = ["emit", "inputs", "least_opset", "metadata"]

# What scikit-learn keeps logarithms of probabilities finite by.
_LEAST = 1e-12


def emit(estimator: Any, graph: Graph, X: Value | dict[str, Value]) -> Outputs:
    """Write a fitted `CalibratedClassifierCV`.

    Raises
    ------
    ValueError
        If what is calibrated is a decision function, by another method than 'sigmoid'.
    """
    parts = estimator.calibrated_classifiers_
    if any(hasattr(part.estimator, "decision_function") for part in parts):
        if estimator.method != "sigmoid":
            raise ValueError(
                f"CalibratedClassifierCV(method={estimator.method!r}) of a "
                f"{type(parts[0].estimator).__name__} has no form in ONNX: of classifiers with a "
                "decision_function only method='sigmoid' has."
            )
        return pipelines.emit(estimator, graph, X)
    each = [_calibrated(graph, part, X) for part in parts]
    total = each[0]
    for one in each[1:]:
        total = total + one
    p = total / float(len(each))
    best = graph.add("ArgMax", p, dtype=np.int64, axis=1, keepdims=0)
    classes = as_tensor(estimator.classes_, type(estimator).__name__)
    return {
        "label": Output(graph.take(classes, best, 0), ("n",)),
        "probabilities": Output(p, ("n", len(classes))),
    }


def _calibrated(graph: Graph, part: Any, X: Value | dict[str, Value]) -> Value:
    """Return the probabilities (n, n_classes) of one of the calibrated classifiers, in float64."""
    found = pipelines.emit_part(part.estimator, graph, X)["probabilities"].value
    n_classes = len(part.classes)
    if part.method == "temperature":
        if n_classes == 2:  # scikit-learn subtracts too: where p is 1 but for rounding, this is 0
            second = graph.columns(found, 1, 2)
            found = graph.concatenate([1.0 - second, second], 1)
        logits = graph.add("Log", graph.cast(found, np.float64) + _LEAST)
        return graph.add("Softmax", logits * float(part.calibrators[0].beta_), axis=1)
    p = graph.cast(found, np.float64)
    if n_classes == 2:
        second = _led_by(graph, part.calibrators[0], graph.columns(p, 1, 2))
        return graph.concatenate([1.0 - second, second], 1)
    places = np.searchsorted(part.classes, part.estimator.classes_).tolist()
    columns = [graph.columns(p, 0, 1) * 0.0] * n_classes
    for k, (place, calibrator) in enumerate(zip(places, part.calibrators)):
        columns[place] = _led_by(graph, calibrator, graph.columns(p, k, k + 1))
    whole = graph.concatenate(columns, 1)
    total = graph.reduce("Sum", whole, 1, keepdims=True)
    some = total > 0.0
    return graph.where(some, whole / graph.where(some, total, 1.0), 1.0 / n_classes)


def _led_by(graph: Graph, calibrator: Any, p: Value) -> Value:
    """Return what a calibrator makes of a column of probabilities."""
    if not isinstance(calibrator, IsotonicRegression):
        return graph.add("Sigmoid", -(p * float(calibrator.a_) + float(calibrator.b_)))
    x = np.asarray(calibrator.X_thresholds_, np.float64)
    y = np.asarray(calibrator.y_thresholds_, np.float64)
    widths = np.diff(x)
    if not len(widths):
        return p * 0.0 + float(y[0])
    # The sum of the slopes up to a value; on either side of all thresholds it stays as it is.
    gone = graph.add("Min", graph.add("Max", p - x[np.newaxis, :-1], 0.0), widths[np.newaxis])
    slopes = (np.diff(y) / widths)[:, np.newaxis]
    return graph.add("MatMul", gone, slopes) + float(y[0])
